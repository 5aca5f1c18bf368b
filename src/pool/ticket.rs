//! A place in a queue for memory.

use std::fmt;
use std::sync::Arc;

use super::class::Class;
use super::inner::Inner;
use super::state::Line;

/// A place in a pool's queue for memory, from
/// [`BufferPool::poll_take`](super::BufferPool::poll_take) or
/// [`poll_take_growing`](super::BufferPool::poll_take_growing).
///
/// Dropping it leaves the queue. A buffer that was granted but not collected goes to the next
/// waiter.
pub struct Ticket {
    pool: Arc<Inner>,
    id: u64,
    class: Class,
    line: Line,
}

impl Ticket {
    pub(super) fn new(pool: Arc<Inner>, id: u64, class: Class, line: Line) -> Self {
        Self { pool, id, class, line }
    }

    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Whether this is a ticket of that queue of that pool, for a buffer of that class.
    pub(super) fn is_for(&self, pool: &Arc<Inner>, class: Class, line: Line) -> bool {
        Arc::ptr_eq(&self.pool, pool) && self.class == class && self.line == line
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let waker = self.pool.change(|state, after| state.leave(self.line, self.id, after));
        drop(waker);
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket")
            .field("id", &self.id)
            .field("line", &self.line)
            .field("bytes", &self.class.capacity())
            .finish_non_exhaustive()
    }
}
