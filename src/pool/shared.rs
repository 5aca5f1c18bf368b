//! What all handles, buffers and tickets of one pool share: the lock, and the system calls around
//! it.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use super::buffer::PooledBuf;
use super::class::Class;
use super::config::{BufferPoolBuilder, Retention};
use super::error::PoolError;
use super::janitor;
use super::slab::Slab;
use super::state::{AfterUnlock, Charge, Claim, Line, State};
use super::ticket::Ticket;

pub(super) struct Shared {
    state: Mutex<State>,
    /// Wakes the janitor early: the pool was closed or trimmed.
    janitor_call: Condvar,
    /// Handles, as opposed to buffers and tickets, which keep this struct alive but not the pool
    /// open.
    handles: AtomicUsize,
    release_after: Option<Duration>,
    pub(super) cap: usize,
}

impl Shared {
    /// The state and constants of a pool with one handle.
    pub(super) fn new(checked: &BufferPoolBuilder) -> Self {
        Self {
            state: Mutex::new(State::new(checked.cap, checked.retention)),
            janitor_call: Condvar::new(),
            handles: AtomicUsize::new(1),
            release_after: match checked.retention {
                Retention::ReleaseAfter(time) => Some(time),
                _ => None,
            },
            cap: checked.cap,
        }
    }

    pub(super) fn add_handle(&self) {
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    /// Closes the pool with its last handle.
    pub(super) fn drop_handle(self: &Arc<Self>) {
        if self.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.change(State::close);
            self.janitor_call.notify_one();
        }
    }

    /// The state even after a panic: no code of others runs under the lock, and ours leaves no
    /// change half done.
    #[inline]
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state under the lock, and does what is left when the lock is free.
    #[inline]
    pub(super) fn change<R>(
        self: &Arc<Self>,
        change: impl FnOnce(&mut State, &mut AfterUnlock) -> R,
    ) -> R {
        let mut after = AfterUnlock::default();
        let result = change(&mut self.lock(), &mut after);
        self.settle(after);
        result
    }

    #[inline]
    pub(super) fn settle(self: &Arc<Self>, after: AfterUnlock) {
        // First memory goes, then those are woken who may have to map some.
        drop(after.unmap);
        for waker in after.wake {
            waker.wake();
        }
        if after.start_janitor
            && let Some(time) = self.release_after
            && janitor::spawn(Arc::clone(self), time).is_err()
        {
            self.change(|state, after| {
                state.janitor_ended();
                state.evict_to(0, after);
            });
        }
    }

    /// Takes without waiting.
    #[inline]
    pub(super) fn take(self: &Arc<Self>, class: Class, line: Line) -> Result<PooledBuf, PoolError> {
        self.change(|state, after| state.claim_at_once(class, line, after))
            .map_or(Err(PoolError::AtCap), |claim| self.honour_or_refund(claim))
    }

    /// Takes on an account that the cap does not limit.
    pub(super) fn take_unlimited(
        self: &Arc<Self>,
        class: Class,
        charge: Charge,
    ) -> Result<PooledBuf, PoolError> {
        let claim = self.change(|state, after| state.claim(class, charge, after));
        self.honour_or_refund(claim)
    }

    #[inline]
    fn honour_or_refund(self: &Arc<Self>, claim: Claim) -> Result<PooledBuf, PoolError> {
        self.honour(claim).map_err(|(claim, kind)| {
            self.change(|state, after| state.refund(claim, after));
            PoolError::Map(kind)
        })
    }

    /// Turns a claim into a buffer, with a new mapping if need be.
    #[inline]
    fn honour(self: &Arc<Self>, claim: Claim) -> Result<PooledBuf, (Claim, io::ErrorKind)> {
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

    /// Takes, or waits in `line`; `ticket` holds the place between two calls.
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
        // Wakers are cloned, and those not stored dropped, outside the lock: that runs code of
        // others.
        let claimed = if let Some(ticket) = ticket {
            let mut waker = waker.clone();
            self.change(|state, _| state.collect(line, ticket.id(), &mut waker))
        } else {
            self.change(|state, after| state.claim_at_once(class, line, after)).or_else(|| {
                let mut waker = Some(waker.clone());
                self.change(|state, after| {
                    // Room may have appeared in between, with nobody to tell us.
                    let claim = state.claim_at_once(class, line, after);
                    if claim.is_none()
                        && let Some(waker) = waker.take()
                    {
                        let id = state.join(line, class, waker);
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
        match self.honour(claim) {
            Ok(buffer) => {
                if to_be_mapped && let Some(ticket) = &spent {
                    self.change(|state, after| state.mapping_succeeded(ticket.id(), after));
                }
                Poll::Ready(Ok(buffer))
            }
            Err((claim, kind)) => {
                let waker = waker.clone();
                let id = spent.as_ref().map(Ticket::id);
                let place = self
                    .change(|state, after| state.mapping_refused(&claim, line, id, waker, after));
                let Ok(id) = place else {
                    return Poll::Ready(Err(PoolError::Map(kind)));
                };
                *ticket = spent.or_else(|| Some(Ticket::new(Arc::clone(self), id, class, line)));
                Poll::Pending
            }
        }
    }

    /// Unmaps everything idle and says how many bytes that was.
    pub(super) fn trim(self: &Arc<Self>) -> usize {
        let bytes = self.change(|state, after| {
            let bytes = state.stats().idle_bytes;
            state.evict_to(0, after);
            bytes
        });
        self.janitor_call.notify_one();
        bytes
    }

    /// Sleeps for `time`, or until nothing is idle and somebody said so. Says whether to go on.
    pub(super) fn janitor_sleep(&self, time: Duration) -> bool {
        let (mut state, _) = self
            .janitor_call
            .wait_timeout_while(self.lock(), time, |state| !state.nothing_idle())
            .unwrap_or_else(PoisonError::into_inner);
        if state.nothing_idle() {
            state.janitor_ended();
            return false;
        }
        true
    }
}
