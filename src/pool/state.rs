//! The books of a pool: which buffers are out, which are idle, which requests wait. Pure
//! bookkeeping under one lock; what must not happen under it (system calls, wakers) is left in an
//! [`AfterUnlock`].
//!
//! Invariants, whenever the lock is free:
//! * `used + idle <= cap`, in bytes; `idle <= idle_limit`.
//! * The overdraft is held by one holder at a time: with one buffer, and more only while that one
//!   grows.
//! * No request waits that the free room, or the free overdraft, would serve in turn. The one
//!   exception is a system that refuses memory, see [`Supply`].

mod pressure;
mod waiting;

use std::collections::BTreeMap;
use std::task::Waker;

use super::class::Class;
use super::config::Retention;
use super::idle::Idle;
use super::slab::Slab;
use super::stats::PoolStats;
use pressure::Want;
pub(super) use pressure::Watch;
use waiting::{Supply, Waiter};

/// On whose account a buffer is out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Charge {
    Cap,
    /// The single permit to exceed the cap.
    Overdraft,
    /// Outside the cap, which is for readers.
    Beyond,
}

/// The queue that a caller waits in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Line {
    Ordinary,
    /// For holders of part of a record: served first, and may use the overdraft.
    Growing,
}

/// Room in the books for one buffer: the buffer itself, or permission to map one. The holder of a
/// claim either honors it or hands it back with [`State::refund`].
#[derive(Debug)]
#[must_use]
pub(super) struct Claim {
    pub(super) class: Class,
    pub(super) charge: Charge,
    pub(super) slab: Option<Slab>,
}

/// What a change leaves to be done once the lock is free.
#[derive(Default)]
pub(super) struct AfterUnlock {
    pub(super) unmap: Vec<Slab>,
    pub(super) wake: Vec<Waker>,
    pub(super) start_janitor: bool,
    pub(super) start_watch: bool,
}

#[derive(Clone, Copy, Default)]
struct Gauge {
    buffers: usize,
    bytes: usize,
}

impl Gauge {
    fn add(&mut self, bytes: usize) {
        self.buffers += 1;
        self.bytes += bytes;
    }

    fn sub(&mut self, bytes: usize) {
        self.buffers -= 1;
        self.bytes -= bytes;
    }
}

pub(super) struct State {
    cap: usize,
    idle_limit: usize,
    idle: Idle,
    used: Gauge,
    overdraft: Gauge,
    beyond: Gauge,
    high_water: usize,
    hits: u64,
    misses: u64,
    returned: u64,
    /// Requests that had to wait, and those that could not.
    waited: u64,
    refused: u64,
    want: Want,
    /// Both queues in the order of ticket numbers, so that a caller that must step back finds its
    /// position again.
    growing: BTreeMap<u64, Waiter>,
    ordinary: BTreeMap<u64, Waiter>,
    /// Served, and not collected yet.
    granted: BTreeMap<u64, Claim>,
    next_ticket: u64,
    supply: Supply,
    /// Whether idle buffers need a janitor, and whether it is there.
    needs_janitor: bool,
    has_janitor: bool,
    /// The last handle is gone.
    closed: bool,
}

impl State {
    pub(super) fn new(cap: usize, retention: Retention) -> Self {
        Self {
            cap,
            idle_limit: match retention {
                Retention::KeepUpTo(bytes) => bytes,
                Retention::ReleaseAfter(_) => usize::MAX,
                Retention::NeverKeep => 0,
            },
            idle: Idle::default(),
            used: Gauge::default(),
            overdraft: Gauge::default(),
            beyond: Gauge::default(),
            high_water: 0,
            hits: 0,
            misses: 0,
            returned: 0,
            waited: 0,
            refused: 0,
            want: Want::default(),
            growing: BTreeMap::new(),
            ordinary: BTreeMap::new(),
            granted: BTreeMap::new(),
            next_ticket: 0,
            supply: Supply::Ample,
            needs_janitor: matches!(retention, Retention::ReleaseAfter(_)),
            has_janitor: false,
            closed: false,
        }
    }

    // Taking.

    /// Room for a new request, unless it has to wait its turn.
    #[inline]
    pub(super) fn claim_at_once(
        &mut self,
        class: Class,
        line: Line,
        after: &mut AfterUnlock,
    ) -> Option<Claim> {
        let in_turn = match line {
            Line::Ordinary => self.ordinary.is_empty() && !self.growing_comes_first(),
            Line::Growing => self.growing.is_empty(),
        };
        if !in_turn {
            return None;
        }
        let charge = self.affordable(class, line)?;
        Some(self.claim(class, charge, after))
    }

    /// Books a buffer that the caller has found affordable (or that nothing limits).
    #[inline]
    pub(super) fn claim(&mut self, class: Class, charge: Charge, after: &mut AfterUnlock) -> Claim {
        let size = class.capacity();
        let slab = self.idle.take(class, self.hits + self.misses);
        if slab.is_some() {
            self.hits += 1;
        } else {
            self.misses += 1;
            if charge == Charge::Cap {
                self.evict_to(self.cap - self.used.bytes - size, after);
            }
        }
        self.account(charge).add(size);
        self.high_water = self.high_water.max(self.out().bytes);
        Claim { class, charge, slab }
    }

    /// The account that can bear a buffer of this class now.
    fn affordable(&self, class: Class, line: Line) -> Option<Charge> {
        if class.capacity() <= self.cap - self.used.bytes {
            Some(Charge::Cap)
        } else if line == Line::Growing && self.overdraft.buffers == 0 {
            Some(Charge::Overdraft)
        } else {
            None
        }
    }

    /// Whether room under the cap is being saved for a record that grows. One larger than the cap
    /// waits for the overdraft alone and saves nothing.
    fn growing_comes_first(&self) -> bool {
        self.growing
            .first_key_value()
            .is_some_and(|(_, waiter)| waiter.class.capacity() <= self.cap)
    }

    fn account(&mut self, charge: Charge) -> &mut Gauge {
        match charge {
            Charge::Cap => &mut self.used,
            Charge::Overdraft => &mut self.overdraft,
            Charge::Beyond => &mut self.beyond,
        }
    }

    /// Everything that is held or promised.
    fn out(&self) -> Gauge {
        Gauge {
            buffers: self.used.buffers + self.overdraft.buffers + self.beyond.buffers,
            bytes: self.used.bytes + self.overdraft.bytes + self.beyond.bytes,
        }
    }

    // Coming back.

    /// Takes a buffer back, for the next waiter or for later.
    #[inline]
    pub(super) fn put(&mut self, charge: Charge, slab: Slab, after: &mut AfterUnlock) {
        let size = slab.capacity();
        self.account(charge).sub(size);
        self.want.turned_away = false;
        if self.nobody_waits() {
            let room = self.idle_room();
            if size > room {
                return self.release(slab, after);
            }
            self.evict_to(room - size, after);
            self.idle.put(slab);
        } else {
            self.something_came_back();
            self.idle.put(slab);
            self.grant(after);
            self.evict_to(self.idle_room(), after);
        }
        if self.needs_janitor && !self.has_janitor && self.idle.buffers() > 0 {
            self.has_janitor = true;
            after.start_janitor = true;
        }
    }

    /// Takes back a claim that was not honored, and serves the next waiter.
    pub(super) fn refund(&mut self, claim: Claim, after: &mut AfterUnlock) {
        if let Some(slab) = claim.slab {
            self.put(claim.charge, slab, after);
        } else {
            self.account(claim.charge).sub(claim.class.capacity());
            self.grant(after);
        }
    }

    fn idle_room(&self) -> usize {
        self.idle_limit.min(self.cap - self.used.bytes)
    }

    // Giving back to the system.

    /// Unmaps idle buffers, of the class not asked for the longest first, until at most `limit`
    /// bytes are idle.
    #[inline]
    pub(super) fn evict_to(&mut self, limit: usize, after: &mut AfterUnlock) {
        while self.idle.bytes() > limit
            && let Some(slab) = self.idle.stalest()
        {
            self.release(slab, after);
        }
    }

    /// Ends a period of the janitor: unmaps what has been idle for more than `periods` of them.
    /// Returns whether anything idle is left to come back for.
    pub(super) fn expire(&mut self, periods: u32, after: &mut AfterUnlock) -> bool {
        self.idle.begin_period();
        while let Some(slab) = self.idle.expired(periods) {
            self.release(slab, after);
        }
        !self.nothing_idle()
    }

    fn release(&mut self, slab: Slab, after: &mut AfterUnlock) {
        self.returned += slab.capacity() as u64;
        after.unmap.push(slab);
    }

    /// Nothing can be taken any more: nothing is kept from now on.
    pub(super) fn close(&mut self, after: &mut AfterUnlock) {
        self.closed = true;
        self.idle_limit = 0;
        self.evict_to(0, after);
    }

    pub(super) fn nothing_idle(&self) -> bool {
        self.idle.buffers() == 0
    }

    pub(super) fn janitor_ended(&mut self) {
        self.has_janitor = false;
    }

    pub(super) fn stats(&self) -> PoolStats {
        PoolStats {
            cap_bytes: self.cap,
            in_use_buffers: self.used.buffers,
            in_use_bytes: self.used.bytes,
            idle_buffers: self.idle.buffers(),
            idle_bytes: self.idle.bytes(),
            overdraft_bytes: self.overdraft.bytes,
            beyond_cap_buffers: self.beyond.buffers,
            beyond_cap_bytes: self.beyond.bytes,
            high_water_bytes: self.high_water,
            hits: self.hits,
            misses: self.misses,
            returned_bytes: self.returned,
            waiting: self.ordinary.len() + self.growing.len(),
            waited: self.waited,
            refused: self.refused,
            pressed: self.pressed(),
            pressed_since: self.want.pressure.map(|pressure| pressure.since),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_buffer_expires_after_whole_periods_of_idleness() {
        let class = Class::fitting(1).unwrap();
        let mut state = State::new(1 << 20, Retention::ReleaseAfter(Duration::from_secs(1)));
        let mut after = AfterUnlock::default();
        let old = state.claim(class, Charge::Cap, &mut after);
        let young = state.claim(class, Charge::Cap, &mut after);
        state.put(old.charge, Slab::map(class).unwrap(), &mut after);
        assert!(state.expire(2, &mut after), "the period it was returned in was not a whole one");
        state.put(young.charge, Slab::map(class).unwrap(), &mut after);
        assert!(state.expire(2, &mut after));
        assert_eq!(state.stats().idle_buffers, 2);
        assert!(state.expire(2, &mut after));
        assert_eq!(state.stats().idle_buffers, 1);
        assert!(!state.expire(2, &mut after));
        assert_eq!(after.unmap.len(), 2);
    }
}
