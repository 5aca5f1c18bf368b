//! Connections of `alts-nbd serve`.

use std::sync::Arc;

use alts::Acceptor;
use alts::connect::{AcceptLoop, Socket as _};
use alts::handshaker::cli::WatchedIdentity;
use alts::handshaker::identity::{Policy, TrustDomain};
use alts::plain::{PlainListener, PlainStream};
use alts_nbd::export::{Export, Exports};
use alts_nbd::server::{ConnectionError, Ending, Server};
use tokio::sync::Semaphore;

use crate::multiplexed::Multiplexing;
use crate::workers::Workers;

/// An export, and who may see it over ALTS.
pub(crate) struct Visible {
    pub(crate) name: String,
    pub(crate) policy: Option<Policy>,
}

/// How connections over ALTS are accepted.
pub(crate) struct Secured {
    pub(crate) acceptor: Acceptor,
    /// This side's.
    pub(crate) domain: TrustDomain,
}

/// What is between NBD and the sockets of a listener.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Below {
    pub(crate) alts: bool,
    pub(crate) yamux: bool,
}

/// What every connection's task knows.
pub(crate) struct Serving {
    pub(crate) server: Server,
    pub(crate) exports: Exports,
    pub(crate) visible: Vec<Visible>,
    pub(crate) secured: Option<Secured>,
    /// This side's identity, which is read again when its files change.
    pub(crate) identity: Option<WatchedIdentity>,
    pub(crate) multiplexing: Multiplexing,
    pub(crate) places: Arc<Semaphore>,
}

/// Accepts connections as long as there is room for them.
pub(crate) async fn accept(
    listener: PlainListener,
    below: Below,
    serving: Arc<Serving>,
    workers: Arc<Workers>,
) {
    let mut sockets = AcceptLoop::new(listener);
    while let Some(stream) = sockets.next().await {
        let Ok(place) = Arc::clone(&serving.places).acquire_owned().await else { return };
        // Requests and replies are small and wait for each other.
        let _ = stream.set_nodelay();
        let Ok(stream) = stream.into_std() else { continue };
        let serving = Arc::clone(&serving);
        workers.spawn(async move {
            let Ok(stream) = PlainStream::from_std(stream) else { return };
            match below.alts {
                true => Box::pin(serving.serve_secured(stream, below.yamux)).await,
                false => serving.serve_plain(stream, below.yamux).await,
            }
            drop(place);
        });
    }
}

impl Serving {
    async fn serve_plain(&self, stream: PlainStream, yamux: bool) {
        let peer = peer_name(&stream);
        // An export that is for certain identities is not for a client without one.
        let exports = self.visible_to(|policy| policy.is_none());
        if yamux {
            // In a box: a connection without streams needs no room for it.
            return Box::pin(self.multiplexing.serve(stream, &self.server, exports, &peer)).await;
        }
        log_end(&peer, self.server.serve_socket(stream, exports).await);
    }

    async fn serve_secured(&self, stream: PlainStream, yamux: bool) {
        let peer = peer_name(&stream);
        let Some(secured) = &self.secured else { return };
        // The handshake logs what goes wrong.
        let Ok(stream) = secured.acceptor.accept(stream).await else { return };
        let client = stream.peer().clone();
        let exports = self.visible_to(|policy| match (policy, client.spiffe_id()) {
            (None, _) => true,
            (Some(policy), Some(id)) => policy.allows(id, &secured.domain).is_ok(),
            (Some(_), None) => false,
        });
        let peer = format!("{peer} {}", client.name());
        if yamux {
            return self.multiplexing.serve(stream, &self.server, exports, &peer).await;
        }
        log_end(&peer, self.server.serve(stream, exports).await);
    }

    fn visible_to(&self, sees: impl Fn(Option<&Policy>) -> bool) -> Exports {
        self.exports.visible(|export: &Export| {
            let found = self.visible.iter().find(|visible| visible.name == export.name());
            sees(found.and_then(|visible| visible.policy.as_ref()))
        })
    }
}

/// The peer, for log lines.
fn peer_name(stream: &PlainStream) -> Box<str> {
    match stream {
        PlainStream::Tcp(_) => {
            stream.peer_addr().map_or_else(|| "tcp".into(), |at| at.to_string().into())
        }
        PlainStream::Unix(_) => "unix".into(),
    }
}

/// Logs how an NBD connection has ended.
pub(crate) fn log_end(peer: &str, result: Result<Ending, ConnectionError>) {
    match result {
        Ok(ending) => tracing::debug!(peer, ?ending, "connection ended"),
        Err(error) => tracing::info!(peer, %error, "connection given up"),
    }
}
