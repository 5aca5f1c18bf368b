//! What waits for the kernel.

use crate::pool::PooledBuf;

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

    pub(super) fn advance(&mut self, sent: usize) {
        self.sent += sent;
    }
}
