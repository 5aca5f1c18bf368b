//! Counts of everything that an observer is told.

use std::sync::atomic::{AtomicU64, Ordering};

use alts_handshaker::{HandshakeCounters, HandshakeStats, Role};

use super::{Finished, Observer, Traffic};

/// Counts what happens to connections. Share one among all acceptors and connectors of a process, or have one for each.
#[derive(Debug, Default)]
pub struct Counters {
    handshakes: HandshakeCounters,
    open: AtomicU64,
    received: Moved,
    sent: Moved,
}

/// What [`Counters`] have counted up to one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Handshakes by role, outcome and reason, and how long they took.
    pub handshakes: HandshakeStats,
    /// Secured connections that are open.
    pub open: u64,
    /// What was received.
    pub received: Traffic,
    /// What was sent.
    pub sent: Traffic,
}

/// One direction. Threads that receive disturb those that send as little as processors allow: lines of their caches have 64 bytes, and
/// some fetch two.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Moved {
    records: AtomicU64,
    bytes: AtomicU64,
    rekeys: AtomicU64,
}

impl Counters {
    /// Nothing is counted yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was counted so far.
    pub fn stats(&self) -> Stats {
        Stats {
            handshakes: self.handshakes.stats(),
            open: self.open.load(Ordering::Relaxed),
            received: self.received.get(),
            sent: self.sent.get(),
        }
    }
}

impl Observer for Counters {
    fn started(&self, _: Role) {
        self.handshakes.started();
    }

    fn finished(&self, handshake: &Finished<'_>) {
        let outcome = handshake.reason().map_or(Ok(()), Err);
        if outcome.is_ok() {
            self.open.fetch_add(1, Ordering::Relaxed);
        }
        self.handshakes.finished(Some(handshake.role), outcome, handshake.elapsed);
    }

    fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    fn received(&self, traffic: Traffic) {
        self.received.add(traffic);
    }

    fn sent(&self, traffic: Traffic) {
        self.sent.add(traffic);
    }
}

impl Moved {
    fn add(&self, traffic: Traffic) {
        self.records.fetch_add(traffic.records, Ordering::Relaxed);
        self.bytes.fetch_add(traffic.bytes, Ordering::Relaxed);
        if traffic.rekeys > 0 {
            self.rekeys.fetch_add(traffic.rekeys, Ordering::Relaxed);
        }
    }

    fn get(&self) -> Traffic {
        let [records, bytes, rekeys] = [&self.records, &self.bytes, &self.rekeys]
            .map(|counter| counter.load(Ordering::Relaxed));
        Traffic { records, bytes, rekeys }
    }
}
