//! A read from the transport, parsed where it is.

use std::ops::Range;

use bytes::Bytes;

use super::limits::{PIN_RATIO, SLICED};
use crate::pool::PooledBuf;

/// A read. It stays in its buffer, and becomes shared only when a payload is handed up as a slice of it.
#[derive(Debug)]
pub(crate) struct Received {
    held: Held,
    capacity: usize,
}

#[derive(Debug)]
enum Held {
    Alone(PooledBuf),
    Shared(Bytes),
    /// Between the two.
    Nothing,
}

impl Received {
    pub(crate) fn new(buf: PooledBuf) -> Self {
        Self { capacity: buf.capacity(), held: Held::Alone(buf) }
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        match &self.held {
            Held::Alone(buf) => buf,
            Held::Shared(bytes) => bytes,
            Held::Nothing => &[],
        }
    }

    /// This part as a slice that keeps the buffer, if it is large enough for that, and nobody waits for buffers.
    pub(crate) fn slice(&mut self, range: Range<usize>) -> Option<Bytes> {
        if range.len() < SLICED || range.len() * PIN_RATIO < self.capacity {
            return None;
        }
        if matches!(&self.held, Held::Alone(buf) if buf.is_wanted()) {
            return None;
        }
        let bytes = match std::mem::replace(&mut self.held, Held::Nothing) {
            Held::Alone(buf) => buf.freeze(),
            Held::Shared(bytes) => bytes,
            Held::Nothing => Bytes::new(),
        };
        let slice = bytes.slice(range);
        self.held = Held::Shared(bytes);
        Some(slice)
    }
}

impl From<Bytes> for Received {
    fn from(bytes: Bytes) -> Self {
        Self { capacity: bytes.len(), held: Held::Shared(bytes) }
    }
}
