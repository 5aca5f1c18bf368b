//! Bytes on their way to the transport.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

use super::limits::{COPIED, REPLIES};

/// Frames in the order in which they leave. Heads and small payloads are in one buffer; large payloads stay where they are and are
/// written from there.
///
/// ```text
///  bytes   ▓▓▓▓ head │ small │ head ┊ head ┊ head │ small │ …
///           done                    │      │
///  payloads                       Bytes  Bytes            each at its place in `bytes`
/// ```
#[derive(Debug, Default)]
pub(crate) struct Output {
    bytes: Vec<u8>,
    /// How many of `bytes` have been written.
    done: usize,
    /// Large payloads, each before the byte with this number.
    payloads: VecDeque<(usize, Bytes)>,
    /// Bytes of `payloads`.
    outside: usize,
    /// At most so many of the bytes that wait answer what was read.
    replies: usize,
}

impl Output {
    /// Where frames without a large payload are appended.
    #[inline]
    pub(crate) fn frames(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Appends a payload behind its head.
    #[inline]
    pub(crate) fn payload(&mut self, payload: Bytes) {
        if payload.len() < COPIED {
            self.bytes.extend_from_slice(&payload);
        } else {
            self.outside += payload.len();
            self.payloads.push_back((self.bytes.len(), payload));
        }
    }

    /// How many bytes wait.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len() - self.done + self.outside
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All that was appended since [`len`](Self::len) was `before` answers what was read.
    pub(crate) fn count_replies(&mut self, before: usize) {
        self.replies += self.len() - before;
    }

    /// Whether so many answers wait that nothing more is to be read.
    pub(crate) fn has_many_replies(&self) -> bool {
        self.replies >= REPLIES
    }

    /// The bytes that wait, in order, as far as there is room in `slices`. Answers how many slices there are.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let (mut count, mut at) = (0, self.done);
        let mut push = |bytes: &'a [u8]| {
            if !bytes.is_empty() && count < slices.len() {
                slices[count] = IoSlice::new(bytes);
                count += 1;
            }
        };
        for (place, payload) in self.payloads.iter().take(32) {
            push(&self.bytes[at..*place]);
            push(payload);
            at = *place;
        }
        if self.payloads.len() <= 32 {
            push(&self.bytes[at..]);
        }
        count
    }

    /// `count` bytes have been written, no more than there are.
    pub(crate) fn advance(&mut self, mut count: usize) {
        while count > 0 {
            let until = self.payloads.front().map_or(self.bytes.len(), |(place, _)| *place);
            let here = count.min(until - self.done);
            self.done += here;
            count -= here;
            if count == 0 {
                break;
            }
            let Some((_, payload)) = self.payloads.front_mut() else { break };
            let here = count.min(payload.len());
            bytes::Buf::advance(payload, here);
            self.outside -= here;
            count -= here;
            if payload.is_empty() {
                self.payloads.pop_front();
            }
        }
        self.replies = self.replies.min(self.len());
        if self.is_empty() {
            self.clear();
        }
    }

    /// Drops everything and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.payloads.clear();
        (self.done, self.outside, self.replies) = (0, 0, 0);
    }

    /// Bytes of memory for frames, used or not.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Exactly what is left, in memory of its own; `self` is empty then and keeps its memory.
    pub(crate) fn split_off_rest(&mut self) -> Self {
        let done = self.done;
        let mut payloads = VecDeque::with_capacity(self.payloads.len());
        payloads.extend(self.payloads.drain(..).map(|(place, payload)| (place - done, payload)));
        let bytes = self.bytes[done..].to_vec();
        let Self { outside, replies, .. } = *self;
        let rest = Self { bytes, done: 0, payloads, outside, replies };
        self.clear();
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(output: &Output) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 64];
        let count = output.slices(&mut slices);
        slices[..count].iter().flat_map(|slice| slice.iter().copied()).collect()
    }

    #[test]
    fn bytes_leave_in_order_however_they_are_taken() {
        for step in [1, 3, 5_000, 100_000] {
            let mut output = Output::default();
            let mut expected = Vec::new();
            for at in 0..10_u8 {
                output.frames().extend_from_slice(&[at; 9]);
                expected.extend_from_slice(&[at; 9]);
                let payload = vec![at; if at % 3 == 0 { 10 } else { 5_000 }];
                expected.extend_from_slice(&payload);
                output.payload(payload.into());
            }
            let mut got = Vec::new();
            while !output.is_empty() {
                assert_eq!(output.len(), expected.len() - got.len());
                let here = written(&output);
                let count = step.min(here.len());
                got.extend_from_slice(&here[..count]);
                output.advance(count);
                output = output.split_off_rest();
            }
            assert_eq!(got, expected);
        }
    }

    #[test]
    fn many_payloads_are_written_in_several_calls() {
        let mut output = Output::default();
        for at in 0..100_u8 {
            output.frames().push(at);
            output.payload(vec![at; COPIED].into());
        }
        let mut total = 0;
        while !output.is_empty() {
            let here = written(&output).len();
            assert!(here > 0);
            output.advance(here);
            total += here;
        }
        assert_eq!(total, 100 * (COPIED + 1));
    }
}
