//! Idle buffers.

use std::collections::VecDeque;

use super::class::Class;
use super::slab::Slab;

/// A list with room for so many is not shrunk.
const KEPT_ROOM: usize = 256;

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

impl Pile {
    /// Gives back room that no longer is needed, after some went to the system.
    fn shrink(&mut self) {
        let room = self.slabs.capacity();
        if room > KEPT_ROOM && self.slabs.len() < room / 4 {
            self.slabs.shrink_to(room / 2);
        }
    }
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
        pile.shrink();
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
            let oldest = pile.slabs.front()?;
            if now.wrapping_sub(oldest.since) <= periods {
                return None;
            }
            let expired = pile.slabs.pop_front();
            pile.shrink();
            expired
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_many_is_not_kept_when_few_are_left() {
        let class = Class::fitting(1).unwrap();
        let mut idle = Idle::default();
        for _ in 0..2_000 {
            idle.put(Slab::map(class).unwrap());
        }
        assert!(idle.piles[class.index()].slabs.capacity() >= 2_000);
        for _ in 0..1_000 {
            idle.stalest().unwrap();
        }
        idle.begin_period();
        while idle.expired(0).is_some() {}
        assert_eq!((idle.buffers(), idle.bytes()), (0, 0));
        assert!(idle.piles[class.index()].slabs.capacity() <= KEPT_ROOM);
    }
}
