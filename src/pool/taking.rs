//! From a request to a buffer: the books are consulted under the lock, the system without it.

use std::io;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Instant;

use super::buffer::PooledBuf;
use super::class::Class;
use super::error::PoolError;
use super::inner::Inner;
use super::slab::Slab;
use super::state::{Charge, Claim, Line};
use super::ticket::Ticket;

impl Inner {
    /// Takes without waiting.
    #[inline]
    pub(super) fn take(self: &Arc<Self>, class: Class, line: Line) -> Result<PooledBuf, PoolError> {
        self.change(|state, after| state.claim_at_once(class, line, after))
            .map_or(Err(PoolError::AtCap), |claim| self.honor_or_refund(claim))
    }

    /// Takes on an account that the cap does not limit.
    pub(super) fn take_unlimited(
        self: &Arc<Self>,
        class: Class,
        charge: Charge,
    ) -> Result<PooledBuf, PoolError> {
        let claim = self.change(|state, after| state.claim(class, charge, after));
        self.honor_or_refund(claim)
    }

    #[inline]
    fn honor_or_refund(self: &Arc<Self>, claim: Claim) -> Result<PooledBuf, PoolError> {
        self.honor(claim).map_err(|(claim, kind)| {
            self.change(|state, after| state.refund(claim, after));
            PoolError::Map(kind)
        })
    }

    /// Turns a claim into a buffer, with a new mapping if need be.
    #[inline]
    fn honor(self: &Arc<Self>, claim: Claim) -> Result<PooledBuf, (Claim, io::ErrorKind)> {
        let (class, charge) = (claim.class, claim.charge);
        let slab = match claim.slab {
            Some(slab) => slab,
            None => self.map(class).map_err(|kind| (Claim { class, charge, slab: None }, kind))?,
        };
        Ok(PooledBuf::new(Arc::clone(self), slab, charge))
    }

    /// Maps a buffer; if the system refuses, once more after everything idle is unmapped.
    #[cold]
    fn map(self: &Arc<Self>, class: Class) -> Result<Slab, io::ErrorKind> {
        Slab::map(class).or_else(|_| {
            self.change(|state, after| state.evict_to(0, after));
            Slab::map(class).map_err(|error| error.kind())
        })
    }

    /// Takes, or waits in `line` with `ticket`.
    pub(super) fn poll_take(
        self: &Arc<Self>,
        waker: &Waker,
        ticket: &mut Option<Ticket>,
        class: Class,
        line: Line,
    ) -> Poll<Result<PooledBuf, PoolError>> {
        if ticket.as_ref().is_some_and(|ticket| !ticket.is_for(self, class, line)) {
            *ticket = None;
        }
        // Wakers are cloned and dropped outside the lock: that runs foreign code.
        let claimed = if let Some(ticket) = ticket {
            let mut waker = waker.clone();
            self.change(|state, _| state.collect(line, ticket.id(), &mut waker))
        } else {
            self.change(|state, after| state.claim_at_once(class, line, after)).or_else(|| {
                let mut waker = Some(waker.clone());
                let now = Instant::now();
                self.change(|state, after| {
                    // Room may have appeared in between, before there was a ticket to wake.
                    let claim = state.claim_at_once(class, line, after);
                    if claim.is_none()
                        && let Some(waker) = waker.take()
                    {
                        let id = state.join(line, class, waker);
                        state.press(now, after);
                        *ticket = Some(Ticket::new(Arc::clone(self), id, class, line));
                    }
                    claim
                })
            })
        };
        let Some(claim) = claimed else {
            return Poll::Pending;
        };
        let spent = ticket.take();
        let to_be_mapped = claim.slab.is_none();
        match self.honor(claim) {
            Ok(buffer) => {
                if to_be_mapped && let Some(ticket) = &spent {
                    self.change(|state, after| state.mapping_succeeded(ticket.id(), after));
                }
                Poll::Ready(Ok(buffer))
            }
            Err((claim, kind)) => {
                let waker = waker.clone();
                let id = spent.as_ref().map(Ticket::id);
                let waiting = self
                    .change(|state, after| state.mapping_refused(&claim, line, id, waker, after));
                let Ok(id) = waiting else {
                    return Poll::Ready(Err(PoolError::Map(kind)));
                };
                *ticket = spent.or_else(|| Some(Ticket::new(Arc::clone(self), id, class, line)));
                Poll::Pending
            }
        }
    }
}
