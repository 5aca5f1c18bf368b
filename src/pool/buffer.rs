//! A buffer that finds its way back.

use std::fmt;
use std::ops::{Deref, DerefMut, Range};
use std::sync::Arc;

use bytes::Bytes;

use super::shared::{Shared, Slab};
use super::state::Charge;

/// A buffer with one owner, which goes back to its pool when it is dropped.
///
/// It dereferences to its *visible range*. That is all of it at first;
/// [`truncate`](Self::truncate), [`advance`](Self::advance) and [`set_range`](Self::set_range)
/// change what shows, never the contents.
///
/// ```text
///  0            start                      end            capacity
///  │  hidden      │         visible          │     hidden     │
///                 └── Deref, freeze() ───────┘
/// ```
///
/// **A buffer may contain old bytes of this process**, since nothing is cleared between two uses.
/// Only what was written after [`take`](super::BufferPool::take) means anything.
///
/// It may be dropped on any thread.
pub struct PooledBuf {
    pool: Arc<Shared>,
    /// `None` only while it is being dropped.
    slab: Option<Box<Slab>>,
    /// Both ends of the visible range fit: the largest capacity is 32 MiB and 512 bytes.
    start: u32,
    end: u32,
    charge: Charge,
}

impl PooledBuf {
    pub(super) fn new(pool: Arc<Shared>, slab: Box<Slab>, charge: Charge) -> Self {
        let end = slab.capacity() as u32;
        Self { pool, slab: Some(slab), start: 0, end, charge }
    }

    /// Whether it exceeds the cap of this pool.
    pub(super) fn is_overdraft_of(&self, pool: &Arc<Shared>) -> bool {
        self.charge == Charge::Overdraft && Arc::ptr_eq(&self.pool, pool)
    }

    #[inline]
    fn slab(&self) -> &Slab {
        self.slab.as_deref().expect("a buffer has its memory until it is dropped")
    }

    #[inline]
    fn slab_mut(&mut self) -> &mut Slab {
        self.slab.as_deref_mut().expect("a buffer has its memory until it is dropped")
    }

    /// All bytes it has, visible or not: its class and 512 more.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.slab().capacity()
    }

    /// Where the visible bytes are within the whole.
    #[inline]
    pub fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Makes exactly `range` of the whole visible.
    ///
    /// # Panics
    ///
    /// Like slicing: if `range` ends before it starts, or beyond [`capacity`](Self::capacity).
    #[inline]
    pub fn set_range(&mut self, range: Range<usize>) {
        assert!(
            range.start <= range.end && range.end <= self.capacity(),
            "range {range:?} is not within a buffer of {} bytes",
            self.capacity()
        );
        self.start = range.start as u32;
        self.end = range.end as u32;
    }

    /// Hides what follows the first `len` visible bytes. Does nothing if there are no more than
    /// that.
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        if len < self.len() {
            self.end = self.start + len as u32;
        }
    }

    /// Hides the first `count` visible bytes.
    ///
    /// # Panics
    ///
    /// If fewer are visible.
    #[inline]
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.len(), "cannot advance {count} bytes of {}", self.len());
        self.start += count as u32;
    }

    /// How many bytes are visible.
    #[inline]
    pub fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether nothing is visible.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Everything, hidden parts included.
    #[inline]
    pub fn whole(&self) -> &[u8] {
        &self.slab().memory
    }

    /// Everything, hidden parts included.
    #[inline]
    pub fn whole_mut(&mut self) -> &mut [u8] {
        &mut self.slab_mut().memory
    }

    /// Shares the visible bytes without copying them. The buffer goes back to its pool when the
    /// last clone or slice of them is dropped: at once if nothing is visible.
    ///
    /// A slice of one byte keeps the whole buffer. Copy what is kept for long.
    pub fn freeze(self) -> Bytes {
        if self.is_empty() {
            return Bytes::new();
        }
        Bytes::from_owner(self)
    }
}

impl Drop for PooledBuf {
    #[inline]
    fn drop(&mut self) {
        if let Some(slab) = self.slab.take() {
            self.pool.change(|state, after| state.put(self.charge, slab, after));
        }
    }
}

impl Deref for PooledBuf {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.whole()[self.start as usize..self.end as usize]
    }
}

impl DerefMut for PooledBuf {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        let range = self.range();
        &mut self.whole_mut()[range]
    }
}

impl AsRef<[u8]> for PooledBuf {
    #[inline]
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl AsMut<[u8]> for PooledBuf {
    #[inline]
    fn as_mut(&mut self) -> &mut [u8] {
        self
    }
}

/// Shows where the bytes are, not what they are: they may be plaintext.
impl fmt::Debug for PooledBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PooledBuf")
            .field("range", &self.range())
            .field("capacity", &self.capacity())
            .finish_non_exhaustive()
    }
}
