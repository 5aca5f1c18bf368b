//! What became of the connections that a server accepted.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use alts::handshaker::{self, AlertCode};
use alts::pool::PoolError;
use alts::{Error, Truncation};

/// Counters that all of a server's tasks share.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) accept_calls: AtomicU64,
    pub(crate) accept_errors: AtomicU64,
    pub(crate) accepted: AtomicU64,
    pub(crate) secured: AtomicU64,
    /// Connections whose task is over, in whichever way.
    pub(crate) ended: AtomicU64,
    /// How they ended.
    ends: Mutex<BTreeMap<&'static str, u64>>,
}

impl Tally {
    pub(crate) fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }

    /// Notes the end of a connection.
    pub(crate) fn end(&self, how: &'static str) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        *ends.entry(how).or_default() += 1;
        drop(ends);
        Self::add(&self.ended);
    }

    /// How many ended that way.
    pub(crate) fn ended(&self, how: &str) -> u64 {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        ends.get(how).copied().unwrap_or(0)
    }

    /// All ways, with their counts.
    pub(crate) fn ends(&self) -> String {
        let ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        for (how, count) in &*ends {
            let comma = if text.is_empty() { "" } else { ", " };
            let _ = write!(text, "{comma}{count} {how}");
        }
        text
    }

    /// Starts over.
    pub(crate) fn clear(&self) {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).clear();
        for counter in [&self.accept_calls, &self.accept_errors, &self.accepted, &self.secured] {
            counter.store(0, Ordering::Relaxed);
        }
        self.ended.store(0, Ordering::Relaxed);
    }
}

/// A server that ended on request, with the authenticated close.
pub(crate) const CLOSED: &str = "closed";
/// The server's own timeout around a write.
pub(crate) const GAVE_UP: &str = "given up because the peer does not read";
/// A handshake over its deadline.
pub(crate) const TIMED_OUT: &str = "handshake timed out";
/// A handshake that found no place.
pub(crate) const OVERLOADED: &str = "refused, overloaded";

/// A short name for a failure.
pub(crate) fn name_of(error: &Error) -> &'static str {
    match error {
        Error::Handshake(error) => match error {
            handshaker::Error::Limit { code: AlertCode::Timeout, .. } => TIMED_OUT,
            handshaker::Error::Limit { code: AlertCode::Overloaded, .. } => OVERLOADED,
            handshaker::Error::Limit { .. } => "handshake over another limit",
            handshaker::Error::Foreign(_) => "another protocol",
            handshaker::Error::Denied { .. } => "peer not allowed",
            handshaker::Error::Alert { .. } => "refused by the peer",
            handshaker::Error::Peer { .. } => "bad handshake",
            _ => "other handshake failure",
        },
        Error::Record(_) => "bad record",
        Error::Truncated { at } => match at {
            Truncation::BeforeHandshake => "closed without sending anything",
            Truncation::Handshake => "ended inside the handshake",
            Truncation::Record => "ended inside a record",
            Truncation::MissingClose => "ended without the close",
            _ => "ended otherwise",
        },
        Error::Pool(PoolError::AtCap) => "pool at its cap",
        Error::Pool(_) => "no memory",
        Error::Stalled => "stalled inside a record",
        Error::Io { kind: io::ErrorKind::ConnectionReset, .. } => "reset",
        Error::Io { kind: io::ErrorKind::BrokenPipe, .. } => "broken pipe",
        Error::Io { .. } => "other network error",
        _ => "other failure",
    }
}
