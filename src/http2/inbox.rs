//! What has come of a message and was not read yet.

use std::collections::VecDeque;
use std::ops::Range;
use std::task::Waker;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;

use super::error::Error;
use super::input::Received;
use super::limits::{SLICED, TAIL};

/// The content of a message and its trailers, between the connection and the application.
///
/// Large payloads are slices of the buffer that they were read into. Small ones are copied to the end of the tail, so that what is held is
/// at most the window and one piece of the tail, whatever the frames were like.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    pieces: VecDeque<Bytes>,
    tail: BytesMut,
    /// Bytes of both.
    unread: usize,
    trailers: Option<Box<HeaderMap>>,
    end: End,
    /// Bytes that were read and that the connection has not heard of.
    pub(super) consumed: u32,
    /// What was read has no more consequences: the stream is gone, and its bytes are given back.
    pub(super) settled: bool,
    /// Nobody reads any more.
    pub(super) abandoned: bool,
    pub(super) waker: Option<Waker>,
}

#[derive(Debug, Default)]
enum End {
    #[default]
    Open,
    Ended,
    Failed(Error),
}

/// What is next for the application.
#[derive(Debug)]
pub(crate) enum Next {
    Data(Bytes),
    Trailers(HeaderMap),
    End,
    Failed(Error),
    /// Nothing now.
    Wait,
}

impl Inbox {
    /// Takes a part of a read. Answers whether that keeps the buffer that was read into.
    pub(crate) fn push(&mut self, received: &mut Received, range: Range<usize>) -> bool {
        self.unread += range.len();
        let slice = received.slice(range.clone());
        let pins = slice.is_some();
        match slice {
            Some(slice) => {
                self.close_tail();
                self.pieces.push_back(slice);
            }
            None => self.copy(&received.bytes()[range]),
        }
        pins
    }

    /// Whether a piece keeps a buffer of the pool. Copies are never that large.
    pub(crate) fn pins(&self) -> bool {
        self.pieces.iter().any(|piece| piece.len() >= SLICED)
    }

    /// Copies what keeps buffers of the pool.
    pub(crate) fn unpin(&mut self) {
        if self.pins() {
            let copied = |piece: Bytes| -> Vec<Bytes> {
                match piece.len() {
                    SLICED.. => piece.chunks(TAIL).map(Bytes::copy_from_slice).collect(),
                    _ => vec![piece],
                }
            };
            self.pieces = std::mem::take(&mut self.pieces).into_iter().flat_map(copied).collect();
        }
    }

    fn copy(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let (here, rest) = bytes.split_at(bytes.len().min(TAIL - self.tail.len()));
            if self.tail.is_empty() {
                // Most often the only piece: exactly as large.
                self.tail = BytesMut::from(here);
            } else {
                let len = self.tail.len() + here.len();
                if len > self.tail.capacity() {
                    let mut larger =
                        BytesMut::with_capacity(len.max(2 * self.tail.len()).min(TAIL));
                    larger.extend_from_slice(&self.tail);
                    self.tail = larger;
                }
                self.tail.extend_from_slice(here);
            }
            if self.tail.len() == TAIL {
                self.close_tail();
            }
            bytes = rest;
        }
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.pieces.push_back(std::mem::take(&mut self.tail).freeze());
        }
    }

    /// The message has ended.
    pub(crate) fn end(&mut self, trailers: Option<Box<HeaderMap>>) {
        if matches!(self.end, End::Open) {
            self.trailers = trailers;
            self.end = End::Ended;
        }
    }

    /// The message will not be completed. What is unread of it is dropped: an incomplete message is of no use, and its memory is given
    /// back at once.
    pub(crate) fn fail(&mut self, error: Error) {
        if matches!(self.end, End::Open) {
            self.end = End::Failed(error);
            self.discard();
        }
    }

    /// Drops what is unread.
    pub(crate) fn discard(&mut self) -> usize {
        self.pieces = VecDeque::new();
        self.tail = BytesMut::new();
        std::mem::take(&mut self.unread)
    }

    pub(crate) fn next(&mut self) -> Next {
        let piece = match self.pieces.pop_front() {
            Some(piece) => piece,
            None => std::mem::take(&mut self.tail).freeze(),
        };
        if !piece.is_empty() {
            self.unread -= piece.len();
            return Next::Data(piece);
        }
        match &mut self.end {
            End::Open => Next::Wait,
            End::Ended => match self.trailers.take() {
                Some(trailers) => Next::Trailers(*trailers),
                None => Next::End,
            },
            failed @ End::Failed(_) => match std::mem::replace(failed, End::Ended) {
                End::Failed(error) => Next::Failed(error),
                End::Open | End::Ended => Next::End,
            },
        }
    }

    pub(crate) fn unread(&self) -> usize {
        self.unread
    }

    /// Whether nothing more comes from the peer.
    pub(crate) fn is_complete(&self) -> bool {
        !matches!(self.end, End::Open)
    }

    /// Whether the application has everything.
    pub(crate) fn is_exhausted(&self) -> bool {
        matches!(self.end, End::Ended) && self.unread == 0 && self.trailers.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(bytes: Vec<u8>) -> Received {
        Received::from(Bytes::from(bytes))
    }

    #[test]
    fn tiny_payloads_do_not_pin_and_are_gathered() {
        let mut inbox = Inbox::default();
        for at in 0..100_000_u32 {
            inbox.push(&mut received(vec![at as u8; 32]), 3..4);
        }
        assert!(inbox.pieces.len() <= 100_000 / TAIL);
        let held: usize =
            inbox.pieces.iter().map(Bytes::len).sum::<usize>() + inbox.tail.capacity();
        assert!(held <= 100_000 + TAIL, "{held}");
        let mut at = 0_u32;
        while let Next::Data(piece) = inbox.next() {
            for byte in piece {
                assert_eq!(byte, at as u8);
                at += 1;
            }
        }
        assert_eq!(at, 100_000);
        assert_eq!(inbox.unread(), 0);
    }

    #[test]
    fn large_payloads_are_slices_and_keep_their_place() {
        let mut read = received(vec![7; 30_000]);
        let start = read.bytes().as_ptr();
        let mut inbox = Inbox::default();
        inbox.push(&mut read, 0..10);
        inbox.push(&mut read, 20..10_020);
        inbox.push(&mut read, 29_990..30_000);
        inbox.end(None);
        let Next::Data(first) = inbox.next() else { panic!() };
        assert_eq!(first.len(), 10);
        let Next::Data(second) = inbox.next() else { panic!() };
        assert_eq!((second.as_ptr(), second.len()), (start.wrapping_add(20), 10_000));
        let Next::Data(third) = inbox.next() else { panic!() };
        assert_eq!(third.len(), 10);
        assert!(inbox.is_exhausted());
        assert!(matches!(inbox.next(), Next::End));
    }
}
