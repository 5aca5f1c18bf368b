//! A buffer that returns to its pool.

use std::fmt;
use std::num::NonZeroU32;
use std::ops::{Deref, DerefMut, Range};
use std::sync::Arc;

use bytes::Bytes;

use super::inner::Inner;
use super::slab::Slab;
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
    pool: Arc<Inner>,
    /// `None` only while it is being dropped.
    held: Option<Held>,
}

/// What a buffer has. With the pool it is 32 bytes, since a task keeps room for a buffer, often for two, while it has none.
struct Held {
    slab: Slab,
    /// Where the visible range starts.
    start: u32,
    end: End,
}

/// Where the visible range ends, and on which account the buffer is out. Both fit: the largest capacity is 32 MiB and 512
/// bytes. The lowest bit is always set, so that `Option<PooledBuf>` needs no more room.
#[derive(Clone, Copy)]
struct End(NonZeroU32);

impl End {
    #[inline]
    fn new(position: u32, charge: Charge) -> Self {
        let charge = match charge {
            Charge::Cap => 0,
            Charge::Overdraft => 1,
            Charge::Beyond => 2,
        };
        Self(NonZeroU32::MIN | position << 3 | charge << 1)
    }

    #[inline]
    fn position(self) -> u32 {
        self.0.get() >> 3
    }

    #[inline]
    fn charge(self) -> Charge {
        match self.0.get() >> 1 & 3 {
            0 => Charge::Cap,
            1 => Charge::Overdraft,
            _ => Charge::Beyond,
        }
    }

    /// Another end, on the same account.
    #[inline]
    fn moved_to(self, position: u32) -> Self {
        Self::new(position, self.charge())
    }
}

impl PooledBuf {
    /// [`freeze`](Self::freeze) copies what is smaller than the buffer divided by this: of a buffer
    /// of 32 KiB less than 4,160 bytes. What is kept then takes at most 8 times its size, and copying
    /// takes about 60 ns longer than sharing at most (benchmark `pool/freeze`).
    pub const COPIED_BELOW: usize = 8;

    #[inline]
    pub(super) fn new(pool: Arc<Inner>, slab: Slab, charge: Charge) -> Self {
        let end = End::new(slab.capacity() as u32, charge);
        Self { pool, held: Some(Held { slab, start: 0, end }) }
    }

    pub(super) fn pool(&self) -> &Arc<Inner> {
        &self.pool
    }

    /// Whether it exceeds the cap of this pool.
    pub(super) fn is_overdraft_of(&self, pool: &Arc<Inner>) -> bool {
        self.held().end.charge() == Charge::Overdraft && Arc::ptr_eq(&self.pool, pool)
    }

    #[inline]
    fn held(&self) -> &Held {
        self.held.as_ref().expect("a buffer has its memory until it is dropped")
    }

    #[inline]
    fn held_mut(&mut self) -> &mut Held {
        self.held.as_mut().expect("a buffer has its memory until it is dropped")
    }

    /// All bytes, visible or not: its class and 512 more.
    #[inline]
    pub fn capacity(&self) -> usize {
        self.held().slab.capacity()
    }

    /// The visible range within the whole.
    #[inline]
    pub fn range(&self) -> Range<usize> {
        let Held { start, end, .. } = self.held();
        *start as usize..end.position() as usize
    }

    /// Makes exactly `range` of the whole visible.
    ///
    /// # Panics
    ///
    /// Like slicing: if `range` ends before it starts, or beyond [`capacity`](Self::capacity).
    #[inline]
    pub fn set_range(&mut self, range: Range<usize>) {
        let held = self.held_mut();
        let capacity = held.slab.capacity();
        assert!(
            range.start <= range.end && range.end <= capacity,
            "range {range:?} is not within a buffer of {capacity} bytes",
        );
        held.start = range.start as u32;
        held.end = held.end.moved_to(range.end as u32);
    }

    /// Hides what follows the first `len` visible bytes. Does nothing if there are no more than
    /// that.
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        if len < self.len() {
            let held = self.held_mut();
            held.end = held.end.moved_to(held.start + len as u32);
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
        self.held_mut().start += count as u32;
    }

    /// How many bytes are visible.
    #[inline]
    pub fn len(&self) -> usize {
        self.range().len()
    }

    /// Whether nothing is visible.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.range().is_empty()
    }

    /// Everything, hidden parts included.
    #[inline]
    pub fn whole(&self) -> &[u8] {
        &self.held().slab.memory
    }

    /// Everything, hidden parts included.
    #[inline]
    pub fn whole_mut(&mut self) -> &mut [u8] {
        &mut self.held_mut().slab.memory
    }

    /// Whether others wait for memory of this pool, so that the buffer should not be kept for long.
    #[cfg_attr(not(feature = "http2"), expect(dead_code, reason = "only HTTP/2 asks"))]
    pub(crate) fn is_wanted(&self) -> bool {
        self.pool.lock().is_pressed()
    }

    /// Shares the visible bytes. The buffer goes back to its pool when the last clone or slice of
    /// them is dropped.
    ///
    /// Where the buffer is [more than 8 times](Self::COPIED_BELOW) as large as what is visible, the
    /// bytes are copied and the buffer goes back at once: otherwise a program that keeps small
    /// messages would keep a whole buffer for each. Slices of larger results keep the whole buffer
    /// all the same: copy those that are kept for long.
    pub fn freeze(self) -> Bytes {
        if self.len() * Self::COPIED_BELOW < self.capacity() {
            return Bytes::copy_from_slice(&self);
        }
        Bytes::from_owner(self)
    }
}

impl Drop for PooledBuf {
    #[inline]
    fn drop(&mut self) {
        if let Some(Held { slab, end, .. }) = self.held.take() {
            self.pool.change(|state, after| state.put(end.charge(), slab, after));
        }
    }
}

impl Deref for PooledBuf {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.whole()[self.range()]
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
