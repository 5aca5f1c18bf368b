//! Memory for bytes that move, and for no others.
//!
//! A reader takes a buffer when its socket has something to say, and the buffer comes back with the
//! last slice of what was read. While nothing arrives nothing is held. What lies idle in between is
//! limited by a [`Retention`] strategy, and what exceeds it goes back to the operating system at
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
//! Buffers in use and idle ones together never exceed the *cap*; idle ones make room before anybody
//! waits. At the cap:
//!
//! * [`take`](BufferPool::take) says so, and [`poll_take`](BufferPool::poll_take) waits. Who waits
//!   is served in order; a newcomer passes nobody, not even with a smaller request. So every
//!   request is served once those before it have brought their buffers back.
//! * Who holds part of a record and needs a larger buffer for the rest would deadlock with others
//!   of its kind. [`poll_take_growing`](BufferPool::poll_take_growing) therefore goes before the
//!   others, and may exceed the cap by one buffer at a time: the *overdraft*. A record larger than
//!   the whole cap can be received this way and no other; while it grows it has two such buffers.
//! * [`take_beyond_cap`](BufferPool::take_beyond_cap) is for bytes that leave: writers must be able
//!   to go on, or readers would wait for them forever. Its callers limit themselves.
//!
//! The system has limits too. A refused mapping counts as the cap: idle buffers are unmapped, and
//! if the system still refuses, `poll_take` waits as long as any buffer is out that may come back.
//! Linux allows a process 65,530 mappings (`vm.max_map_count`). Neighbouring buffers share one, but
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
pub struct BufferPool {
    inner: Arc<Inner>,
    /// What a read through this handle asks for.
    nominal: Class,
}

impl BufferPool {
    /// A pool with the defaults: reads of 32 KiB, a cap of 256 MiB, at most 1 MiB kept idle. It
    /// holds no buffer until one is taken.
    pub fn new() -> Self {
        Self::from_checked(&BufferPoolBuilder::default(), Class::USUAL)
    }

    /// Describes another pool.
    pub fn builder() -> BufferPoolBuilder {
        BufferPoolBuilder::default()
    }

    fn from_checked(builder: &BufferPoolBuilder, nominal: Class) -> Self {
        Self { inner: Arc::new(Inner::new(builder, watch::spawn)), nominal }
    }

    /// A handle on the same pool whose reads have another nominal size, in bytes: a connection in bulk reads more at once than
    /// the many quiet ones that share the pool with it.
    ///
    /// # Errors
    ///
    /// As for [`BufferPoolBuilder::build`]: `size` must be a power of two from 4 KiB to 32 MiB, and the cap must hold one such
    /// buffer.
    pub fn with_buffer_size(&self, size: usize) -> Result<Self, PoolConfigError> {
        let nominal = config::checked_class(size, self.inner.cap)?;
        self.inner.add_handle();
        Ok(Self { inner: Arc::clone(&self.inner), nominal })
    }

    /// The nominal size of a read, in bytes: what to ask for unless there is a reason for another
    /// size.
    #[inline]
    pub fn buffer_size(&self) -> usize {
        self.nominal.nominal()
    }

    /// How many bytes a buffer asked for with `size` has; `None` beyond the largest class.
    #[inline]
    pub fn capacity_for(size: usize) -> Option<usize> {
        Class::fitting(size).map(Class::capacity)
    }

    /// A buffer of at least `size` bytes, if there is room and nobody waits. All of it is visible,
    /// the bytes beyond `size` included.
    ///
    /// # Errors
    ///
    /// [`PoolError::AtCap`] if it would have to wait, [`PoolError::TooLarge`] if even an empty pool
    /// would not give it, [`PoolError::Map`] if the system refused memory.
    #[inline]
    pub fn take(&self, size: usize) -> Result<PooledBuf, PoolError> {
        self.inner.take(self.class_within_cap(size)?, Line::Ordinary)
    }

    /// Like [`take`](Self::take), and waits in order where that would say `AtCap`.
    ///
    /// `ticket` is the caller's place in the line: `None` before the first call, to be kept as long
    /// as the answer is `Pending`, `None` again when it is not. Dropping the ticket gives the place
    /// up, and a grant that was not collected passes on. A ticket is good for one size; with
    /// another the wait starts over at the end of the line. The waker of the latest call is the one
    /// woken.
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
        self.inner.poll_take(cx.waker(), ticket, class, Line::Ordinary)
    }

    /// Like [`poll_take`](Self::poll_take), for the rest of a record of which the caller already
    /// holds a part: goes before all ordinary requests, and in order among its own kind.
    ///
    /// If there is no room under the cap, it uses the pool's single overdraft, which is free again
    /// when that buffer is dropped. It waits only while there is neither, or for others of its
    /// kind. `size` may exceed the cap; such a request waits for the overdraft, and holds up no
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
        self.inner.poll_take(cx.waker(), ticket, class, Line::Growing)
    }

    /// For a record that has the overdraft and grows further: another buffer on the same account, at once. To
    /// wait for the overdraft would be to wait for oneself. `None` if `held` is not the overdraft of this pool.
    pub(crate) fn take_on_overdraft(
        &self,
        held: &PooledBuf,
        size: usize,
    ) -> Option<Result<PooledBuf, PoolError>> {
        let take = || self.inner.take_unlimited(class_of(size)?, Charge::Overdraft);
        self.is_overdraft(held).then(take)
    }

    /// Whether `held` exceeds the cap of this pool.
    pub(crate) fn is_overdraft(&self, held: &PooledBuf) -> bool {
        held.is_overdraft_of(&self.inner)
    }

    /// A buffer that does not count towards the cap, for sealed bytes that wait for the kernel. It
    /// may be an idle one.
    ///
    /// Nothing here limits how many there are: the caller does, to one batch a connection.
    ///
    /// # Errors
    ///
    /// [`PoolError::TooLarge`] beyond 32 MiB, [`PoolError::Map`] if the system refused memory.
    pub fn take_beyond_cap(&self, size: usize) -> Result<PooledBuf, PoolError> {
        self.inner.take_unlimited(class_of(size)?, Charge::Beyond)
    }

    /// Notes that a reader was turned away at the cap because it cannot wait.
    pub(crate) fn note_refusal(&self) {
        let now = Instant::now();
        self.inner.change(|state, after| state.refuse(now, after));
    }

    /// Whether anybody waits for memory. Who holds some without need can let go of it.
    pub fn has_waiters(&self) -> bool {
        !self.inner.lock().nobody_waits()
    }

    /// The figures of this moment.
    pub fn stats(&self) -> PoolStats {
        self.inner.lock().stats()
    }

    /// Unmaps all idle buffers, whatever the retention strategy, and says how many bytes they had.
    pub fn trim(&self) -> usize {
        self.inner.trim()
    }

    #[inline]
    fn class_within_cap(&self, size: usize) -> Result<Class, PoolError> {
        let class = class_of(size)?;
        if class.capacity() <= self.inner.cap {
            return Ok(class);
        }
        Err(PoolError::TooLarge { requested: size, largest: Class::within(self.inner.cap) })
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

impl Clone for BufferPool {
    fn clone(&self) -> Self {
        self.inner.add_handle();
        Self { inner: Arc::clone(&self.inner), nominal: self.nominal }
    }
}

impl Drop for BufferPool {
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

    /// Whoever keeps the pool's state alive: handles, buffers, tickets, the janitor.
    fn owners(pool: &Arc<Inner>) -> usize {
        Arc::strong_count(pool) - 1
    }

    fn released_after(time: Duration) -> (BufferPool, Arc<Inner>) {
        let pool = BufferPool::builder().retention(Retention::ReleaseAfter(time)).build().unwrap();
        let inner = Arc::clone(&pool.inner);
        (pool, inner)
    }

    #[test]
    fn the_last_handle_unmaps_what_is_idle() {
        let pool = BufferPool::new();
        let (kept, idle) = (pool.take(1).unwrap(), pool.take(1).unwrap());
        drop(idle);
        let (clone, inner) = (pool.clone(), Arc::clone(&pool.inner));
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
        let inner = Arc::clone(&pool.inner);
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
