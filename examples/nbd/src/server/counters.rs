//! What a server has done.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{ConnectionError, Ending};
use crate::wire::Errno;
use crate::wire::request::Command;

/// Counts; see [`Figures`] for what.
#[derive(Debug, Default)]
pub struct Counters {
    open: AtomicU64,
    accepted: AtomicU64,
    failed: AtomicU64,
    requests: [AtomicU64; COMMANDS.len()],
    errors: AtomicU64,
    read_bytes: AtomicU64,
    written_bytes: AtomicU64,
    released: AtomicU64,
    in_flight: AtomicU64,
}

pub(super) const COMMANDS: [Command; 7] = [
    Command::Read,
    Command::Write,
    Command::Flush,
    Command::Trim,
    Command::Cache,
    Command::WriteZeroes,
    Command::BlockStatus,
];

/// A snapshot of what a server has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Figures {
    /// Connections that are open.
    pub open: u64,
    /// Connections there have been.
    pub accepted: u64,
    /// Connections that were given up.
    pub failed: u64,
    /// Requests of all kinds.
    pub requests: u64,
    /// Requests that were answered by an error.
    pub errors: u64,
    /// Bytes that clients have read.
    pub read_bytes: u64,
    /// Bytes that clients have written.
    pub written_bytes: u64,
    /// How often memory was given back because a client took or sent nothing.
    pub released: u64,
    /// Requests that are being worked on.
    pub in_flight: u64,
}

impl Counters {
    pub(super) fn connected(&self) {
        add(&self.open, 1);
        add(&self.accepted, 1);
    }

    pub(super) fn disconnected(&self, result: &Result<Ending, ConnectionError>) {
        self.open.fetch_sub(1, Ordering::Relaxed);
        add(&self.failed, result.is_err().into());
    }

    pub(super) fn begun(&self, command: Command) {
        add(&self.in_flight, 1);
        if let Some(index) = COMMANDS.iter().position(|&other| other == command) {
            add(&self.requests[index], 1);
        }
    }

    pub(super) fn ended(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self, _error: Errno) {
        add(&self.errors, 1);
    }

    pub(super) fn read(&self, bytes: u64) {
        add(&self.read_bytes, bytes);
    }

    pub(super) fn written(&self, bytes: u64) {
        add(&self.written_bytes, bytes);
    }

    pub(super) fn released(&self) {
        add(&self.released, 1);
    }

    pub(super) fn requests_of(&self, command: Command) -> u64 {
        let index = COMMANDS.iter().position(|&other| other == command);
        index.map_or(0, |index| self.requests[index].load(Ordering::Relaxed))
    }

    pub(super) fn figures(&self) -> Figures {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Figures {
            open: get(&self.open),
            accepted: get(&self.accepted),
            failed: get(&self.failed),
            requests: self.requests.iter().map(get).sum(),
            errors: get(&self.errors),
            read_bytes: get(&self.read_bytes),
            written_bytes: get(&self.written_bytes),
            released: get(&self.released),
            in_flight: get(&self.in_flight),
        }
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}
