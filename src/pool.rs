//! Memory for bytes that move, and for no others.
//!
//! A reader takes a buffer when its socket has data, and the buffer comes back with the last slice
//! of what was read. While nothing arrives, nothing is held. How much memory stays idle in between
//! is limited by a [`Retention`] strategy. What exceeds it goes back to the operating system at
//! once: each buffer is an anonymous mapping of its own, since allocators keep what a burst made
//! them map.
//!
//! ```
//! use alts::pool::BufferPool;
//!
//! let pool = BufferPool::new();
//! let mut buffer = pool.take(pool.buffer_size())?;
//! buffer[..5].copy_from_slice(b"hello"); // a read from a socket, say
//! buffer.truncate(8_000);
//!
//! let bytes = buffer.freeze();
//! let tail = bytes.slice(1..5);
//! drop(bytes);
//! assert_eq!(pool.stats().in_use_buffers, 1);
//! assert_eq!(&tail[..], b"ello");
//! drop(tail);
//! assert_eq!(pool.stats().in_use_buffers, 0);
//! # Ok::<(), alts::pool::PoolError>(())
//! ```
//!
//! # Sizes
//!
//! Buffers come in powers of two from 4 KiB to 32 MiB, and each has 512 bytes beyond that: two
//! records of 16,388 bytes, which the C++ implementation of ALTS sends, fit into "32 KiB", and a
//! payload can be aligned in any class. They begin at a page boundary. Nothing is cleared between
//! two uses.
//!
//! # Limits
//!
//! Buffers in use and idle ones together never exceed the *cap*. Idle buffers are unmapped before
//! a request has to wait. At the cap:
//!
//! * [`take`](BufferPool::take) fails, and [`poll_take`](BufferPool::poll_take) waits. Waiters are
//!   served in order. A new request never overtakes them, not even with a smaller size, so every
//!   request is served once those before it have returned their buffers.
//! * A reader that holds part of a record and needs a larger buffer for the rest would deadlock
//!   with others like it. [`poll_take_growing`](BufferPool::poll_take_growing) is therefore served
//!   first, and may exceed the cap by one buffer at a time: the *overdraft*. A record larger than
//!   the whole cap can be received this way only; while it grows it has two such buffers.
//! * [`take_beyond_cap`](BufferPool::take_beyond_cap) is for bytes that leave: writers must be able
//!   to continue, or readers would wait for them forever. Its callers limit themselves.
//!
//! A pool that stays at its cap is visible: [`PoolStats::waited`], [`PoolStats::refused`] and
//! [`PoolStats::pressed_since`] count it, and a thread named `alts-pool-watch`, which exists only
//! while requests wait, logs a warning after 5 seconds and then once a minute. Usual causes are a
//! cap that is too small, buffers kept while something else takes long, and kept slices of large
//! results (see [`PooledBuf::freeze`]).
//!
//! The system has limits too. A refused mapping counts as reaching the cap: idle buffers are
//! unmapped, and if the system still refuses, `poll_take` waits as long as a buffer is out that
//! may come back.
//! Linux allows a process 65,530 mappings (`vm.max_map_count`). Neighboring buffers share one, but
//! buffers freed in random order leave holes, and in the worst case each buffer that remains is a
//! mapping of its own. The default cap stays below that limit even when filled with the smallest
//! class. A program that has more than 65,530 buffers live, after a peak of twice as many, should
//! raise it: at the limit the kernel refuses to cut further holes, and a buffer it does not unmap
//! then is lost to the process.

mod buffer;
mod class;
mod config;
mod error;
mod idle;
mod inner;
mod janitor;
mod lease;
mod slab;
mod state;
mod stats;
mod taking;
mod ticket;
mod watch;

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

pub use buffer::PooledBuf;
pub use config::{BufferPoolBuilder, Retention};
pub use error::{PoolConfigError, PoolError};
pub use stats::PoolStats;
pub use ticket::Ticket;

pub(crate) use lease::Lease;

use class::Class;
use inner::Inner;
use state::{Charge, Line};

/// A handle on a pool of buffers; clones share the pool.
///
/// When the last handle is dropped, idle memory is unmapped. Buffers still out stay valid and are
/// unmapped as they are dropped.
#[derive(Clone)]
pub struct BufferPool {
    /// One pointer, since each idle connection's task keeps one.
    handle: Arc<Handle>,
}

/// What clones of one handle share.
struct Handle {
    inner: Arc<Inner>,
    /// What a read through this handle asks for.
    nominal: Class,
}

impl BufferPool {
    /// Makes a pool with the defaults: reads of 32 KiB, a cap of 256 MiB, at most 1 MiB kept idle.
    /// It holds no buffer until one is taken.
    pub fn new() -> Self {
        Self::from_checked(&BufferPoolBuilder::default(), Class::USUAL)
    }

    /// Returns a builder for a pool with other settings.
    pub fn builder() -> BufferPoolBuilder {
        BufferPoolBuilder::default()
    }

    fn from_checked(builder: &BufferPoolBuilder, nominal: Class) -> Self {
        Self::with(Arc::new(Inner::new(builder, watch::spawn)), nominal)
    }

    /// A handle on the same pool whose reads have another nominal size, in bytes: a connection in bulk reads more at once than
    /// the many quiet ones that share the pool with it.
    ///
    /// # Errors
    ///
    /// As for [`BufferPoolBuilder::build`]: `size` must be a power of two from 4 KiB to 32 MiB, and the cap must hold one such
    /// buffer.
    pub fn with_buffer_size(&self, size: usize) -> Result<Self, PoolConfigError> {
        let nominal = config::checked_class(size, self.inner().cap)?;
        self.inner().add_handle();
        Ok(Self::with(Arc::clone(self.inner()), nominal))
    }

    fn with(inner: Arc<Inner>, nominal: Class) -> Self {
        Self { handle: Arc::new(Handle { inner, nominal }) }
    }

    fn inner(&self) -> &Arc<Inner> {
        &self.handle.inner
    }

    /// The nominal size of a read, in bytes: what readers request unless they have a reason for
    /// another size.
    #[inline]
    pub fn buffer_size(&self) -> usize {
        self.handle.nominal.nominal()
    }

    /// How many bytes a buffer requested with `size` has; `None` beyond the largest class.
    #[inline]
    pub fn capacity_for(size: usize) -> Option<usize> {
        Class::fitting(size).map(Class::capacity)
    }

    /// Takes a buffer of at least `size` bytes if there is room and no other request waits. All of
    /// it is visible, including the bytes beyond `size`.
    ///
    /// # Errors
    ///
    /// [`PoolError::AtCap`] if it would have to wait, [`PoolError::TooLarge`] if not even an empty
    /// pool has room for it, [`PoolError::Map`] if the system refused memory.
    #[inline]
    pub fn take(&self, size: usize) -> Result<PooledBuf, PoolError> {
        self.inner().take(self.class_within_cap(size)?, Line::Ordinary)
    }

    /// Like [`take`](Self::take), but waits in order instead of failing with `AtCap`.
    ///
    /// `ticket` is `None` before the first call. Keep it as long as the result is `Pending`; it is
    /// `None` again when the result is ready. Dropping a ticket leaves the queue, and a buffer that
    /// was granted but not collected passes on. A ticket is valid for one size; with another size
    /// the wait starts over at the end of the queue. The waker of the latest call is woken.
    ///
    /// # Errors
    ///
    /// [`PoolError::TooLarge`] at once if the whole cap would not suffice. [`PoolError::Map`] if
    /// the system refused memory while no buffer is out that could come back.
    #[inline]
    pub fn poll_take(
        &self,
        cx: &mut Context<'_>,
        ticket: &mut Option<Ticket>,
        size: usize,
    ) -> Poll<Result<PooledBuf, PoolError>> {
        let class = self.class_within_cap(size)?;
        self.inner().poll_take(cx.waker(), ticket, class, Line::Ordinary)
    }

    /// Like [`poll_take`](Self::poll_take), for the rest of a record of which the caller already
    /// holds a part: served before all ordinary requests, in order among requests of its kind.
    ///
    /// If there is no room under the cap, it uses the pool's single overdraft, which is free again
    /// when that buffer is dropped. It waits only while there is neither, or for earlier requests
    /// of its kind. `size` may exceed the cap; such a request waits for the overdraft and delays no
    /// ordinary one.
    ///
    /// # Errors
    ///
    /// [`PoolError::TooLarge`] beyond 32 MiB. [`PoolError::Map`] as for `poll_take`.
    pub fn poll_take_growing(
        &self,
        cx: &mut Context<'_>,
        ticket: &mut Option<Ticket>,
        size: usize,
    ) -> Poll<Result<PooledBuf, PoolError>> {
        let class = class_of(size)?;
        self.inner().poll_take(cx.waker(), ticket, class, Line::Growing)
    }

    /// For a record that has the overdraft and grows further: another buffer on the same account, at once. Waiting
    /// for the overdraft would be waiting for itself. `None` if `held` is not the overdraft of this pool.
    pub(crate) fn take_on_overdraft(
        &self,
        held: &PooledBuf,
        size: usize,
    ) -> Option<Result<PooledBuf, PoolError>> {
        let take = || self.inner().take_unlimited(class_of(size)?, Charge::Overdraft);
        self.is_overdraft(held).then(take)
    }

    /// Whether `held` exceeds the cap of this pool.
    pub(crate) fn is_overdraft(&self, held: &PooledBuf) -> bool {
        held.is_overdraft_of(self.inner())
    }

    /// Takes a buffer that does not count towards the cap, for sealed bytes that wait for the
    /// kernel. It may be an idle one.
    ///
    /// The pool does not limit how many there are. The caller does: streams to one batch for each
    /// connection.
    ///
    /// # Errors
    ///
    /// [`PoolError::TooLarge`] beyond 32 MiB, [`PoolError::Map`] if the system refused memory.
    pub fn take_beyond_cap(&self, size: usize) -> Result<PooledBuf, PoolError> {
        self.inner().take_unlimited(class_of(size)?, Charge::Beyond)
    }

    /// Notes that a reader was refused at the cap because it cannot wait.
    pub(crate) fn note_refusal(&self) {
        let now = Instant::now();
        self.inner().change(|state, after| state.refuse(now, after));
    }

    /// Whether a request waits for memory. A holder that does not need its buffer can drop it.
    pub fn has_waiters(&self) -> bool {
        !self.inner().lock().nobody_waits()
    }

    /// A snapshot of the pool's figures.
    pub fn stats(&self) -> PoolStats {
        self.inner().lock().stats()
    }

    /// Unmaps all idle buffers, whatever the retention strategy, and returns how many bytes they
    /// had.
    pub fn trim(&self) -> usize {
        self.inner().trim()
    }

    #[inline]
    fn class_within_cap(&self, size: usize) -> Result<Class, PoolError> {
        // What reads ask for. That the cap holds it was checked when the handle was made.
        if size == self.handle.nominal.nominal() {
            return Ok(self.handle.nominal);
        }
        let class = class_of(size)?;
        if class.capacity() <= self.inner().cap {
            return Ok(class);
        }
        Err(PoolError::TooLarge { requested: size, largest: Class::within(self.inner().cap) })
    }
}

#[inline]
fn class_of(size: usize) -> Result<Class, PoolError> {
    Class::fitting(size)
        .ok_or(PoolError::TooLarge { requested: size, largest: Class::MAX + Class::EXTRA })
}

impl Default for BufferPool {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.inner.drop_handle();
    }
}

impl fmt::Debug for BufferPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BufferPool")
            .field("buffer_size", &self.buffer_size())
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// How many keep the pool's state alive: handles, buffers, tickets, the janitor and the watch.
    fn owners(pool: &Arc<Inner>) -> usize {
        Arc::strong_count(pool) - 1
    }

    fn released_after(time: Duration) -> (BufferPool, Arc<Inner>) {
        let pool = BufferPool::builder().retention(Retention::ReleaseAfter(time)).build().unwrap();
        let inner = Arc::clone(pool.inner());
        (pool, inner)
    }

    #[test]
    fn the_last_handle_unmaps_what_is_idle() {
        let pool = BufferPool::new();
        let (kept, idle) = (pool.take(1).unwrap(), pool.take(1).unwrap());
        drop(idle);
        let (clone, inner) = (pool.clone(), Arc::clone(pool.inner()));
        drop(pool);
        assert_eq!(inner.lock().stats().idle_buffers, 1);
        drop(clone);
        assert_eq!(inner.lock().stats().idle_buffers, 0);
        drop(kept);
        let stats = inner.lock().stats();
        assert_eq!((stats.in_use_buffers, stats.idle_buffers), (0, 0));
        assert_eq!(owners(&inner), 0);
    }

    #[test]
    fn a_grant_nobody_collects_dies_with_its_ticket() {
        let pool = BufferPool::builder().buffer_size(4096).cap(4608).build().unwrap();
        let inner = Arc::clone(pool.inner());
        let held = pool.take(1).unwrap();
        let mut ticket = None;
        let cx = &mut Context::from_waker(std::task::Waker::noop());
        assert!(pool.poll_take(cx, &mut ticket, 1).is_pending());
        drop(held);
        drop(pool);
        drop(ticket);
        assert_eq!(inner.lock().stats().in_use_buffers, 0);
        assert_eq!(inner.lock().stats().returned_bytes, 4608);
        // The watch ends with the pool.
        while owners(&inner) > 0 {
            thread::yield_now();
        }
    }

    #[test]
    fn the_janitor_is_there_while_something_is_idle() {
        let (pool, inner) = released_after(Duration::from_secs(60 * 60));
        let buffer = pool.take(1).unwrap();
        assert_eq!(owners(&inner), 2, "the handle and the buffer");
        drop(buffer);
        drop((pool.take(1).unwrap(), pool.take(1).unwrap()));
        assert_eq!(owners(&inner), 2, "the handle and one janitor");
        pool.trim();
        while owners(&inner) > 1 {
            thread::yield_now();
        }
        drop(pool.take(1).unwrap());
        assert_eq!(owners(&inner), 2, "another one");
        // Most likely it sleeps by then. If not, less is tested.
        thread::sleep(Duration::from_millis(20));
        drop(pool);
        while owners(&inner) > 0 {
            thread::yield_now();
        }
    }

    #[test]
    fn the_janitor_leaves_when_its_work_is_done() {
        let (pool, inner) = released_after(Duration::from_millis(1));
        drop(pool.take(1).unwrap());
        while owners(&inner) > 1 {
            thread::yield_now();
        }
        assert_eq!(pool.stats().idle_buffers, 0);
    }
}
