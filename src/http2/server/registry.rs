//! The connections of a server, for what concerns them all: time, and the end.
//!
//! No connection has a timer. It says at which tick it wants to be woken, and one task looks through the list once a second, as long as there
//! is such a tick: a timer makes every wait of its thread for the kernel's events dearer.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::budget::{SECOND, Tick};
use super::Shared;

/// No time at all.
pub(super) const NEVER: Tick = Tick::MAX;

/// Finer than any limit of time, coarse enough to cost nothing: 24 bytes a connection are read.
const SWEEP: Duration = Duration::from_secs(1);

/// A place in the list, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key(u32);

impl Key {
    pub(super) const NONE: Self = Self(u32::MAX);
}

#[derive(Debug)]
pub(super) struct Registry {
    list: Mutex<List>,
    emptied: Notify,
    /// There is something to do for the task that looks through the list.
    changed: Notify,
    origin: Instant,
}

#[derive(Debug, Default)]
struct List {
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    /// Whether the task is there.
    swept: bool,
    /// Whether it waits until somebody wants to be woken.
    resting: bool,
}

#[derive(Debug)]
struct Entry {
    waker: Waker,
    due: Tick,
    born: Tick,
}

impl List {
    fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }
}

impl Registry {
    pub(super) fn new() -> Self {
        Self {
            list: Mutex::default(),
            emptied: Notify::new(),
            changed: Notify::new(),
            origin: Instant::now(),
        }
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The present tick.
    pub(super) fn now(&self) -> Tick {
        let passed = self.origin.elapsed();
        let within = u64::from(passed.subsec_millis() * SECOND / 1_000);
        let ticks = passed.as_secs().saturating_mul(SECOND.into()).saturating_add(within);
        ticks.min(u64::from(NEVER - 1)) as Tick
    }

    pub(super) fn len(&self) -> usize {
        self.list().len()
    }

    pub(super) fn insert(&self, shared: &Arc<Shared>, waker: &Waker, now: Tick) -> Key {
        let mut list = self.list();
        let entry = Some(Entry { waker: waker.clone(), due: NEVER, born: now });
        let place = match list.free.pop() {
            Some(place) => {
                list.entries[place as usize] = entry;
                place
            }
            None => {
                list.entries.push(entry);
                list.entries.len() as u32 - 1
            }
        };
        if !std::mem::replace(&mut list.swept, true) {
            tokio::spawn(sweep(Arc::clone(shared)));
        }
        Key(place)
    }

    /// Has the connection woken at `due`, by this waker.
    pub(super) fn schedule(&self, key: Key, waker: &Waker, due: Tick) {
        let mut list = self.list();
        let Some(Some(entry)) = list.entries.get_mut(key.0 as usize) else { return };
        entry.waker.clone_from(waker);
        entry.due = due;
        if due != NEVER && std::mem::take(&mut list.resting) {
            self.changed.notify_one();
        }
    }

    /// When the connection began.
    pub(super) fn born(&self, key: Key) -> Option<Tick> {
        Some(self.list().entries.get(key.0 as usize)?.as_ref()?.born)
    }

    pub(super) fn remove(&self, key: Key) {
        let mut list = self.list();
        let Some(entry) = list.entries.get_mut(key.0 as usize) else { return };
        let entry = entry.take();
        list.free.push(key.0);
        if list.len() == 0 {
            (list.entries, list.free) = (Vec::new(), Vec::new());
            self.emptied.notify_waiters();
            self.changed.notify_one();
        }
        drop(list);
        drop(entry);
    }

    pub(super) async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.len() == 0 {
                return;
            }
            emptied.await;
        }
    }

    pub(super) fn wake_all(&self) {
        self.wake(|_| true);
    }

    /// Whether any connection wants to be woken. `None` if there is none at all, and the task ends.
    fn look(&self) -> Option<bool> {
        let mut list = self.list();
        if list.len() == 0 {
            list.swept = false;
            return None;
        }
        list.resting = list.entries.iter().flatten().all(|entry| entry.due == NEVER);
        Some(!list.resting)
    }

    fn wake(&self, wanted: impl Fn(&Entry) -> bool) {
        let mut wakers = Vec::new();
        let mut list = self.list();
        for entry in list.entries.iter_mut().flatten() {
            if wanted(entry) {
                entry.due = NEVER;
                wakers.push(entry.waker.clone());
            }
        }
        drop(list);
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// Wakes those whose time has come, as long as there is any connection.
async fn sweep(server: Arc<Shared>) {
    let registry = &server.registry;
    while let Some(timed) = registry.look() {
        let changed = registry.changed.notified();
        if timed {
            // The last connection takes this task along.
            let _ = tokio::time::timeout(SWEEP, changed).await;
        } else {
            changed.await;
        }
        let now = registry.now();
        registry.wake(|entry| entry.due <= now);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use tokio::time::sleep;

    use super::super::Server;
    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_a_timer_while_a_connection_wants_to_be_woken() {
        let Ok(server) = Server::builder().build() else { panic!("the defaults are valid") };
        let registry = &server.0.registry;
        let wakes = Arc::new(Wakes::default());
        let waker = Waker::from(Arc::clone(&wakes));
        let key = registry.insert(&server.0, &waker, registry.now());
        for round in 0..3 {
            sleep(2 * SWEEP).await;
            assert!(registry.list().resting);
            assert_eq!(wakes.0.load(Ordering::Relaxed), round);
            registry.schedule(key, &waker, registry.now() + 5 * SECOND);
            sleep(4 * SWEEP).await;
            assert!(!registry.list().resting);
            assert_eq!(wakes.0.load(Ordering::Relaxed), round);
            sleep(2 * SWEEP).await;
            assert_eq!(wakes.0.load(Ordering::Relaxed), round + 1);
        }
        assert!(registry.list().swept);
        registry.remove(key);
        sleep(SWEEP).await;
        assert!(!registry.list().swept);
    }
}
