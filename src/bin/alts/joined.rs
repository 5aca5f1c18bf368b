//! One connection: its place among all, its longest time, and the line at its end.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use alts::relay::{Relay, RelayEnd, RelayOptions, Summary, relay};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep};

use crate::logging::Quiet;
use crate::metrics::Metrics;
use crate::plain::PlainStream;

/// What every connection's task knows.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) relay: RelayOptions,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) connect_timeout: Duration,
    pub(crate) keepalive: Option<Duration>,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) quiet: HashSet<Quiet>,
}

impl Common {
    /// Joins two connections, for the longest time that a connection may last.
    pub(crate) fn join<A: RelayEnd, B: RelayEnd>(&self, a: A, b: B) -> Box<Joined<A, B>> {
        let sleep = self.max_lifetime.map(|limit| Box::pin(sleep(limit)));
        Box::new(Joined { relay: relay(a, b, &self.relay), sleep })
    }

    /// Logs and counts how a connection ended, in this order: whoever sees the count finds the line.
    pub(crate) fn conclude(
        &self,
        peer: &str,
        identity: &str,
        ended: Option<Summary>,
        start: Instant,
    ) {
        let Some(summary) = &ended else {
            return self.log_failure(
                peer,
                identity,
                "max_lifetime",
                "it lasted for --max-lifetime",
            );
        };
        let (forward, backward) = (summary.a_to_b, summary.b_to_a);
        let seconds = start.elapsed().as_secs_f64();
        let path = summary.path;
        if summary.is_clean() {
            if !self.quiet.contains(&Quiet::Conns) {
                tracing::info!(
                    peer, identity, forward = forward.bytes, backward = backward.bytes, %path, seconds,
                    "connection ended"
                );
            }
        } else if !self.quiet.contains(&Quiet::ConnErrs) {
            tracing::info!(
                peer, identity, forward = forward.bytes, backward = backward.bytes, %path, seconds,
                forward_end = %forward.end, backward_end = %backward.end,
                "connection cut off"
            );
        }
        self.metrics.relayed(summary);
    }

    /// A connection that came to nothing.
    pub(crate) fn log_failure(
        &self,
        peer: &str,
        identity: &str,
        reason: &'static str,
        error: &str,
    ) {
        if !self.quiet.contains(&Quiet::ConnErrs) {
            tracing::warn!(peer, identity, error, "connection failed");
        }
        self.metrics.ended(reason);
    }
}

/// A connection counts as open, and takes one of the places, until this is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    metrics: Arc<Metrics>,
    #[expect(dead_code, reason = "held for its drop")]
    permit: OwnedSemaphorePermit,
}

impl Place {
    pub(crate) fn new(metrics: &Arc<Metrics>, permit: OwnedSemaphorePermit) -> Self {
        metrics.accepted();
        Self { metrics: Arc::clone(metrics), permit }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.metrics.open.dec();
    }
}

/// A future of what a relay did, or of `None` when its time was over; then it is dropped.
///
/// Written by hand, and in a box: an `async` block that is given a relay keeps room for it twice, as what it was given and as what it
/// waits for.
pub(crate) struct Joined<A: RelayEnd, B: RelayEnd> {
    relay: Relay<A, B>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl<A: RelayEnd, B: RelayEnd> Future for Joined<A, B> {
    type Output = Option<Summary>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Summary>> {
        let Self { relay, sleep } = &mut *self;
        if let Poll::Ready(summary) = Pin::new(relay).poll(cx) {
            return Poll::Ready(Some(summary));
        }
        match sleep {
            Some(sleep) => sleep.as_mut().poll(cx).map(|()| None),
            None => Poll::Pending,
        }
    }
}

/// The peer of a connection, for log lines.
pub(crate) fn peer_name(stream: &PlainStream) -> String {
    stream.peer_addr().map_or_else(|| "unix".to_owned(), |address| address.to_string())
}
