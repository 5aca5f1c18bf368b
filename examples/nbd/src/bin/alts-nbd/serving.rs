//! Connections of `alts-nbd serve`.

use std::sync::Arc;

use alts::Acceptor;
use alts::handshaker::cli::WatchedIdentity;
use alts::handshaker::identity::{Policy, TrustDomain};
use alts_nbd::export::{Export, Exports};
use alts_nbd::server::{ConnectionError, Ending, Server};
use tokio::sync::Semaphore;

use crate::listener::{Listener, PlainStream};
use crate::metrics::Handshakes;
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

/// What every connection's task knows.
pub(crate) struct Serving {
    pub(crate) server: Server,
    pub(crate) exports: Exports,
    pub(crate) visible: Vec<Visible>,
    pub(crate) secured: Option<Secured>,
    /// This side's identity, which is read again when its files change.
    pub(crate) identity: Option<WatchedIdentity>,
    pub(crate) handshakes: Handshakes,
    pub(crate) places: Arc<Semaphore>,
}

/// Accepts connections as long as there is room for them.
pub(crate) async fn accept(
    mut listener: Listener,
    secured: bool,
    serving: Arc<Serving>,
    workers: Arc<Workers>,
) {
    loop {
        let stream = listener.accept().await;
        let Ok(place) = Arc::clone(&serving.places).acquire_owned().await else { return };
        let Ok(stream) = stream.unwatched() else { continue };
        let serving = Arc::clone(&serving);
        workers.spawn(async move {
            let Ok(stream) = stream.watch() else { return };
            match secured {
                true => Box::pin(serving.serve_secured(stream)).await,
                false => serving.serve_plain(stream).await,
            }
            drop(place);
        });
    }
}

impl Serving {
    async fn serve_plain(&self, stream: PlainStream) {
        let peer: Box<str> = stream.peer().into();
        // An export that is for certain identities is not for a client without one.
        let exports = self.visible_to(|policy| policy.is_none());
        log_end(&peer, self.server.serve_socket(stream, exports).await);
    }

    async fn serve_secured(&self, stream: PlainStream) {
        let peer: Box<str> = stream.peer().into();
        let Some(secured) = &self.secured else { return };
        let accepted = secured.acceptor.accept(stream).await;
        self.handshakes.ended(accepted.as_ref().map(|_| ()).map_err(alts::Error::fault));
        // The handshake logs what goes wrong.
        let Ok(stream) = accepted else { return };
        let client = stream.peer().clone();
        let exports = self.visible_to(|policy| match (policy, client.spiffe_id()) {
            (None, _) => true,
            (Some(policy), Some(id)) => policy.allows(id, &secured.domain).is_ok(),
            (Some(_), None) => false,
        });
        let peer = format!("{peer} {}", client.name());
        log_end(&peer, self.server.serve(stream, exports).await);
    }

    fn visible_to(&self, sees: impl Fn(Option<&Policy>) -> bool) -> Exports {
        self.exports.visible(|export: &Export| {
            let found = self.visible.iter().find(|visible| visible.name == export.name());
            sees(found.and_then(|visible| visible.policy.as_ref()))
        })
    }
}

fn log_end(peer: &str, result: Result<Ending, ConnectionError>) {
    match result {
        Ok(ending) => tracing::debug!(peer, ?ending, "connection ended"),
        Err(error) => tracing::info!(peer, %error, "connection given up"),
    }
}
