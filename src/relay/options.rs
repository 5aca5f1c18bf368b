//! How a relay behaves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::pipe::PipePool;
use crate::pool::BufferPool;

/// Long enough for an answer that takes a while to compute, short enough that a peer which never ends its direction does not
/// keep a connection forever. stunnel and ghostunnel wait as long.
const DEFAULT_CLOSE_TIMEOUT: Duration = Duration::from_secs(60);

/// How a relay moves bytes and when it gives up. Start from the default and change fields; clones share the pools.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct RelayOptions {
    /// Where buffers come from when bytes are copied.
    pub pool: BufferPool,
    /// Where pipes come from when bytes are spliced. `None` copies always.
    pub pipes: Option<PipePool>,
    /// The longest time without a byte in either direction. A relay is checked once in this time, so it ends after one to two
    /// times as long. Default `None`: no limit.
    pub idle_timeout: Option<Duration>,
    /// The longest time without a byte after one side has ended its direction. Progress extends it; checked as
    /// [`idle_timeout`](Self::idle_timeout) is. Default 60 s; `None`: no limit.
    pub close_timeout: Option<Duration>,
    /// The most bytes that are moved, both directions together; then both sides are reset. What has been read at once when the
    /// limit is reached is still delivered: up to 1 MiB more. Default `None`: no limit.
    pub byte_limit: Option<u64>,
    /// Counts the bytes of all relays with these options while they move. Default `None`.
    pub counters: Option<Arc<RelayCounters>>,
}

/// A copy of its own for one relay.
impl From<&RelayOptions> for Arc<RelayOptions> {
    fn from(options: &RelayOptions) -> Self {
        Self::new(options.clone())
    }
}

/// Bytes that were moved, for metrics.
#[derive(Debug, Default)]
pub struct RelayCounters {
    a_to_b: AtomicU64,
    b_to_a: AtomicU64,
}

impl RelayCounters {
    /// Bytes written to second connections.
    pub fn a_to_b(&self) -> u64 {
        self.a_to_b.load(Ordering::Relaxed)
    }

    /// Bytes written to first connections.
    pub fn b_to_a(&self) -> u64 {
        self.b_to_a.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, before: (u64, u64), after: (u64, u64)) {
        for (counter, before, after) in
            [(&self.a_to_b, before.0, after.0), (&self.b_to_a, before.1, after.1)]
        {
            if after > before {
                counter.fetch_add(after - before, Ordering::Relaxed);
            }
        }
    }
}

impl Default for RelayOptions {
    fn default() -> Self {
        Self {
            pool: BufferPool::new(),
            pipes: Some(PipePool::default()),
            idle_timeout: None,
            close_timeout: Some(DEFAULT_CLOSE_TIMEOUT),
            byte_limit: None,
            counters: None,
        }
    }
}
