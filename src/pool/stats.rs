//! The figures of a pool.

use std::time::{Duration, Instant};

/// A snapshot of a pool, taken under its lock: all figures belong to one moment.
///
/// Bytes are capacities: the class of each buffer and the 512 bytes beyond it. How much of that the
/// system backs with memory depends on what was touched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct PoolStats {
    /// The cap: `in_use_bytes + idle_bytes` never exceeds it.
    pub cap_bytes: usize,
    /// Buffers out under the cap, including those granted to a waiter that has not collected them yet.
    pub in_use_buffers: usize,
    /// Their bytes.
    pub in_use_bytes: usize,
    /// Buffers that wait for their next use.
    pub idle_buffers: usize,
    /// Their bytes.
    pub idle_bytes: usize,
    /// Bytes of the one buffer that may exceed the cap so that a record already begun can be
    /// completed, or of two while it grows; 0 while it is not needed.
    pub overdraft_bytes: usize,
    /// Buffers taken with [`take_beyond_cap`](super::BufferPool::take_beyond_cap) and still out.
    pub beyond_cap_buffers: usize,
    /// Their bytes.
    pub beyond_cap_bytes: usize,
    /// The most bytes that were ever out at one moment, of all kinds together.
    pub high_water_bytes: usize,
    /// Requests served with an idle buffer.
    pub hits: u64,
    /// Requests that had to be mapped.
    pub misses: u64,
    /// Bytes given back to the operating system since the pool was made.
    pub returned_bytes: u64,
    /// Callers that wait for memory now.
    pub waiting: usize,
    /// Requests that had to wait since the pool was made.
    pub waited: u64,
    /// Requests since then that found no room and could not wait, as those of non-blocking readers.
    pub refused: u64,
    /// For how long requests have waited in all, with pauses of at most two seconds.
    pub pressed: Duration,
    /// Since when requests have waited, with pauses of at most two seconds; `None` if none does. A pool that stays at its cap
    /// logs a warning after 5 seconds, then once a minute.
    pub pressed_since: Option<Instant>,
}
