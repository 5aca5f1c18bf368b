//! What waits for the kernel.

use crate::pool::{BufferPool, PooledBuf};

/// Sealed bytes that the kernel did not take yet.
#[derive(Debug)]
pub(super) struct Outbound {
    sealed: Place,
    /// How much of it the kernel took by now.
    sent: usize,
}

/// Where sealed bytes are.
#[derive(Debug)]
enum Place {
    Pooled(PooledBuf),
    Exact(Box<[u8]>),
}

impl Outbound {
    pub(super) fn pooled(batch: PooledBuf) -> Self {
        Self { sealed: Place::Pooled(batch), sent: 0 }
    }

    pub(super) fn exactly(sealed: &[u8]) -> Self {
        Self { sealed: Place::Exact(sealed.into()), sent: 0 }
    }

    pub(super) fn rest(&self) -> &[u8] {
        match &self.sealed {
            Place::Pooled(batch) => &batch[self.sent..],
            Place::Exact(sealed) => &sealed[self.sent..],
        }
    }

    /// Makes `len` bytes more wait, and shows them, to be filled. `None` if no more than `limit` may wait, or there is no memory.
    pub(super) fn room_for(
        &mut self,
        len: usize,
        limit: usize,
        pool: &BufferPool,
    ) -> Option<&mut [u8]> {
        let waiting = self.rest().len();
        let needed = waiting + len;
        if needed > limit {
            return None;
        }
        let fits = matches!(&self.sealed, Place::Pooled(batch) if needed <= batch.capacity());
        if !fits {
            // With room for as much again, so that not each write moves all of them.
            let mut batch = pool.take_beyond_cap((2 * needed).min(limit)).ok()?;
            batch.set_range(0..waiting);
            batch.copy_from_slice(self.rest());
            *self = Self::pooled(batch);
        }
        let Place::Pooled(batch) = &mut self.sealed else { return None };
        batch.advance(std::mem::take(&mut self.sent));
        let mut range = batch.range();
        if range.end + len > batch.capacity() {
            batch.whole_mut().copy_within(range, 0);
            range = 0..waiting;
        }
        batch.set_range(range.start..range.end + len);
        Some(&mut batch[waiting..])
    }

    /// Takes back the last `len` bytes, which were not filled after all.
    pub(super) fn shorten(&mut self, len: usize) {
        if let Place::Pooled(buf) = &mut self.sealed {
            buf.truncate(buf.len() - len);
        }
    }

    pub(super) fn advance(&mut self, sent: usize) {
        self.sent += sent;
    }
}
