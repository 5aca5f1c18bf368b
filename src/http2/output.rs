//! Bytes on their way to the transport.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::Bytes;

use super::limits::{COPIED, PAGE, REPLIES, SPARE};

/// What any frame needs but DATA, header blocks, and GOAWAY with words.
const FRAME: usize = 64;

/// Frames in the order in which they leave. Heads and small payloads are in pages of 4 KiB; large payloads stay where they are and are
/// written from there.
///
/// ```text
///  pages    ▓▓▓▓ head │ small │ head ┊ head ║ head ┊ head │ small │ …     full ║ full ║ last
///           done                    │             │
///  payloads                       Bytes         Bytes                     each before the byte with a number
/// ```
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// Pages that are before the last one.
    full: VecDeque<Vec<u8>>,
    last: Vec<u8>,
    /// How many bytes were appended to pages before `last`. Numbers begin when everything has left.
    before: usize,
    /// How many bytes of pages have been written.
    written: usize,
    /// How many of those are in the first page.
    done: usize,
    /// Large payloads, each before the byte with this number.
    payloads: VecDeque<(usize, Bytes)>,
    /// Bytes of `payloads`.
    outside: usize,
    /// At most so many of the bytes that wait answer what was read.
    replies: usize,
    /// Pages to come.
    spare: Vec<Vec<u8>>,
}

impl Output {
    /// Where a small frame is appended.
    #[inline]
    pub(crate) fn frames(&mut self) -> &mut Vec<u8> {
        self.room(FRAME)
    }

    /// Where up to `len` bytes are appended, no more than a page.
    #[inline]
    pub(crate) fn room(&mut self, len: usize) -> &mut Vec<u8> {
        debug_assert!(len <= PAGE);
        if self.last.capacity() - self.last.len() < len {
            self.turn_page();
        }
        &mut self.last
    }

    #[cold]
    fn turn_page(&mut self) {
        debug_assert!(self.last.capacity() <= PAGE);
        let page = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(PAGE));
        let page = std::mem::replace(&mut self.last, page);
        self.before += page.len();
        if !page.is_empty() {
            self.full.push_back(page);
        }
    }

    /// Appends bytes, however many.
    #[inline]
    pub(crate) fn append(&mut self, mut bytes: &[u8]) {
        loop {
            let room = self.last.capacity() - self.last.len();
            if bytes.len() <= room {
                return self.last.extend_from_slice(bytes);
            }
            let (here, rest) = bytes.split_at(room);
            self.last.extend_from_slice(here);
            self.turn_page();
            bytes = rest;
        }
    }

    /// Appends a payload behind its head.
    #[inline]
    pub(crate) fn payload(&mut self, payload: Bytes) {
        if payload.len() < COPIED {
            self.append(&payload);
        } else {
            self.outside += payload.len();
            self.payloads.push_back((self.before + self.last.len(), payload));
        }
    }

    /// How many bytes wait.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.before + self.last.len() - self.written + self.outside
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

    /// The bytes that wait, if all of them are in one page.
    #[inline]
    pub(crate) fn only(&self) -> Option<&[u8]> {
        let alone = self.full.is_empty() && self.payloads.is_empty();
        alone.then(|| &self.last[self.done..])
    }

    /// The bytes that wait, in order, as far as there is room in `slices`. Answers how many slices there are.
    pub(crate) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut pages = self.full.iter().chain([&self.last]).map(Vec::as_slice);
        let mut page = pages.next().map_or(&[][..], |first| &first[self.done..]);
        let (mut payloads, mut at) = (self.payloads.iter().peekable(), self.written);
        let mut count = 0;
        while count < slices.len() {
            let until = payloads.peek().map_or(usize::MAX, |(place, _)| place - at);
            if until == 0
                && let Some((_, payload)) = payloads.next()
            {
                slices[count] = IoSlice::new(payload);
                count += 1;
            } else if page.is_empty() {
                match pages.next() {
                    Some(next) => page = next,
                    None => break,
                }
            } else {
                let (here, rest) = page.split_at(page.len().min(until));
                slices[count] = IoSlice::new(here);
                count += 1;
                at += here.len();
                page = rest;
            }
        }
        count
    }

    /// `count` bytes have been written, no more than there are.
    pub(crate) fn advance(&mut self, mut count: usize) {
        if count == self.len() {
            return self.clear();
        }
        while count > 0 {
            if let Some((place, payload)) = self.payloads.front_mut()
                && *place == self.written
            {
                let here = count.min(payload.len());
                bytes::Buf::advance(payload, here);
                self.outside -= here;
                count -= here;
                if payload.is_empty() {
                    self.payloads.pop_front();
                }
                continue;
            }
            let until = self.payloads.front().map_or(usize::MAX, |(place, _)| place - self.written);
            let page = self.full.front().unwrap_or(&self.last);
            let here = count.min(until).min(page.len() - self.done);
            if here == 0 && self.full.is_empty() {
                break;
            }
            self.done += here;
            self.written += here;
            count -= here;
            if self.done == page.len()
                && let Some(page) = self.full.pop_front()
            {
                self.done = 0;
                self.keep(page);
            }
        }
        self.replies = self.replies.min(self.len());
    }

    fn keep(&mut self, mut page: Vec<u8>) {
        if self.spare.len() < SPARE && page.capacity() == PAGE {
            page.clear();
            self.spare.push(page);
        }
    }

    /// Drops everything and keeps pages for what comes.
    pub(crate) fn clear(&mut self) {
        while let Some(page) = self.full.pop_front() {
            self.keep(page);
        }
        self.last.clear();
        self.payloads.clear();
        (self.before, self.written, self.done, self.outside, self.replies) = (0, 0, 0, 0, 0);
    }

    /// What is left: in its pages, or in memory of its size where that fills less than half of a page. `self` is empty then and keeps pages.
    pub(crate) fn split_off_rest(&mut self) -> Self {
        let spare = std::mem::take(&mut self.spare);
        let mut rest = std::mem::replace(self, Self { spare, ..Self::default() });
        rest.payloads.shrink_to_fit();
        if let Some(first) = rest.full.front_mut()
            && first.len() - rest.done < PAGE / 2
        {
            let left = first[rest.done..].to_vec();
            self.keep(std::mem::replace(first, left));
            rest.done = 0;
        }
        let done = if rest.full.is_empty() { rest.done } else { 0 };
        if rest.last.len() - done < PAGE / 2 {
            let left = rest.last[done..].to_vec();
            self.keep(std::mem::replace(&mut rest.last, left));
            rest.before += done;
            rest.done -= done;
        }
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
        let ways = [
            (7, 3, true),
            (97, 20, true),
            (5_000, 20, true),
            (5_000, 20, false),
            (1 << 20, 20, true),
        ];
        for (step, frames, split) in ways {
            let mut output = Output::default();
            let (mut expected, mut got) = (Vec::new(), Vec::new());
            for round in 0..3 {
                for at in 0..frames {
                    output.frames().extend_from_slice(&[at; 9]);
                    expected.extend_from_slice(&[at; 9]);
                    let payload = vec![at; [10, 5_000, 3_000, COPIED][usize::from(at) % 4]];
                    expected.extend_from_slice(&payload);
                    output.payload(payload.into());
                }
                // More comes while a third is left.
                let keep = if round < 2 { expected.len() / 3 } else { 0 };
                while output.len() > keep {
                    assert_eq!(output.len(), expected.len() - got.len());
                    let here = written(&output);
                    let count = step.min(here.len());
                    got.extend_from_slice(&here[..count]);
                    output.advance(count);
                    if split {
                        output = output.split_off_rest();
                    }
                }
            }
            assert_eq!(got, expected);
        }
    }

    #[test]
    fn a_page_is_never_larger_and_what_waits_fills_half_of_its_memory() {
        let mut output = Output::default();
        for len in [PAGE, 10, PAGE - 5, 1, PAGE] {
            output.room(len).extend_from_slice(&vec![1; len]);
            output.append(&[2; 10_000]);
        }
        let pages = |output: &Output| {
            let pages = output.full.iter().chain([&output.last]);
            pages.map(Vec::capacity).collect::<Vec<_>>()
        };
        assert!(pages(&output).iter().all(|capacity| *capacity <= PAGE));
        while !output.is_empty() {
            output.advance(output.len().min(1_500));
            let rest = output.split_off_rest();
            assert!(output.is_empty());
            assert!(pages(&rest).iter().sum::<usize>() <= 2 * rest.len() + PAGE, "{rest:?}");
            output = rest;
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
