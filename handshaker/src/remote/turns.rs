//! Turns at a service: how many calls this process has open there, and which of them ends when another is wanted.
//!
//! A call has a turn while the service is asked. While it waits for its peer it keeps the turn only as long as nobody else wants it,
//! or for a short time: peers that say nothing must not keep others from the service.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// The turns of one role. `C` is a call, which holds its [`Turn`].
#[derive(Debug)]
pub(super) struct Turns<C>(Arc<Shared<C>>);

#[derive(Debug)]
struct Shared<C> {
    limit: usize,
    /// How long a call may wait for its peer while others wait for a turn.
    peer_timeout: Duration,
    /// Held by the first that waits for a turn; the others wait for it, in their order.
    first: tokio::sync::Mutex<()>,
    /// A turn has become free, or a call has begun to wait for its peer.
    changed: Notify,
    state: Mutex<State<C>>,
}

#[derive(Debug)]
struct State<C> {
    taken: usize,
    /// Calls that wait for their peers, by when the handshake last advanced, and a number.
    parked: BTreeMap<(Instant, u64), Waiting<C>>,
    next_number: u64,
}

#[derive(Debug)]
struct Waiting<C> {
    call: C,
    /// Of who drives the handshake, to be told of the end.
    waker: Option<Waker>,
}

/// A turn, until it is dropped.
#[derive(Debug)]
pub(super) struct Turn<C>(Arc<Shared<C>>);

/// A call that waits for its peer. Dropping this ends it.
#[derive(Debug)]
pub(super) struct Parked<C> {
    turns: Arc<Shared<C>>,
    key: (Instant, u64),
}

impl<C> Turns<C> {
    pub(super) fn new(limit: usize, peer_timeout: Duration) -> Self {
        Self(Arc::new(Shared {
            limit,
            peer_timeout,
            first: tokio::sync::Mutex::default(),
            changed: Notify::new(),
            state: Mutex::new(State { taken: 0, parked: BTreeMap::new(), next_number: 0 }),
        }))
    }

    /// Waits for a turn, for which a call that waits for its peer for too long may be ended.
    pub(super) async fn take(&self) -> Turn<C> {
        let shared = &self.0;
        let _first = shared.first.lock().await;
        loop {
            let changed = shared.changed.notified();
            let (ended, next) = {
                let mut state = shared.lock();
                if state.taken < shared.limit {
                    state.taken += 1;
                    return Turn(Arc::clone(shared));
                }
                let until = |since: &Instant| since.checked_add(shared.peer_timeout);
                match state.parked.first_entry() {
                    Some(longest) => match until(&longest.key().0) {
                        Some(until) if until <= Instant::now() => (Some(longest.remove()), None),
                        until => (None, until),
                    },
                    None => (None, None),
                }
            };
            if let Some(Waiting { call, waker }) = ended {
                // Not under the lock: its turn takes that when it becomes free.
                drop(call);
                if let Some(waker) = waker {
                    waker.wake();
                }
                continue;
            }
            match next {
                // Either way it is time to look again.
                Some(until) => drop(timeout_at(until, changed).await),
                None => changed.await,
            }
        }
    }

    /// Keeps a call while it waits for its peer; its handshake last advanced at `since`.
    pub(super) fn park(&self, call: C, since: Instant) -> Parked<C> {
        let mut state = self.0.lock();
        state.next_number += 1;
        let key = (since, state.next_number);
        state.parked.insert(key, Waiting { call, waker: None });
        drop(state);
        self.0.changed.notify_one();
        Parked { turns: Arc::clone(&self.0), key }
    }
}

impl<C> Shared<C> {
    fn lock(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<C> Parked<C> {
    /// The call, unless its turn went to another.
    pub(super) fn resume(self) -> Option<C> {
        self.turns.lock().parked.remove(&self.key).map(|waiting| waiting.call)
    }

    /// `Ready` when the turn has gone to another.
    pub(super) fn poll_lost(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self.turns.lock().parked.get_mut(&self.key) {
            Some(waiting) => {
                match &mut waiting.waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    none => *none = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    }
}

impl<C> Drop for Parked<C> {
    fn drop(&mut self) {
        // Not dropped under the lock, see above.
        let call = self.turns.lock().parked.remove(&self.key);
        drop(call);
    }
}

impl<C> Drop for Turn<C> {
    fn drop(&mut self) {
        self.0.lock().taken -= 1;
        self.0.changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;

    use super::*;

    /// A call that is nothing but its turn.
    struct Call(#[expect(dead_code, reason = "held for its drop")] Turn<Call>);

    const TIMEOUT: Duration = Duration::from_secs(2);

    fn is_pending<T>(future: impl Future<Output = T>) -> bool {
        matches!(pin!(future).poll(&mut Context::from_waker(Waker::noop())), Poll::Pending)
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_is_kept_while_the_service_is_asked() {
        let turns = Turns::<Call>::new(1, TIMEOUT);
        let call = Call(turns.take().await);
        tokio::time::sleep(10 * TIMEOUT).await;
        assert!(is_pending(turns.take()));
        drop(call);
        turns.take().await;
        assert_eq!(turns.0.lock().taken, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_silent_loses_its_turn_after_a_while() {
        let turns = Turns::<Call>::new(2, TIMEOUT);
        let start = Instant::now();
        let first = turns.park(Call(turns.take().await), start);
        let second = turns.park(Call(turns.take().await), start + TIMEOUT / 2);
        // Nobody wants it.
        tokio::time::sleep(TIMEOUT / 4).await;
        let third = turns.take().await;
        assert_eq!(Instant::now(), start + TIMEOUT);
        assert!(first.resume().is_none());
        let fourth = turns.take().await;
        assert_eq!(Instant::now(), start + TIMEOUT * 3 / 2);
        assert!(second.resume().is_none());
        drop((third, fourth));
        assert_eq!(turns.0.lock().taken, 0);
    }

    /// Whoever drives it does not wait for the peer any longer.
    #[tokio::test(start_paused = true)]
    async fn who_loses_a_turn_is_woken() {
        let turns = Arc::new(Turns::<Call>::new(1, TIMEOUT));
        let start = Instant::now();
        let parked = turns.park(Call(turns.take().await), start);
        let driver = tokio::spawn(async move {
            poll_fn(|cx| parked.poll_lost(cx)).await;
            assert!(parked.resume().is_none());
            Instant::now()
        });
        tokio::time::sleep(TIMEOUT / 2).await;
        assert!(!driver.is_finished());
        let turn = turns.take().await;
        assert_eq!(driver.await.unwrap(), start + TIMEOUT);
        drop(turn);
    }

    #[tokio::test(start_paused = true)]
    async fn without_others_it_may_be_silent_for_ever() {
        let turns = Turns::<Call>::new(1, Duration::ZERO);
        let parked = turns.park(Call(turns.take().await), Instant::now());
        tokio::time::sleep(1_000 * TIMEOUT).await;
        assert!(parked.resume().is_some());
        let parked = turns.park(Call(turns.take().await), Instant::now());
        drop(parked);
        assert_eq!(turns.0.lock().taken, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_wait_have_their_turns_in_order() {
        let turns = Arc::new(Turns::<Call>::new(1, Duration::MAX));
        let parked = turns.park(Call(turns.take().await), Instant::now());
        let order = Arc::new(Mutex::new(Vec::new()));
        let waiting: Vec<_> = (0..3)
            .map(|number| {
                let (turns, order) = (Arc::clone(&turns), Arc::clone(&order));
                tokio::spawn(async move {
                    let _turn = turns.take().await;
                    order.lock().unwrap().push(number);
                })
            })
            .collect();
        // The calls that waited before look at a call that has just begun to wait.
        tokio::time::sleep(TIMEOUT).await;
        assert!(order.lock().unwrap().is_empty(), "a timeout without end never ends it");
        drop(parked);
        for waiting in waiting {
            waiting.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), [0, 1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_begins_to_wait_is_noticed() {
        let turns = Arc::new(Turns::<Call>::new(1, TIMEOUT));
        let call = Call(turns.take().await);
        let waiting = tokio::spawn({
            let turns = Arc::clone(&turns);
            async move { drop(turns.take().await) }
        });
        tokio::time::sleep(10 * TIMEOUT).await;
        let parked = turns.park(call, Instant::now());
        waiting.await.unwrap();
        assert!(parked.resume().is_none());
    }
}
