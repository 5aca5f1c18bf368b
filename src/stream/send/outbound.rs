//! Sealed bytes that wait for the kernel.

use crate::pool::{BufferPool, PooledBuf};

/// Sealed bytes that the kernel did not take yet.
#[derive(Debug)]
pub(super) enum Outbound {
    /// What is visible waits.
    Pooled(PooledBuf),
    Exact {
        sealed: Box<[u8]>,
        /// How much of it the kernel took by now.
        sent: usize,
    },
}

impl Outbound {
    pub(super) fn exactly(sealed: &[u8]) -> Self {
        Self::Exact { sealed: sealed.into(), sent: 0 }
    }

    pub(super) fn unsent(&self) -> &[u8] {
        match self {
            Self::Pooled(batch) => batch,
            Self::Exact { sealed, sent } => &sealed[*sent..],
        }
    }

    /// Appends `len` bytes, to be filled by the caller. `None` if more than `limit` would wait, or there is no memory.
    pub(super) fn room_for(
        &mut self,
        len: usize,
        limit: usize,
        pool: &BufferPool,
    ) -> Option<&mut [u8]> {
        let waiting = self.unsent().len();
        let needed = waiting + len;
        if needed > limit {
            return None;
        }
        let fits = matches!(self, Self::Pooled(batch) if needed <= batch.capacity());
        if !fits {
            // With room for as much again, so that not every write moves all of them.
            let mut batch = pool.take_beyond_cap((2 * needed).min(limit)).ok()?;
            batch.set_range(0..waiting);
            batch.copy_from_slice(self.unsent());
            *self = Self::Pooled(batch);
        }
        let Self::Pooled(batch) = self else { return None };
        let mut range = batch.range();
        if range.end + len > batch.capacity() {
            batch.whole_mut().copy_within(range, 0);
            range = 0..waiting;
        }
        batch.set_range(range.start..range.end + len);
        Some(&mut batch[waiting..])
    }

    /// Removes the last `len` bytes, which were not filled.
    pub(super) fn shorten(&mut self, len: usize) {
        if let Self::Pooled(batch) = self {
            batch.truncate(batch.len() - len);
        }
    }

    pub(super) fn advance(&mut self, count: usize) {
        match self {
            Self::Pooled(batch) => batch.advance(count),
            Self::Exact { sent, .. } => *sent += count,
        }
    }
}
