//! What became of tickets, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use super::refused::Refused;

/// How many tickets of each fate [`TicketKeys`](super::TicketKeys) or a [`TicketCache`](super::TicketCache) has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct TicketStats {
    /// Given to clients; at a client: received from servers.
    pub issued: u64,
    /// Offered by clients; at a client: to servers.
    pub offered: u64,
    /// Of those offered, that a handshake was resumed with.
    pub accepted: u64,
    /// At a client: went back unused, because the server did not answer.
    pub returned: u64,
    refused: [u64; Refused::ALL.len()],
}

impl TicketStats {
    /// Refused for this reason. At a client: dropped for it before they were offered, or before the handshake was finished.
    pub fn refused(&self, reason: Refused) -> u64 {
        self.refused[reason as usize]
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    issued: AtomicU64,
    offered: AtomicU64,
    accepted: AtomicU64,
    returned: AtomicU64,
    refused: [AtomicU64; Refused::ALL.len()],
}

impl Counters {
    pub(crate) fn issued(&self) {
        self.issued.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn offered(&self) {
        self.offered.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn returned(&self) {
        self.returned.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self, reason: Refused) {
        self.refused[reason as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn stats(&self) -> TicketStats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        TicketStats {
            issued: load(&self.issued),
            offered: load(&self.offered),
            accepted: load(&self.accepted),
            returned: load(&self.returned),
            refused: self.refused.each_ref().map(load),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_counter() {
        let counters = Counters::default();
        for (times, reason) in Refused::ALL.into_iter().enumerate() {
            (0..=times).for_each(|_| counters.refused(reason));
        }
        for (times, reason) in Refused::ALL.into_iter().enumerate() {
            assert_eq!(counters.stats().refused(reason), times as u64 + 1, "{reason}");
        }
    }
}
