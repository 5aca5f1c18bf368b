//! How a relay behaves.

use std::time::Duration;

use super::pipe::PipePool;
use crate::pool::BufferPool;

/// Long enough for an answer that takes a while to compute, short enough that a peer which never ends its direction does not
/// keep a connection for ever. stunnel and ghostunnel wait as long.
const DEFAULT_CLOSE_TIMEOUT: Duration = Duration::from_mins(1);

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
}

impl Default for RelayOptions {
    fn default() -> Self {
        Self {
            pool: BufferPool::new(),
            pipes: Some(PipePool::default()),
            idle_timeout: None,
            close_timeout: Some(DEFAULT_CLOSE_TIMEOUT),
            byte_limit: None,
        }
    }
}
