//! The books of a pool: what is out, what lies idle, who waits. Pure bookkeeping under one lock; what
//! must not happen under it (system calls, wakers) is left in an [`AfterUnlock`].
//!
//! Invariants, whenever the lock is free:
//! * `used + idle <= cap`, in bytes; `idle <= idle_limit`.
//! * The overdraft holds at most one buffer.
//! * Nobody waits whom the free room, or the free overdraft, would serve in turn. The one exception is
//!   a system that refuses memory, see [`Supply`].

use std::collections::{BTreeMap, VecDeque};
use std::task::Waker;

use super::class::Class;
use super::config::Retention;
use super::shared::Slab;
use super::stats::PoolStats;

/// On whose account a buffer is out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Charge {
    Cap,
    /// The single permit to exceed the cap.
    Overdraft,
    /// Not the readers' business.
    Beyond,
}

/// Where a caller stands while it waits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Line {
    Ordinary,
    /// Holds part of a record already, is served first, and may use the overdraft.
    Growing,
}

/// Room in the books for one buffer: the buffer itself, or leave to map one. Whoever has a claim either
/// honours it or hands it back with [`State::refund`].
#[derive(Debug)]
#[must_use]
pub(super) struct Claim {
    pub(super) class: Class,
    pub(super) charge: Charge,
    pub(super) slab: Option<Box<Slab>>,
}

/// What a change leaves to be done once the lock is free.
#[derive(Default)]
#[expect(clippy::vec_box, reason = "unboxing would free memory under the lock")]
pub(super) struct AfterUnlock {
    pub(super) unmap: Vec<Box<Slab>>,
    pub(super) wake: Vec<Waker>,
    pub(super) start_janitor: bool,
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

/// The idle buffers of one class, the longest idle in front; taken from the back, where caches are warm.
#[derive(Default)]
struct Pile {
    slabs: VecDeque<Box<Slab>>,
    /// Number of the request that last asked for this class.
    last_asked: u64,
}

/// Whether the system still maps memory for those who wait.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Supply {
    Ample,
    /// It refused somebody who waits now. Each return lets the first in line try, and nobody else: or
    /// those with the luck of a fitting buffer would pass the others again and again.
    Refused,
    /// Something came back since.
    OneMayTry,
    /// Whoever has this ticket is trying.
    OnTrial(u64),
}

struct Waiter {
    class: Class,
    waker: Waker,
}

pub(super) struct State {
    cap: usize,
    idle_limit: usize,
    piles: [Pile; Class::COUNT],
    used: Gauge,
    idle: Gauge,
    overdraft: Gauge,
    beyond: Gauge,
    high_water: usize,
    hits: u64,
    misses: u64,
    returned: u64,
    /// Both lines in the order of ticket numbers, so that who must step back finds its place again.
    growing: BTreeMap<u64, Waiter>,
    ordinary: BTreeMap<u64, Waiter>,
    /// Served, and not collected yet.
    granted: BTreeMap<u64, Claim>,
    next_ticket: u64,
    supply: Supply,
    /// Counted up by the janitor; the clock of idle buffers.
    period: u32,
    /// Whether idle buffers need a janitor, and whether it is there.
    needs_janitor: bool,
    has_janitor: bool,
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
            piles: Default::default(),
            used: Gauge::default(),
            idle: Gauge::default(),
            overdraft: Gauge::default(),
            beyond: Gauge::default(),
            high_water: 0,
            hits: 0,
            misses: 0,
            returned: 0,
            growing: BTreeMap::new(),
            ordinary: BTreeMap::new(),
            granted: BTreeMap::new(),
            next_ticket: 0,
            supply: Supply::Ample,
            period: 0,
            needs_janitor: matches!(retention, Retention::ReleaseAfter(_)),
            has_janitor: false,
        }
    }

    // Taking.

    /// Room for a newcomer, unless it has to wait its turn.
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
        let pile = &mut self.piles[class.index()];
        pile.last_asked = self.hits + self.misses;
        let slab = pile.slabs.pop_back();
        if slab.is_some() {
            self.hits += 1;
            self.idle.sub(size);
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

    /// Whether room under the cap is being saved for a record that grows. One larger than the cap waits
    /// for the overdraft alone and saves nothing.
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

    /// Everything that somebody holds or is promised.
    fn out(&self) -> Gauge {
        Gauge {
            buffers: self.used.buffers + self.overdraft.buffers + self.beyond.buffers,
            bytes: self.used.bytes + self.overdraft.bytes + self.beyond.bytes,
        }
    }

    // Coming back.

    /// Takes a buffer back, for whoever waits or for later.
    #[inline]
    pub(super) fn put(&mut self, charge: Charge, slab: Box<Slab>, after: &mut AfterUnlock) {
        let size = slab.capacity();
        self.account(charge).sub(size);
        if self.nobody_waits() {
            let room = self.idle_room();
            if size > room {
                self.returned += size as u64;
                after.unmap.push(slab);
                return;
            }
            self.evict_to(room - size, after);
            self.shelve(slab);
        } else {
            self.something_came_back();
            self.shelve(slab);
            self.grant(after);
            self.evict_to(self.idle_room(), after);
        }
        if self.needs_janitor && !self.has_janitor && self.idle.buffers > 0 {
            self.has_janitor = true;
            after.start_janitor = true;
        }
    }

    /// Takes back a claim that was not honoured, and serves who waits for the room.
    pub(super) fn refund(&mut self, claim: Claim, after: &mut AfterUnlock) {
        if let Some(slab) = claim.slab {
            self.put(claim.charge, slab, after);
        } else {
            self.account(claim.charge).sub(claim.class.capacity());
            self.grant(after);
        }
    }

    fn shelve(&mut self, mut slab: Box<Slab>) {
        slab.fell_idle = self.period;
        self.idle.add(slab.capacity());
        self.piles[slab.class.index()].slabs.push_back(slab);
    }

    fn idle_room(&self) -> usize {
        self.idle_limit.min(self.cap - self.used.bytes)
    }

    // Waiting.

    pub(super) fn nobody_waits(&self) -> bool {
        self.ordinary.is_empty() && self.growing.is_empty()
    }

    fn line(&mut self, line: Line) -> &mut BTreeMap<u64, Waiter> {
        match line {
            Line::Ordinary => &mut self.ordinary,
            Line::Growing => &mut self.growing,
        }
    }

    /// Puts a caller at the end of its line and says under which number.
    pub(super) fn join(&mut self, line: Line, class: Class, waker: Waker) -> u64 {
        let id = self.new_ticket();
        self.line(line).insert(id, Waiter { class, waker });
        id
    }

    fn new_ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket
    }

    /// What was granted under this number. If nothing yet, `waker` is exchanged for the stored one.
    pub(super) fn collect(&mut self, line: Line, id: u64, waker: &mut Waker) -> Option<Claim> {
        if let Some(waiter) = self.line(line).get_mut(&id) {
            std::mem::swap(&mut waiter.waker, waker);
            return None;
        }
        self.granted.remove(&id)
    }

    /// Gives up a place or a grant. The waker is returned so that it is dropped outside the lock.
    pub(super) fn leave(&mut self, line: Line, id: u64, after: &mut AfterUnlock) -> Option<Waker> {
        if self.supply == Supply::OnTrial(id) {
            self.supply = Supply::OneMayTry;
        }
        if let Some(claim) = self.granted.remove(&id) {
            self.refund(claim, after);
            return None;
        }
        let waiter = self.line(line).remove(&id)?;
        // It may have been the one that the others could not pass.
        self.something_came_back();
        self.grant(after);
        Some(waiter.waker)
    }

    /// The system refused to map what was claimed, after everything idle had been unmapped. If buffers
    /// are out, their return can help: the caller waits at its old place (or a new one) and the number
    /// of its ticket is returned. Otherwise nothing is left to wait for.
    pub(super) fn mapping_refused(
        &mut self,
        claim: &Claim,
        line: Line,
        id: Option<u64>,
        waker: Waker,
        after: &mut AfterUnlock,
    ) -> Option<u64> {
        self.account(claim.charge).sub(claim.class.capacity());
        let on_trial = matches!(self.supply, Supply::OnTrial(other) if Some(other) != id);
        if !on_trial {
            self.supply = Supply::Refused;
        }
        if self.idle.buffers > 0 {
            // Another thread has returned a buffer since: this caller may well be granted again at once.
            self.something_came_back();
        }
        let id = if self.out().buffers == 0 && self.idle.buffers == 0 {
            after.wake.push(waker);
            None
        } else {
            let id = id.unwrap_or_else(|| self.new_ticket());
            self.line(line).insert(id, Waiter { class: claim.class, waker });
            Some(id)
        };
        self.grant(after);
        id
    }

    /// The system did map what had been granted to this ticket.
    pub(super) fn mapping_succeeded(&mut self, id: u64, after: &mut AfterUnlock) {
        if self.supply == Supply::OnTrial(id) {
            self.supply = Supply::Ample;
            self.grant(after);
        }
    }

    fn something_came_back(&mut self) {
        if self.supply == Supply::Refused {
            self.supply = Supply::OneMayTry;
        }
    }

    /// Serves both lines as far as room goes: who grows a record before the others.
    fn grant(&mut self, after: &mut AfterUnlock) {
        if self.nobody_waits() {
            self.supply = Supply::Ample;
            return;
        }
        if self.out().buffers == 0 {
            // Nothing will come back by itself: they learn it by trying, one after the other.
            self.something_came_back();
        }
        for line in [Line::Growing, Line::Ordinary] {
            while let Some((&id, waiter)) = self.line(line).first_key_value() {
                let class = waiter.class;
                let Some(charge) = self.affordable(class, line) else {
                    break;
                };
                if matches!(self.supply, Supply::Refused | Supply::OnTrial(_)) {
                    return;
                }
                let Some(waiter) = self.line(line).remove(&id) else {
                    break;
                };
                after.wake.push(waiter.waker);
                let claim = self.claim(class, charge, after);
                if self.supply == Supply::OneMayTry {
                    let served = claim.slab.is_some();
                    self.supply = if served { Supply::Refused } else { Supply::OnTrial(id) };
                }
                self.granted.insert(id, claim);
            }
            if self.growing_comes_first() {
                return;
            }
        }
    }

    // Giving back to the system.

    /// Unmaps idle buffers, of the class not asked for the longest first, until at most `limit` bytes are
    /// idle.
    pub(super) fn evict_to(&mut self, limit: usize, after: &mut AfterUnlock) {
        while self.idle.bytes > limit {
            let stalest = self
                .piles
                .iter_mut()
                .filter(|pile| !pile.slabs.is_empty())
                .min_by_key(|pile| pile.last_asked);
            let Some(slab) = stalest.and_then(|pile| pile.slabs.pop_front()) else {
                break;
            };
            self.release(slab, after);
        }
    }

    /// Ends a period of the janitor: unmaps what has been idle for more than `periods` of them. Says
    /// whether anything idle is left to come back for.
    pub(super) fn expire(&mut self, periods: u32, after: &mut AfterUnlock) -> bool {
        self.period = self.period.wrapping_add(1);
        let now = self.period;
        for index in 0..Class::COUNT {
            while let Some(slab) = self.piles[index]
                .slabs
                .pop_front_if(|slab| now.wrapping_sub(slab.fell_idle) > periods)
            {
                self.release(slab, after);
            }
        }
        self.idle.buffers > 0
    }

    fn release(&mut self, slab: Box<Slab>, after: &mut AfterUnlock) {
        self.idle.sub(slab.capacity());
        self.returned += slab.capacity() as u64;
        after.unmap.push(slab);
    }

    /// Nobody can take any more: nothing is kept from now on.
    pub(super) fn close(&mut self, after: &mut AfterUnlock) {
        self.idle_limit = 0;
        self.evict_to(0, after);
    }

    pub(super) fn nothing_idle(&self) -> bool {
        self.idle.buffers == 0
    }

    pub(super) fn janitor_ended(&mut self) {
        self.has_janitor = false;
    }

    pub(super) fn stats(&self) -> PoolStats {
        PoolStats {
            cap_bytes: self.cap,
            in_use_buffers: self.used.buffers,
            in_use_bytes: self.used.bytes,
            idle_buffers: self.idle.buffers,
            idle_bytes: self.idle.bytes,
            overdraft_bytes: self.overdraft.bytes,
            beyond_cap_buffers: self.beyond.buffers,
            beyond_cap_bytes: self.beyond.bytes,
            high_water_bytes: self.high_water,
            hits: self.hits,
            misses: self.misses,
            returned_bytes: self.returned,
            waiting: self.ordinary.len() + self.growing.len(),
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
