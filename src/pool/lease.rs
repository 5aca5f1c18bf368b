//! A buffer that waits for a peer.

use std::fmt;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::buffer::PooledBuf;
use super::inner::Inner;

/// Marks a buffer as one that waits for a peer to send the rest of something. Its holder is woken when that has lasted for too
/// long while requests wait for memory. The lease ends when it is dropped.
pub(crate) struct Lease {
    pool: Arc<Inner>,
    id: u64,
}

impl Lease {
    /// A lease for `buffer`, which has waited since then. `waker` is woken when it and the pressure have lasted for `limit`.
    pub(crate) fn new(buffer: &PooledBuf, since: Instant, limit: Duration, waker: &Waker) -> Self {
        Self::begin(Arc::clone(buffer.pool()), since, limit, waker)
    }

    /// As [`new`](Self::new), for any number of buffers of `pool`.
    #[cfg(feature = "http2")]
    pub(crate) fn within(
        pool: &super::BufferPool,
        since: Instant,
        limit: Duration,
        waker: &Waker,
    ) -> Self {
        Self::begin(Arc::clone(pool.inner()), since, limit, waker)
    }

    fn begin(pool: Arc<Inner>, since: Instant, limit: Duration, waker: &Waker) -> Self {
        let id = pool.lock().begin_lease(since, limit, waker.clone());
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
