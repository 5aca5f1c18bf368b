//! The connections of a server, for what concerns them all: time, and the end.
//!
//! No connection has a timer. It says at which tick it wants to be woken, and one task looks through the list once a second.

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
    origin: Instant,
}

#[derive(Debug, Default)]
struct List {
    entries: Vec<Option<Entry>>,
    free: Vec<u32>,
    /// Whether the task is there.
    swept: bool,
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
        Self { list: Mutex::default(), emptied: Notify::new(), origin: Instant::now() }
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The present tick.
    pub(super) fn now(&self) -> Tick {
        let tenths = self.origin.elapsed().as_millis() * u128::from(SECOND) / 1_000;
        tenths.min(u128::from(NEVER - 1)) as Tick
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
        if let Some(Some(entry)) = self.list().entries.get_mut(key.0 as usize) {
            entry.waker.clone_from(waker);
            entry.due = due;
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
    loop {
        // The last connection takes this task along.
        let _ = tokio::time::timeout(SWEEP, registry.emptied.notified()).await;
        let now = registry.now();
        registry.wake(|entry| entry.due <= now);
        let mut list = registry.list();
        if list.len() == 0 {
            list.swept = false;
            return;
        }
    }
}
