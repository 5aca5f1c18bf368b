//! What holds for all connections of a client.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use http::uri::{Authority, Scheme};
use http::{HeaderValue, Uri};

use super::error::{BoxError, CallError, ConnectError};
use crate::http2::budget::ticks;
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

/// What clients have in common whose builders are clones of one.
#[derive(Clone, Debug)]
pub(super) struct Behavior {
    pub(super) user_agent: HeaderValue,
    pub(super) timeout: Option<Duration>,
    pub(super) connect_timeout: Duration,
    pub(super) settings_timeout: Duration,
    pub(super) keepalive: Option<Keepalive>,
    pub(super) backoff: Backoff,
    pub(super) config: Config,
    pub(super) pool: BufferPool,
}

/// What holds for all connections of a client.
pub(super) struct Options {
    pub(super) target: Uri,
    pub(super) scheme: Scheme,
    pub(super) authority: Authority,
    pub(super) behavior: Arc<Behavior>,
    /// By how much the interval of keepalive grew because a server complained.
    patience: AtomicU32,
    /// Calls that are open.
    pub(super) in_flight: AtomicU32,
}

impl Options {
    pub(super) fn new(
        target: Uri,
        scheme: Scheme,
        authority: Authority,
        behavior: Arc<Behavior>,
    ) -> Arc<Self> {
        let (patience, in_flight) = (AtomicU32::new(1), AtomicU32::new(0));
        Arc::new(Self { target, scheme, authority, behavior, patience, in_flight })
    }

    /// A server that is pinged too often ends the connection, and the next one is pinged half as often.
    pub(super) fn heed(&self, error: &Error) {
        if error.code() == CALM && error.to_string().contains("too_many_pings") {
            let doubled = |patience: u32| Some((2 * patience).min(1 << 10));
            let _ = self.patience.fetch_update(Ordering::Relaxed, Ordering::Relaxed, doubled);
        }
    }

    /// In ticks: between the last word of the server's and a PING, and until its answer.
    pub(super) fn keepalive_ticks(&self) -> Option<(u32, u32)> {
        let keepalive = self.behavior.keepalive?;
        let patience = self.patience.load(Ordering::Relaxed);
        Some((ticks(keepalive.interval).saturating_mul(patience), ticks(keepalive.timeout)))
    }

    /// In ticks: until the server has acknowledged the settings of a connection.
    pub(super) fn settings_ticks(&self) -> u32 {
        ticks(self.behavior.settings_timeout)
    }

    pub(super) fn connect_error(&self, reason: BoxError) -> CallError {
        CallError::Connect(Arc::new(ConnectError::new(self.target.to_string(), reason)))
    }
}
