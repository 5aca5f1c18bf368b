//! One connection: its place among all, its longest time, and the line at its end.

use std::collections::HashSet;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use alts::connect::Socket as _;
use alts::handshaker::identity::PeerIdentity;
use alts::plain::{PlainStream, TargetAddress};
use alts::relay::{Relay, RelayEnd, RelayOptions, Summary, relay};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep};

use crate::logging::Quiet;
use crate::metrics::Metrics;

/// What every connection's task knows.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) relay: Arc<RelayOptions>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) connect_timeout: Duration,
    pub(crate) keepalive: Option<Duration>,
    pub(crate) max_lifetime: Option<Duration>,
    pub(crate) quiet: HashSet<Quiet>,
}

impl Common {
    /// Connects to a target.
    pub(crate) async fn dial(&self, target: &TargetAddress) -> Result<PlainStream, String> {
        let connected = PlainStream::connect(target, self.connect_timeout).await;
        let stream = connected.map_err(|error| error.to_string())?;
        self.tune(&stream);
        Ok(stream)
    }

    /// Small segments are sent at once, and a peer that has vanished is noticed after a while.
    pub(crate) fn tune(&self, stream: &PlainStream) {
        let tuned = stream.set_nodelay().and_then(|()| match self.keepalive {
            Some(idle) => stream.set_keepalive(idle),
            None => Ok(()),
        });
        if let Err(error) = tuned {
            tracing::debug!(%error, "cannot set the options of a socket");
        }
    }
}

/// A connection that was accepted: it counts as open, and takes one of the places, until this is dropped.
#[derive(Debug)]
pub(crate) struct Connection {
    common: Arc<Common>,
    peer: Box<str>,
    start: Instant,
    #[expect(dead_code, reason = "held for its drop")]
    place: OwnedSemaphorePermit,
}

impl Connection {
    pub(crate) fn new(
        common: &Arc<Common>,
        stream: &PlainStream,
        place: OwnedSemaphorePermit,
    ) -> Self {
        common.metrics.accepted();
        Self { common: Arc::clone(common), peer: peer_name(stream), start: Instant::now(), place }
    }

    /// Joins what was accepted with what it is passed on to, for the longest time that a connection may last. `identity` is the secured
    /// side's.
    pub(crate) fn join<A: RelayEnd, B: RelayEnd>(
        self,
        a: A,
        b: B,
        identity: Option<Arc<PeerIdentity>>,
    ) -> Box<Joined<A, B>> {
        let sleep = self.common.max_lifetime.map(|limit| Box::pin(sleep(limit)));
        let relay = relay(a, b, Arc::clone(&self.common.relay));
        Box::new(Joined { relay, sleep, identity, connection: self })
    }

    /// Logs and counts that it came to nothing, in this order: whoever sees the count finds the line.
    pub(crate) fn failed(&self, identity: &str, reason: &'static str, error: &str) {
        if !self.common.quiet.contains(&Quiet::ConnErrs) {
            tracing::warn!(peer = &*self.peer, identity, error, "connection failed");
        }
        self.common.metrics.ended(reason);
    }

    /// Logs and counts how it ended.
    fn ended(&self, identity: &str, summary: &Summary) {
        let (peer, quiet) = (&*self.peer, &self.common.quiet);
        let (forward, backward) = (summary.a_to_b, summary.b_to_a);
        let seconds = self.start.elapsed().as_secs_f64();
        let path = summary.path;
        if summary.is_clean() {
            if !quiet.contains(&Quiet::Conns) {
                tracing::info!(
                    peer, identity, forward = forward.bytes, backward = backward.bytes, %path, seconds,
                    "connection ended"
                );
            }
        } else if !quiet.contains(&Quiet::ConnErrs) {
            tracing::info!(
                peer, identity, forward = forward.bytes, backward = backward.bytes, %path, seconds,
                forward_end = %forward.end, backward_end = %backward.end,
                "connection cut off"
            );
        }
        self.common.metrics.relayed(summary);
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.common.metrics.open.dec();
    }
}

/// A connection that is passed on: a future that ends with it, logged and counted.
///
/// Written by hand, and in a box: an `async` block that is given a relay keeps room for it twice, as what it was given and as what it
/// waits for.
pub(crate) struct Joined<A: RelayEnd, B: RelayEnd> {
    relay: Relay<A, B>,
    sleep: Option<Pin<Box<Sleep>>>,
    identity: Option<Arc<PeerIdentity>>,
    connection: Connection,
}

impl<A: RelayEnd, B: RelayEnd> Future for Joined<A, B> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Self { relay, sleep, identity, connection } = &mut *self;
        let identity = identity.as_ref().map_or("", |identity| identity.name());
        if let Poll::Ready(summary) = Pin::new(relay).poll(cx) {
            connection.ended(identity, &summary);
            return Poll::Ready(());
        }
        let Some(sleep) = sleep else { return Poll::Pending };
        ready!(sleep.as_mut().poll(cx));
        connection.failed(identity, "max_lifetime", "it lasted for --max-lifetime");
        Poll::Ready(())
    }
}

/// The peer of a connection, for log lines.
fn peer_name(stream: &PlainStream) -> Box<str> {
    stream.peer_addr().map_or_else(|| "unix".into(), |address| address.to_string().into())
}
