//! What all handles, buffers and tickets of one pool share: the lock, and what is left to be done
//! when it is free.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::config::{BufferPoolBuilder, Retention};
use super::janitor;
use super::state::{AfterUnlock, State};

pub(super) struct Inner {
    state: Mutex<State>,
    /// Wakes the janitor early: the pool was closed or trimmed.
    janitor_call: Condvar,
    /// Wakes the watch early: the pool was closed, or there is another lease.
    watch_call: Condvar,
    /// Handles, as opposed to buffers and tickets, which keep this struct alive but not the pool
    /// open.
    handles: AtomicUsize,
    release_after: Option<Duration>,
    /// A function pointer, since the watch depends on this module.
    spawn_watch: fn(Arc<Self>) -> io::Result<()>,
    pub(super) cap: usize,
}

impl Inner {
    /// The state and constants of a pool with one handle.
    pub(super) fn new(
        checked: &BufferPoolBuilder,
        spawn_watch: fn(Arc<Self>) -> io::Result<()>,
    ) -> Self {
        Self {
            state: Mutex::new(State::new(checked.cap, checked.retention)),
            janitor_call: Condvar::new(),
            watch_call: Condvar::new(),
            handles: AtomicUsize::new(1),
            release_after: match checked.retention {
                Retention::ReleaseAfter(time) => Some(time),
                _ => None,
            },
            spawn_watch,
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
            self.watch_call.notify_one();
        }
    }

    /// Locks the state even after a panic: no foreign code runs under the lock, and this module's
    /// leaves no change half done.
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
        // Memory is unmapped first: tasks that are woken may have to map some.
        drop(after.unmap);
        for waker in after.wake {
            waker.wake();
        }
        if after.start_janitor
            && let Some(time) = self.release_after
            && self.start_janitor(time).is_err()
        {
            self.change(|state, after| {
                state.janitor_ended();
                state.evict_to(0, after);
            });
        }
        // Without a watch no holder of a buffer is woken, but each notices when it is polled.
        if after.start_watch && (self.spawn_watch)(Arc::clone(self)).is_err() {
            self.lock().watch_ended();
        }
    }

    /// Unmaps everything idle and returns how many bytes that was.
    pub(super) fn trim(self: &Arc<Self>) -> usize {
        let bytes = self.change(|state, after| {
            let bytes = state.stats().idle_bytes;
            state.evict_to(0, after);
            bytes
        });
        self.janitor_call.notify_one();
        bytes
    }

    /// Starts the thread that unmaps what has been idle for `release_after`. It ends when it finds
    /// nothing idle, which includes a closed pool.
    fn start_janitor(self: &Arc<Self>, release_after: Duration) -> io::Result<()> {
        let pool = Arc::clone(self);
        let period = (release_after / janitor::PERIODS).max(janitor::MIN_PERIOD);
        janitor::spawn(move || {
            while pool.janitor_sleep(period) {
                pool.change(|state, after| state.expire(janitor::PERIODS, after));
            }
        })
    }

    /// Sleeps for `time`, or until nothing is idle. Returns whether to continue.
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

    /// Lets the watch, if it runs, look at a new lease.
    pub(super) fn call_watch(&self) {
        if self.lock().has_watch() {
            self.watch_call.notify_one();
        }
    }

    /// Sleeps for `time`, or until [`call_watch`](Self::call_watch).
    pub(super) fn watch_sleep(&self, time: Duration) {
        let state = self.lock();
        drop(self.watch_call.wait_timeout(state, time));
    }
}
