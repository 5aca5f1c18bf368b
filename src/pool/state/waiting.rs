//! Requests that wait, and which of them is served when room appears.

use std::collections::BTreeMap;
use std::task::Waker;

use super::{AfterUnlock, Claim, Class, Line, State};

/// Whether the system still maps memory for waiters.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Supply {
    Ample,
    /// It refused a request that waits now. Each returned buffer lets only the first waiter try:
    /// otherwise requests that happen to fit a returned buffer would overtake it again and again.
    Refused,
    /// A buffer came back since.
    OneMayTry,
    /// The holder of this ticket is trying.
    OnTrial(u64),
}

pub(super) struct Waiter {
    pub(super) class: Class,
    waker: Waker,
}

impl State {
    pub(in crate::pool) fn nobody_waits(&self) -> bool {
        self.ordinary.is_empty() && self.growing.is_empty()
    }

    fn line(&mut self, line: Line) -> &mut BTreeMap<u64, Waiter> {
        match line {
            Line::Ordinary => &mut self.ordinary,
            Line::Growing => &mut self.growing,
        }
    }

    /// Puts a caller at the end of its queue and returns the number of its ticket.
    pub(in crate::pool) fn join(&mut self, line: Line, class: Class, waker: Waker) -> u64 {
        let id = self.new_ticket();
        self.waited += 1;
        self.line(line).insert(id, Waiter { class, waker });
        id
    }

    fn new_ticket(&mut self) -> u64 {
        self.next_ticket += 1;
        self.next_ticket
    }

    /// What was granted under this number. If nothing yet, `waker` is exchanged for the stored one.
    pub(in crate::pool) fn collect(
        &mut self,
        line: Line,
        id: u64,
        waker: &mut Waker,
    ) -> Option<Claim> {
        if let Some(waiter) = self.line(line).get_mut(&id) {
            std::mem::swap(&mut waiter.waker, waker);
            return None;
        }
        self.granted.remove(&id)
    }

    /// Gives up a ticket or a grant. The waker is returned so that it is dropped outside the lock.
    pub(in crate::pool) fn leave(
        &mut self,
        line: Line,
        id: u64,
        after: &mut AfterUnlock,
    ) -> Option<Waker> {
        if self.supply == Supply::OnTrial(id) {
            self.supply = Supply::OneMayTry;
        }
        if let Some(claim) = self.granted.remove(&id) {
            self.refund(claim, after);
            return None;
        }
        let waiter = self.line(line).remove(&id)?;
        // It may have been the one that the others could not overtake.
        self.something_came_back();
        self.grant(after);
        Some(waiter.waker)
    }

    /// The system refused to map what was claimed, after everything idle had been unmapped. If
    /// buffers are out, their return can help: the caller waits with its ticket (or a new one),
    /// whose number is returned. Otherwise there is nothing to wait for, and its waker is returned.
    pub(in crate::pool) fn mapping_refused(
        &mut self,
        claim: &Claim,
        line: Line,
        id: Option<u64>,
        waker: Waker,
        after: &mut AfterUnlock,
    ) -> Result<u64, Waker> {
        self.account(claim.charge).sub(claim.class.capacity());
        let on_trial = matches!(self.supply, Supply::OnTrial(other) if Some(other) != id);
        if !on_trial {
            self.supply = Supply::Refused;
        }
        if self.idle.buffers() > 0 {
            // Another thread has returned a buffer since: this caller may well be granted again at
            // once.
            self.something_came_back();
        }
        let ticket = if self.out().buffers == 0 && self.idle.buffers() == 0 {
            Err(waker)
        } else {
            let id = id.unwrap_or_else(|| self.new_ticket());
            self.line(line).insert(id, Waiter { class: claim.class, waker });
            Ok(id)
        };
        self.grant(after);
        ticket
    }

    /// The system did map what had been granted to this ticket.
    pub(in crate::pool) fn mapping_succeeded(&mut self, id: u64, after: &mut AfterUnlock) {
        if self.supply == Supply::OnTrial(id) {
            self.supply = Supply::Ample;
            self.grant(after);
        }
    }

    pub(super) fn something_came_back(&mut self) {
        if self.supply == Supply::Refused {
            self.supply = Supply::OneMayTry;
        }
    }

    /// Serves both queues as far as there is room, growing records first.
    pub(super) fn grant(&mut self, after: &mut AfterUnlock) {
        if self.nobody_waits() {
            self.supply = Supply::Ample;
            return;
        }
        if self.out().buffers == 0 {
            // Nothing will come back by itself: waiters find out by trying, one after the other.
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
}
