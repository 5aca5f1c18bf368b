//! How many connections there may be, and which one is closed when another arrives, or when it stays unused.
//!
//! A caller that comes is never turned away: where there is no room, the connection that has been unused for longest goes, of the
//! caller itself if that has all it may have, or else of the caller with the most. So connections that say nothing keep nobody
//! out, a liveness probe least of all.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use alts_handshaker::service::Caller;
use futures_util::task::AtomicWaker;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until};

use super::metrics::{Closed, Metrics};

/// Sockets beyond the limit: those that have been closed and whose tasks have not noticed yet.
const CLOSING: usize = 64;

#[derive(Clone, Debug)]
pub(super) struct PlaceLimits {
    /// At least one.
    pub(super) all: usize,
    /// At least one.
    pub(super) per_caller: usize,
    /// The longest without a first call.
    pub(super) first_call: Duration,
    /// The longest without a call after that.
    pub(super) idle: Duration,
    /// The longest that a call may last.
    pub(super) call: Duration,
}

#[derive(Clone, Debug)]
pub(super) struct Places(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    limits: PlaceLimits,
    metrics: Arc<Metrics>,
    sockets: Arc<Semaphore>,
    state: Mutex<State>,
    /// Something is due earlier than was planned.
    earlier: Notify,
}

#[derive(Debug, Default)]
struct State {
    next_number: u64,
    open: BTreeMap<u64, Open>,
    of_caller: HashMap<Caller, usize>,
    /// When the connections are to be looked at again.
    planned: Option<Instant>,
}

#[derive(Debug)]
struct Open {
    caller: Caller,
    /// Calls in progress; those that must end have a time.
    calls: HashMap<u64, Option<Instant>>,
    has_called: bool,
    /// When it was made, or its last call ended.
    unused_since: Instant,
    close: Arc<Close>,
}

/// Tells the task of a connection that it is over.
#[derive(Debug, Default)]
pub(super) struct Close {
    closed: AtomicBool,
    task: AtomicWaker,
}

/// The place of one connection. Dropping it makes room.
#[derive(Debug)]
pub(super) struct Place {
    places: Places,
    number: u64,
    pub(super) close: Arc<Close>,
    _socket: OwnedSemaphorePermit,
}

/// Which connection a request came by.
#[derive(Clone, Debug)]
pub(super) struct Via {
    places: Places,
    number: u64,
    pub(super) caller: Caller,
}

/// A call in progress. Its connection is in use until this is dropped.
#[derive(Debug)]
pub(super) struct OpenCall {
    via: Via,
    number: u64,
}

impl Close {
    fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.task.wake();
    }

    /// Whether it is over. The task is woken when it becomes so.
    pub(super) fn is_closed(&self, cx: &std::task::Context<'_>) -> bool {
        self.task.register(cx.waker());
        self.closed.load(Ordering::Acquire)
    }
}

impl Places {
    pub(super) fn new(limits: PlaceLimits, metrics: Arc<Metrics>) -> Self {
        let sockets = limits.all.saturating_add(CLOSING).min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Shared {
            limits,
            metrics,
            sockets: Arc::new(Semaphore::new(sockets)),
            state: Mutex::default(),
            earlier: Notify::new(),
        }))
    }

    /// A place for a connection of `caller`, for which another may be closed. Waits only while many that were closed are still
    /// being taken down.
    pub(super) async fn take(&self, caller: Caller) -> (Place, Via) {
        let socket = Arc::clone(&self.0.sockets).acquire_owned().await;
        let socket = socket.expect("the semaphore is never closed");
        let now = Instant::now();
        let mut state = self.lock();
        let of_caller = state.of_caller.get(&caller).copied().unwrap_or(0);
        if of_caller >= self.0.limits.per_caller.max(1) {
            self.displace(&mut state, caller);
        } else if state.open.len() >= self.0.limits.all.max(1) {
            // A connection of the new one's caller, if no other caller has more.
            let most = state.of_caller.iter().max_by_key(|(_, count)| **count);
            let victim = most.filter(|(_, count)| **count > of_caller).map(|(victim, _)| *victim);
            self.displace(&mut state, victim.unwrap_or(caller));
        }
        let number = state.next_number();
        let close = Arc::<Close>::default();
        let open = Open {
            caller,
            calls: HashMap::new(),
            has_called: false,
            unused_since: now,
            close: Arc::clone(&close),
        };
        let due = open.due(&self.0.limits);
        state.open.insert(number, open);
        *state.of_caller.entry(caller).or_default() += 1;
        self.0.metrics.connections.inc();
        self.plan(&mut state, due);
        drop(state);
        let place = Place { places: self.clone(), number, close, _socket: socket };
        (place, Via { places: self.clone(), number, caller })
    }

    /// Closes connections that are of no use, forever.
    pub(super) async fn watch(self) {
        loop {
            let next = self.close_due(Instant::now());
            let due = async {
                match next {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                () = self.0.earlier.notified() => {}
            }
        }
    }

    /// Closes what is due, and says when to look again.
    fn close_due(&self, now: Instant) -> Option<Instant> {
        let mut state = self.lock();
        let limits = &self.0.limits;
        let due: Vec<_> = (state.open.iter())
            .filter(|(_, open)| open.due(limits).is_some_and(|due| due <= now))
            .map(|(number, open)| {
                (*number, if open.calls.is_empty() { Closed::Silent } else { Closed::Unread })
            })
            .collect();
        for (number, why) in due {
            self.close(&mut state, number, why);
        }
        state.planned = state.open.values().filter_map(|open| open.due(limits)).min();
        state.planned
    }

    /// Closes the connection of `caller` that is used least.
    fn displace(&self, state: &mut State, caller: Caller) {
        let of_caller = state.open.iter().filter(|(_, open)| open.caller == caller);
        let least = of_caller.min_by_key(|(_, open)| (!open.calls.is_empty(), open.unused_since));
        if let Some(number) = least.map(|(number, _)| *number) {
            self.close(state, number, Closed::Displaced);
        }
    }

    fn close(&self, state: &mut State, number: u64, why: Closed) {
        if let Some(open) = self.remove(state, number) {
            tracing::debug!(uid = open.caller.uid, reason = why.name(), "a connection is closed");
            self.0.metrics.closed(why);
            open.close.close();
        }
    }

    fn remove(&self, state: &mut State, number: u64) -> Option<Open> {
        let open = state.open.remove(&number)?;
        self.0.metrics.connections.dec();
        if let Some(count) = state.of_caller.get_mut(&open.caller) {
            *count -= 1;
            if *count == 0 {
                state.of_caller.remove(&open.caller);
            }
        }
        Some(open)
    }

    fn plan(&self, state: &mut State, due: Option<Instant>) {
        if let Some(due) = due
            && state.planned.is_none_or(|planned| due < planned)
        {
            state.planned = Some(due);
            self.0.earlier.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn next_number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }
}

impl Open {
    /// When it counts as unused, if nothing happens.
    fn due(&self, limits: &PlaceLimits) -> Option<Instant> {
        if self.calls.is_empty() {
            let patience = if self.has_called { limits.idle } else { limits.first_call };
            return Some(self.unused_since + patience);
        }
        self.calls.values().flatten().min().copied()
    }
}

impl Via {
    /// Notes that a call has begun. It has to end in time unless it is one that may last forever.
    pub(super) fn call(&self, for_ever: bool) -> OpenCall {
        let ends = (!for_ever).then(|| Instant::now() + self.places.0.limits.call);
        let mut state = self.places.lock();
        let number = state.next_number();
        if let Some(open) = state.open.get_mut(&self.number) {
            open.has_called = true;
            open.calls.insert(number, ends);
        }
        self.places.plan(&mut state, ends);
        drop(state);
        OpenCall { via: self.clone(), number }
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        let places = &self.via.places;
        let mut state = places.lock();
        // It is gone if its connection was closed.
        let Some(open) = state.open.get_mut(&self.via.number) else { return };
        open.calls.remove(&self.number);
        if open.calls.is_empty() {
            open.unused_since = Instant::now();
        }
        let due = open.due(&places.0.limits);
        places.plan(&mut state, due);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.remove(&mut self.places.lock(), self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::super::identities::DaemonIdentities;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn places(all: usize, per_caller: usize) -> Places {
        let (first_call, idle, call) = (10 * SECOND, 100 * SECOND, 20 * SECOND);
        let limits = PlaceLimits { all, per_caller, first_call, idle, call };
        let metrics = Metrics::new(&DaemonIdentities::default(), None, None);
        let places = Places::new(limits, Arc::new(metrics));
        tokio::spawn(places.clone().watch());
        places
    }

    async fn take(places: &Places, uid: u32) -> (Place, Via) {
        let taken = places.take(Caller::with_uid(uid)).await;
        // The next is younger.
        tokio::time::sleep(Duration::from_millis(1)).await;
        taken
    }

    fn closed(place: &(Place, Via)) -> bool {
        place.0.close.closed.load(Ordering::Relaxed)
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_displaces_what_it_uses_least() {
        let places = places(10, 3);
        let other = take(&places, 2).await;
        let [one, two, three] =
            [take(&places, 1).await, take(&places, 1).await, take(&places, 1).await];
        let call = one.1.call(false);
        let four = take(&places, 1).await;
        assert!([&one, &three, &four, &other].map(closed) == [false; 4] && closed(&two));
        drop(call);
        let five = take(&places, 1).await;
        assert!(closed(&three), "unused for longer than the one that has just called");
        let calls = [&one, &four, &five].map(|place| place.1.call(false));
        let _six = take(&places, 1).await;
        assert!(closed(&four), "even one in use");
        drop((calls, one, two, three, four));
        assert_eq!(places.lock().of_caller[&Caller::with_uid(1)], 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_newcomer_displaces_one_of_the_caller_with_the_most() {
        let places = places(6, 4);
        let mut first = Vec::new();
        for uid in [1, 1, 1, 1, 2, 2] {
            first.push(take(&places, uid).await);
        }
        let third = take(&places, 3).await;
        assert_eq!(
            first.iter().map(closed).collect::<Vec<_>>(),
            [true, false, false, false, false, false]
        );
        let more = [take(&places, 3).await, take(&places, 3).await];
        // With two each, its own are next.
        assert_eq!(first.iter().filter(|place| closed(place)).count(), 2);
        assert!(closed(&third) && !closed(&more[0]) && !closed(&more[1]));
        assert_eq!(places.lock().open.len(), 6);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends() {
        let places = places(10, 10);
        let silent = take(&places, 1).await;
        let once = take(&places, 1).await;
        drop(once.1.call(false));
        let watching = take(&places, 1).await;
        let _for_ever = watching.1.call(true);
        let unread = take(&places, 1).await;
        let _unread = unread.1.call(false);
        let all = [&silent, &once, &watching, &unread];
        tokio::time::sleep(9 * SECOND).await;
        assert_eq!(all.map(closed), [false; 4]);
        tokio::time::sleep(SECOND).await;
        assert_eq!(all.map(closed), [true, false, false, false]);
        tokio::time::sleep(11 * SECOND).await;
        assert_eq!(all.map(closed), [true, false, false, true]);
        tokio::time::sleep(100 * SECOND).await;
        assert_eq!(all.map(closed), [true, true, false, true]);
        assert_eq!(places.lock().open.len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn sockets_that_linger_are_counted() {
        let places = places(1, 1);
        let mut kept = Vec::new();
        for _ in 0..=CLOSING {
            kept.push(take(&places, 1).await);
        }
        let next = tokio::time::timeout(SECOND, take(&places, 1));
        assert!(next.await.is_err());
        kept.pop();
        take(&places, 1).await;
    }
}
