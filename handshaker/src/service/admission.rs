//! Places for handshakes: so many in all, so many for each caller.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use super::{Caller, ServiceLimits};
use crate::error::Error;
use crate::limits::{HalfOpen, HandshakeLimits, LimitOptions};

/// Callers whose entries are kept though they have nothing under way. An entry is small; looking for idle ones is not free.
const IDLE_CALLERS: usize = 64;

#[derive(Debug)]
pub(super) struct Admission {
    all: HandshakeLimits,
    of_caller: LimitOptions,
    callers: Mutex<HashMap<Caller, HandshakeLimits>>,
}

/// The place of one handshake. Dropping it makes room.
#[derive(Debug)]
pub(super) struct Place {
    _of_caller: HalfOpen,
    _of_all: HalfOpen,
}

impl Admission {
    pub(super) fn new(limits: &ServiceLimits) -> Self {
        let options =
            |half_open| LimitOptions { half_open, queue: limits.queue, ..LimitOptions::default() };
        Self {
            all: HandshakeLimits::new(options(limits.streams)),
            of_caller: options(limits.streams_per_caller),
            callers: Mutex::default(),
        }
    }

    /// Waits for a place.
    pub(super) async fn enter(&self, caller: Caller) -> Result<Place, Error> {
        // The caller's own queue comes first: in that of all it would stand in the way of others.
        let of_caller = self.limits_of(caller).enter(None).await?;
        let of_all = self.all.enter(None).await?;
        Ok(Place { _of_caller: of_caller, _of_all: of_all })
    }

    /// Where the right to use a core comes from.
    pub(super) fn cores(&self) -> &HandshakeLimits {
        &self.all
    }

    fn limits_of(&self, caller: Caller) -> HandshakeLimits {
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        if callers.len() >= IDLE_CALLERS && !callers.contains_key(&caller) {
            callers.retain(|_, limits| limits.half_open() > 0);
        }
        let new = || HandshakeLimits::new(self.of_caller.clone());
        callers.entry(caller).or_insert_with(new).clone()
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn enter(admission: &Admission, uid: u32) -> Poll<Result<Place, Error>> {
        pin!(admission.enter(Caller::with_uid(uid))).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn one_caller_leaves_room_for_others() {
        let limits = ServiceLimits { streams: 4, streams_per_caller: 2, ..Default::default() };
        let admission = Admission::new(&limits);
        let mut places = Vec::new();
        for uid in [1, 1, 2, 2] {
            let Poll::Ready(Ok(place)) = enter(&admission, uid) else { panic!("no place") };
            places.push(place);
        }
        assert!(enter(&admission, 1).is_pending());
        assert!(enter(&admission, 3).is_pending());
        places.pop();
        assert!(enter(&admission, 1).is_pending());
        assert!(enter(&admission, 3).is_ready());
    }

    #[test]
    fn idle_callers_are_forgotten() {
        let admission = Admission::new(&ServiceLimits::default());
        let busy = enter(&admission, 0);
        for uid in 1..1_000 {
            assert!(enter(&admission, uid).is_ready());
        }
        let callers = admission.callers.lock().unwrap();
        assert!(callers.len() <= IDLE_CALLERS);
        assert!(callers.contains_key(&Caller::with_uid(0)));
        drop(busy);
    }
}
