//! What is under way on a connection while hyper has it.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// How it is after hyper was polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settled {
    /// Something is under way.
    Busy,
    /// Nothing is, but hyper may not have seen yet that nobody reads the rest of a request. The next time that it is polled it reads
    /// that itself, or closes the connection.
    Again,
    /// Nothing is, and hyper would only wait.
    Over,
}

/// Told by the service, the bodies and the socket of one connection, asked by its task. Handlers may run anywhere, so these are atomics;
/// the task looks after hyper has been polled, when all of it has been told.
#[derive(Debug, Default)]
pub(super) struct Activity {
    /// Requests whose response is not complete.
    open: AtomicUsize,
    /// Requests so far.
    requests: AtomicU64,
    /// hyper may have bytes of a request that is not open yet.
    unread: AtomicBool,
    /// The content of a request was not read to its end.
    undrained: AtomicBool,
    /// The socket has not taken all that hyper wrote.
    unsent: AtomicBool,
}

impl Activity {
    /// hyper has a request's head, and with it all that was read so far.
    pub(super) fn begins(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::AcqRel);
    }

    /// The response to a request is with hyper to its last byte, or will never be.
    pub(super) fn ends(&self) {
        self.unread.store(false, Ordering::Release);
        self.open.fetch_sub(1, Ordering::AcqRel);
    }

    pub(super) fn was_not_read_to_its_end(&self) {
        self.undrained.store(true, Ordering::Release);
    }

    /// hyper was given bytes.
    pub(super) fn reads(&self) {
        self.unread.store(true, Ordering::Release);
    }

    /// Whether all that hyper wrote so far has left.
    pub(super) fn writes(&self, unsent: bool) {
        self.unsent.store(unsent, Ordering::Release);
    }

    /// What is under way after hyper was polled.
    pub(super) fn settle(&self) -> Settled {
        let is_set = |flag: &AtomicBool| flag.load(Ordering::Acquire);
        if self.open.load(Ordering::Acquire) > 0 || is_set(&self.unread) || is_set(&self.unsent) {
            Settled::Busy
        } else if self.undrained.swap(false, Ordering::AcqRel) {
            Settled::Again
        } else {
            Settled::Over
        }
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}
