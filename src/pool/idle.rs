//! Buffers that wait for their next use.

use std::collections::VecDeque;

use super::class::Class;
use super::slab::Slab;

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
    slabs: VecDeque<Resting>,
    /// Number of the request that last asked for this class.
    last_asked: u64,
}

struct Resting {
    slab: Slab,
    /// The period in which it was returned.
    since: u32,
}

impl Idle {
    /// One of this class, for the request of that number.
    #[inline]
    pub(super) fn take(&mut self, class: Class, request: u64) -> Option<Slab> {
        let pile = &mut self.piles[class.index()];
        pile.last_asked = request;
        let Resting { slab, .. } = pile.slabs.pop_back()?;
        self.count_out(&slab);
        Some(slab)
    }

    #[inline]
    pub(super) fn put(&mut self, slab: Slab) {
        self.buffers += 1;
        self.bytes += slab.capacity();
        let pile = &mut self.piles[slab.class().index()];
        pile.slabs.push_back(Resting { slab, since: self.period });
    }

    /// The longest idle of the class that was not asked for the longest.
    pub(super) fn stalest(&mut self) -> Option<Slab> {
        let pile = self
            .piles
            .iter_mut()
            .filter(|pile| !pile.slabs.is_empty())
            .min_by_key(|pile| pile.last_asked)?;
        let Resting { slab, .. } = pile.slabs.pop_front()?;
        self.count_out(&slab);
        Some(slab)
    }

    pub(super) fn begin_period(&mut self) {
        self.period = self.period.wrapping_add(1);
    }

    /// One that has been idle for more than that many periods.
    pub(super) fn expired(&mut self, periods: u32) -> Option<Slab> {
        let now = self.period;
        let Resting { slab, .. } = self.piles.iter_mut().find_map(|pile| {
            pile.slabs.pop_front_if(|resting| now.wrapping_sub(resting.since) > periods)
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
