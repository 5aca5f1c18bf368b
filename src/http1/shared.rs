//! What the connections of a server share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use tokio::sync::Notify;

pub(super) struct Shared {
    pub(super) hyper: http1::Builder,
    /// For connections that end with the next response.
    pub(super) last: http1::Builder,
    pub(super) idle: Option<Duration>,
    /// Wakes every connection.
    pub(super) wake: Notify,
    draining: AtomicBool,
    connections: AtomicUsize,
    emptied: Notify,
    requests: AtomicU64,
}

impl Shared {
    pub(super) fn new(hyper: http1::Builder, last: http1::Builder, idle: Option<Duration>) -> Self {
        Self {
            hyper,
            last,
            idle,
            wake: Notify::new(),
            draining: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            emptied: Notify::new(),
            requests: AtomicU64::new(0),
        }
    }

    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
        self.wake.notify_waiters();
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    pub(super) async fn emptied(&self) {
        loop {
            let emptied = self.emptied.notified();
            if self.connections.load(Ordering::SeqCst) == 0 {
                return;
            }
            emptied.await;
        }
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    pub(super) fn count(&self, requests: u64) {
        self.requests.fetch_add(requests, Ordering::Relaxed);
    }
}

/// A connection that counts as one until this is dropped.
pub(super) struct Counted(Arc<Shared>);

impl Counted {
    pub(super) fn new(shared: &Arc<Shared>) -> Self {
        shared.connections.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(shared))
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if self.0.connections.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.emptied.notify_waiters();
        }
    }
}
