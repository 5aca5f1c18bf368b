//! Memory for the data of requests.

use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::{Mutex, MutexGuard, PoisonError};

use alts::pool::{BufferPool, PoolError, PooledBuf};

/// The pool, and what connections keep of it.
#[derive(Debug)]
pub(super) struct Memory {
    pool: BufferPool,
    /// One buffer for each connection that keeps one.
    kept: Mutex<HashMap<u64, PooledBuf>>,
}

impl Memory {
    pub(super) fn new(pool: BufferPool) -> Self {
        Self { pool, kept: Mutex::default() }
    }

    /// The largest power of two of which the pool has room for a buffer.
    pub(super) fn largest(&self) -> usize {
        let cap = self.pool.stats().cap_bytes;
        let fits = |size: &usize| BufferPool::capacity_for(*size).is_some_and(|bytes| bytes <= cap);
        (12..=25).map(|shift| 1 << shift).take_while(fits).last().unwrap_or(1 << 12)
    }

    /// Takes a buffer of at least `size` bytes, after those that have waited longer. What connections keep is given back before
    /// anybody waits.
    pub(super) async fn take(&self, size: usize) -> Result<PooledBuf, PoolError> {
        match self.pool.take(size) {
            Err(PoolError::AtCap) => {}
            result => return result,
        }
        let mut ticket = None;
        poll_fn(|cx| {
            let mut taken = self.pool.poll_take(cx, &mut ticket, size);
            // After it is in the queue, so that a buffer which is kept at this moment is seen here or sees that somebody waits.
            if taken.is_pending() && self.give_back() {
                taken = self.pool.poll_take(cx, &mut ticket, size);
            }
            taken
        })
        .await
    }

    /// Takes a buffer of at least `size` bytes if nobody has to wait for it.
    pub(super) fn take_now(&self, size: usize) -> Result<PooledBuf, PoolError> {
        self.pool.take(size)
    }

    /// The buffer that this connection has kept, if it is large enough.
    pub(super) fn kept_by(&self, connection: u64, size: usize) -> Option<PooledBuf> {
        let mut kept = self.kept();
        match kept.get(&connection) {
            Some(buf) if buf.capacity() >= size => kept.remove(&connection),
            _ => None,
        }
    }

    /// Keeps a buffer for the connection, if it is larger than what is kept, not larger than `most`, and nobody waits.
    pub(super) fn keep(&self, connection: u64, mut buf: PooledBuf, most: usize) {
        let mut kept = self.kept();
        let larger = kept.get(&connection).is_none_or(|old| old.capacity() < buf.capacity());
        if larger && buf.capacity() <= most.saturating_add(512) && !self.pool.has_waiters() {
            buf.set_range(0..buf.capacity());
            kept.insert(connection, buf);
        }
    }

    /// The connection has ended.
    pub(super) fn forget(&self, connection: u64) {
        let buf = self.kept().remove(&connection);
        drop(buf);
    }

    /// Gives back all that is kept, and says whether there was something.
    fn give_back(&self) -> bool {
        let kept = std::mem::take(&mut *self.kept());
        !kept.is_empty()
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<u64, PooledBuf>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
