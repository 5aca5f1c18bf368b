//! What holds for all connections of a client.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};

use super::error::{BoxError, CallError, ConnectError};
use crate::http2::budget::SECOND;
use crate::http2::error::Error;
use crate::http2::limits::CALM;
use crate::http2::settings::Config;
use crate::pool::BufferPool;

/// The pause between attempts to connect, which grows from the first to the longest by 1.6 each time; a fifth of it is chance. As
/// gRPC's document on connection backoff has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Backoff {
    pub(super) first: Duration,
    pub(super) longest: Duration,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Keepalive {
    pub(super) interval: Duration,
    pub(super) timeout: Duration,
    pub(super) while_idle: bool,
}

/// What holds for all connections of a client.
pub(super) struct Options {
    pub(super) target: Uri,
    pub(super) scheme: Scheme,
    pub(super) authority: Authority,
    pub(super) user_agent: HeaderValue,
    pub(super) timeout: Option<Duration>,
    pub(super) connect_timeout: Duration,
    pub(super) keepalive: Option<Keepalive>,
    /// By how much the interval of keepalive grew because a server complained.
    pub(super) patience: AtomicU32,
    pub(super) backoff: Backoff,
    pub(super) config: Config,
    pub(super) pool: BufferPool,
}

impl Options {
    /// A server that is pinged too often ends the connection, and the next one is pinged half as often.
    pub(super) fn heed(&self, error: &Error) {
        if error.code() == CALM && error.to_string().contains("too_many_pings") {
            let doubled = |patience: u32| Some((2 * patience).min(1 << 10));
            let _ = self.patience.fetch_update(Ordering::Relaxed, Ordering::Relaxed, doubled);
        }
    }

    /// In ticks: between the last word of the server's and a PING, and until its answer.
    pub(super) fn keepalive_ticks(&self) -> Option<(u32, u32)> {
        let keepalive = self.keepalive?;
        let ticks = |duration: Duration| (duration.as_millis() as u32 * SECOND / 1_000).max(1);
        let patience = self.patience.load(Ordering::Relaxed);
        Some((ticks(keepalive.interval).saturating_mul(patience), ticks(keepalive.timeout)))
    }

    pub(super) fn connect_error(&self, source: BoxError) -> CallError {
        CallError::Connect(Arc::new(ConnectError::new(self.target.to_string(), source)))
    }
}
