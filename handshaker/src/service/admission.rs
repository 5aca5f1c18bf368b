//! Places for handshakes, shared so that a newcomer finds room whatever others do.
//!
//! A caller may have as many places as are free, and no more: one caller alone gets half of them, two get a third each, and what
//! is left is there for the next. A place that becomes free goes to the waiting caller with the fewest.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::{Caller, ServiceLimits};
use crate::alert::AlertCode;
use crate::error::Error;
use crate::limits::{HandshakeLimits, LimitOptions};

#[derive(Clone, Debug)]
pub(super) struct Admission(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    places: usize,
    places_per_caller: usize,
    queue: usize,
    /// Only its cores are used.
    cores: HandshakeLimits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    taken: usize,
    waiting: usize,
    /// Callers with at least one open stream.
    callers: HashMap<Caller, OfCaller>,
    next_ticket: u64,
}

#[derive(Debug, Default)]
struct OfCaller {
    /// Streams whose caller has not seen the end yet.
    open: usize,
    taken: usize,
    waiting: VecDeque<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    ticket: u64,
    granted: oneshot::Sender<()>,
}

/// An open stream of a caller, which may outlive its handshake: a caller that does not read keeps it.
#[derive(Debug)]
pub(super) struct OpenStream {
    admission: Admission,
    caller: Caller,
}

/// The place of one handshake. Dropping it makes room.
#[derive(Debug)]
pub(super) struct Place {
    admission: Admission,
    caller: Caller,
}

impl Admission {
    /// A number of 0 counts as 1, but for the queue.
    pub(super) fn new(limits: &ServiceLimits) -> Self {
        Self(Arc::new(Shared {
            places: limits.streams.max(1),
            places_per_caller: limits.streams_per_caller.max(1),
            queue: limits.queue,
            cores: HandshakeLimits::new(LimitOptions::default()),
            state: Mutex::default(),
        }))
    }

    /// Counts a stream, unless its caller has as many as could have places and wait. What is refused here costs nothing further.
    pub(super) fn open(&self, caller: Caller) -> Result<OpenStream, Error> {
        let most = self.0.places_per_caller.saturating_add(self.0.queue);
        let mut state = self.lock();
        if state.callers.get(&caller).is_some_and(|of_caller| of_caller.open >= most) {
            return Err(overloaded(
                "the caller has as many open streams as may have a place or wait in the queue",
            ));
        }
        state.callers.entry(caller).or_default().open += 1;
        Ok(OpenStream { admission: self.clone(), caller })
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// [`Error::Limit`] when too many wait already, of this caller or of all.
    pub(super) async fn enter(&self, caller: Caller) -> Result<Place, Error> {
        let Some((ticket, granted)) = self.take_or_wait(caller)? else {
            return Ok(Place { admission: self.clone(), caller });
        };
        let mut waiter = Waiter { admission: self, caller, ticket, entered: false };
        // The sender is dropped only after it has sent.
        let _ = granted.await;
        waiter.entered = true;
        Ok(Place { admission: self.clone(), caller })
    }

    /// Where the right to use a core comes from.
    pub(super) fn cores(&self) -> &HandshakeLimits {
        &self.0.cores
    }

    /// `None` if a place was taken.
    fn take_or_wait(&self, caller: Caller) -> Result<Option<(u64, oneshot::Receiver<()>)>, Error> {
        let mut state = self.lock();
        let waiting = state.callers.entry(caller).or_default().waiting.len();
        if waiting == 0 && self.has_room(&state, caller) {
            state.take(caller);
            return Ok(None);
        }
        // As with places, what one caller uses of the queue leaves room for others.
        let room = self.0.queue.saturating_mul(2).saturating_sub(state.waiting);
        if waiting >= self.0.queue.min(room) {
            state.forget_if_idle(caller);
            return Err(overloaded("the queue for handshakes is full"));
        }
        let (granted, receiver) = oneshot::channel();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        state.waiting += 1;
        state.callers.entry(caller).or_default().waiting.push_back(Waiting { ticket, granted });
        Ok(Some((ticket, receiver)))
    }

    /// Whether one more place may be the caller's.
    fn has_room(&self, state: &State, caller: Caller) -> bool {
        let taken = state.callers.get(&caller).map_or(0, |of_caller| of_caller.taken);
        let free = self.0.places.saturating_sub(state.taken);
        taken < free.min(self.0.places_per_caller)
    }

    /// Gives a place back, and free places to waiting calls.
    fn leave(&self, caller: Caller) {
        let mut state = self.lock();
        state.taken -= 1;
        if let Some(of_caller) = state.callers.get_mut(&caller) {
            of_caller.taken -= 1;
        }
        state.forget_if_idle(caller);
        self.grant(&mut state);
    }

    fn grant(&self, state: &mut State) {
        loop {
            // Callers are few; so are moments at which some wait.
            let first = |of_caller: &OfCaller| of_caller.waiting.front().map(|first| first.ticket);
            let next = (state.callers.iter())
                .filter_map(|(caller, of)| first(of).map(|ticket| (of.taken, ticket, *caller)))
                .min_by_key(|(taken, ticket, _)| (*taken, *ticket));
            let Some((_, _, caller)) = next else { return };
            // The one with the fewest has the best claim: if there is no room for it, there is none.
            if !self.has_room(state, caller) {
                return;
            }
            let waiting = state.callers.get_mut(&caller).and_then(|of| of.waiting.pop_front());
            let Some(Waiting { granted, .. }) = waiting else { return };
            state.waiting -= 1;
            state.take(caller);
            // A waiter that has just gone gives it back by itself.
            let _ = granted.send(());
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take(&mut self, caller: Caller) {
        self.taken += 1;
        self.callers.entry(caller).or_default().taken += 1;
    }

    fn forget_if_idle(&mut self, caller: Caller) {
        let idle = |of: &OfCaller| of.open == 0 && of.taken == 0 && of.waiting.is_empty();
        if self.callers.get(&caller).is_some_and(idle) {
            self.callers.remove(&caller);
        }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        let mut state = self.admission.lock();
        if let Some(of_caller) = state.callers.get_mut(&self.caller) {
            of_caller.open -= 1;
        }
        state.forget_if_idle(self.caller);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.admission.leave(self.caller);
    }
}

/// One in the queue. If it goes before it has entered, its ticket or its place goes with it.
struct Waiter<'admission> {
    admission: &'admission Admission,
    caller: Caller,
    ticket: u64,
    entered: bool,
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if self.entered {
            return;
        }
        let mut state = self.admission.lock();
        let mut found = false;
        if let Some(of_caller) = state.callers.get_mut(&self.caller) {
            let before = of_caller.waiting.len();
            of_caller.waiting.retain(|waiting| waiting.ticket != self.ticket);
            found = of_caller.waiting.len() < before;
        }
        if found {
            state.waiting -= 1;
            state.forget_if_idle(self.caller);
            // Others of this caller may have waited behind it alone.
            self.admission.grant(&mut state);
        } else {
            drop(state);
            self.admission.leave(self.caller);
        }
    }
}

fn overloaded(detail: &'static str) -> Error {
    Error::Limit { code: AlertCode::Overloaded, detail: detail.into() }
}

#[cfg(test)]
mod tests {
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn admission(streams: usize, streams_per_caller: usize, queue: usize) -> Admission {
        Admission::new(&ServiceLimits { streams, streams_per_caller, queue, ..Default::default() })
    }

    fn poll<T>(future: Pin<&mut impl Future<Output = T>>) -> Poll<T> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn enter(admission: &Admission, uid: u32) -> Poll<Result<Place, Error>> {
        poll(pin!(admission.enter(Caller::with_uid(uid))))
    }

    /// As many places as the caller gets at once.
    fn take_all(admission: &Admission, uid: u32) -> Vec<Place> {
        std::iter::from_fn(|| match enter(admission, uid) {
            Poll::Ready(place) => place.ok(),
            Poll::Pending => None,
        })
        .collect()
    }

    #[test]
    fn a_newcomer_finds_room() {
        let admission = admission(512, 256, 8);
        let places: Vec<_> = (0..10).map(|uid| take_all(&admission, uid)).collect();
        // Each takes half of what is left.
        let counts: Vec<_> = places.iter().map(Vec::len).collect();
        assert_eq!(counts, [256, 128, 64, 32, 16, 8, 4, 2, 1, 1]);
        assert!(take_all(&admission, 10).is_empty());
    }

    #[test]
    fn one_caller_never_has_more_than_its_limit() {
        assert_eq!(take_all(&admission(512, 3, 8), 1).len(), 3);
    }

    #[test]
    fn a_place_goes_to_the_caller_with_the_fewest() {
        let admission = admission(2, 2, 8);
        let (_one, two) = (enter(&admission, 1), enter(&admission, 2));
        let mut more = Box::pin(admission.enter(Caller::with_uid(1)));
        let mut first = Box::pin(admission.enter(Caller::with_uid(3)));
        assert!(poll(more.as_mut()).is_pending() && poll(first.as_mut()).is_pending());
        drop(two);
        assert!(poll(first.as_mut()).is_ready());
        assert!(poll(more.as_mut()).is_pending());
    }

    #[test]
    fn the_queue_is_bounded_for_each_and_for_all() {
        let admission = admission(1, 1, 2);
        let _place = enter(&admission, 0);
        let mut waiting = Vec::new();
        let mut queue = |uid| {
            let mut entering = Box::pin(admission.clone().enter_owned(Caller::with_uid(uid)));
            let pending = poll(entering.as_mut()).is_pending();
            waiting.push(entering);
            pending
        };
        assert!(queue(1) && queue(1));
        assert!(!queue(1));
        assert!(queue(2));
        assert!(!queue(2), "the last place in the queue is for another");
        assert!(queue(3));
        waiting.clear();
        assert_eq!(admission.lock().waiting, 0);
        assert!(matches!(enter(&admission, 1), Poll::Pending));
    }

    #[test]
    fn those_that_go_leave_nothing() {
        let admission = admission(1, 1, 2);
        let place = enter(&admission, 1);
        let mut waits = Box::pin(admission.enter(Caller::with_uid(2)));
        assert!(poll(waits.as_mut()).is_pending());
        // Granted, and not looked at any more.
        drop(place);
        assert!(enter(&admission, 3).is_pending());
        drop(waits);
        assert!(enter(&admission, 3).is_ready());
        assert!(admission.lock().callers.is_empty());
        assert_eq!(admission.lock().taken, 0);
    }

    #[test]
    fn streams_that_are_not_read_count_for_their_caller() {
        let admission = admission(4, 2, 1);
        let caller = Caller::with_uid(1);
        let mut open: Vec<_> = (0..3).map(|_| admission.open(caller).unwrap()).collect();
        assert!(matches!(admission.open(caller), Err(Error::Limit { .. })));
        assert!(admission.open(Caller::with_uid(2)).is_ok());
        open.pop();
        assert!(admission.open(caller).is_ok());
        open.clear();
        assert!(admission.lock().callers.is_empty());
    }

    #[test]
    fn the_largest_and_the_smallest_settings_work() {
        for count in [0, usize::MAX] {
            let admission = admission(count, count, count);
            let place = enter(&admission, 1);
            assert!(matches!(place, Poll::Ready(Ok(_))));
            assert!(admission.open(Caller::with_uid(1)).is_ok());
            match enter(&admission, 1) {
                Poll::Ready(Err(_)) => assert_eq!(count, 0),
                Poll::Ready(Ok(_)) => assert_eq!(count, usize::MAX),
                Poll::Pending => panic!("it waits"),
            }
        }
    }

    impl Admission {
        async fn enter_owned(self, caller: Caller) -> Result<Place, Error> {
            self.enter(caller).await
        }
    }
}
