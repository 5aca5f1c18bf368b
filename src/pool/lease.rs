//! A buffer that waits for a peer.

use std::fmt;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::buffer::PooledBuf;
use super::inner::Inner;

/// Says that a buffer holds part of something whose rest a peer has not sent, so that it can be taken from a holder that has
/// waited for too long while others want memory. It ends when it is dropped.
pub(crate) struct Lease {
    pool: Arc<Inner>,
    id: u64,
}

impl Lease {
    /// For `buffer`, which has waited since then. The holder is woken when it has lasted for `limit` while others want memory.
    pub(crate) fn new(buffer: &PooledBuf, since: Instant, limit: Duration, waker: &Waker) -> Self {
        let (pool, waker) = (Arc::clone(buffer.pool()), waker.clone());
        let id = pool.lock().begin_lease(since, limit, waker);
        pool.call_watch();
        Self { pool, id }
    }

    /// Whether it is for a buffer of the same pool as `buffer`.
    pub(crate) fn is_for(&self, buffer: &PooledBuf) -> bool {
        Arc::ptr_eq(&self.pool, buffer.pool())
    }

    /// Whether the buffer has to be given up now. Otherwise `waker` is woken when it has.
    pub(crate) fn is_over(&self, now: Instant, waker: &Waker) -> bool {
        let mut waker = waker.clone();
        self.pool.lock().check_lease(self.id, now, &mut waker)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let waker = self.pool.lock().end_lease(self.id);
        drop(waker);
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("id", &self.id).finish_non_exhaustive()
    }
}
