//! Buffers that wait for their next use.

use std::collections::VecDeque;

use super::class::Class;
use super::shared::Slab;

/// All idle buffers, by class.
#[derive(Default)]
pub(super) struct Idle {
    piles: [Pile; Class::COUNT],
    buffers: usize,
    bytes: usize,
    /// Counted up by the janitor; the clock of idle buffers.
    period: u32,
}

/// Those of one class, the longest idle in front; taken from the back, where caches are warm.
#[derive(Default)]
struct Pile {
    slabs: VecDeque<Box<Slab>>,
    /// Number of the request that last asked for this class.
    last_asked: u64,
}

impl Idle {
    /// One of this class, for the request of that number.
    #[inline]
    pub(super) fn take(&mut self, class: Class, request: u64) -> Option<Box<Slab>> {
        let pile = &mut self.piles[class.index()];
        pile.last_asked = request;
        let slab = pile.slabs.pop_back()?;
        self.count_out(&slab);
        Some(slab)
    }

    #[inline]
    pub(super) fn put(&mut self, mut slab: Box<Slab>) {
        slab.fell_idle = self.period;
        self.buffers += 1;
        self.bytes += slab.capacity();
        self.piles[slab.class.index()].slabs.push_back(slab);
    }

    /// The longest idle of the class that was not asked for the longest.
    pub(super) fn stalest(&mut self) -> Option<Box<Slab>> {
        let pile = self
            .piles
            .iter_mut()
            .filter(|pile| !pile.slabs.is_empty())
            .min_by_key(|pile| pile.last_asked)?;
        let slab = pile.slabs.pop_front()?;
        self.count_out(&slab);
        Some(slab)
    }

    pub(super) fn begin_period(&mut self) {
        self.period = self.period.wrapping_add(1);
    }

    /// One that has been idle for more than that many periods.
    pub(super) fn expired(&mut self, periods: u32) -> Option<Box<Slab>> {
        let now = self.period;
        let slab = self.piles.iter_mut().find_map(|pile| {
            pile.slabs.pop_front_if(|slab| now.wrapping_sub(slab.fell_idle) > periods)
        })?;
        self.count_out(&slab);
        Some(slab)
    }

    /// Settles the figures for one that was taken from its pile.
    #[inline]
    fn count_out(&mut self, slab: &Slab) {
        self.buffers -= 1;
        self.bytes -= slab.capacity();
    }

    #[inline]
    pub(super) fn buffers(&self) -> usize {
        self.buffers
    }

    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}
