//! Connecting and accepting on tokio.

use std::fmt;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use alts_handshaker::HandshakeOptions;
use tracing::Instrument;

use super::drive::secure;
use super::endpoint::{Acceptor, Connector, Endpoint};
use super::socket::Socket;
use crate::error::{Error, Truncation};
use crate::stream::AltsStream;

impl Acceptor {
    /// Performs the server's side of a handshake over `io`.
    ///
    /// The future is boxed, so that a task which awaits it does not keep room for it for the rest of its life. Call this before the
    /// task begins and move the future in: a task that is given the socket keeps room for that too. Dropping the future
    /// closes the socket. It needs a runtime with time enabled.
    pub fn accept<S: Socket + 'static>(&self, io: S) -> HandshakeFuture<S> {
        let source = io.source();
        self.accept_from(io, source)
    }

    /// As [`accept`](Self::accept), for a peer whose address the caller knows better: behind a proxy, say.
    pub fn accept_from<S: Socket + 'static>(
        &self,
        io: S,
        source: Option<IpAddr>,
    ) -> HandshakeFuture<S> {
        let endpoint = Arc::clone(&self.0);
        let options = endpoint.settings.handshake.clone();
        HandshakeFuture::begin(endpoint, options, io, source)
    }
}

impl Connector {
    /// Performs the client's side of a handshake over `io`. Who may be the server is the handshaker's policy.
    ///
    /// The client is done before the server has seen its certificate: if the server refuses it, the stream's first read says so.
    ///
    /// As with [`Acceptor::accept`], the future is boxed, and dropping it closes the socket.
    pub fn connect<S: Socket + 'static>(&self, io: S) -> HandshakeFuture<S> {
        self.connect_with(io, self.settings().handshake.clone())
    }

    /// As [`connect`](Self::connect), with options for this connection: which identities the server may have, say.
    pub fn connect_with<S: Socket + 'static>(
        &self,
        io: S,
        options: HandshakeOptions,
    ) -> HandshakeFuture<S> {
        HandshakeFuture::begin(Arc::clone(&self.0), options, io, None)
    }
}

/// A handshake under way: a future of the stream.
#[must_use = "a handshake does nothing unless it is awaited"]
pub struct HandshakeFuture<S>(Pin<Box<dyn Future<Output = Result<AltsStream<S>, Error>> + Send>>);

impl<S: Socket + 'static> HandshakeFuture<S> {
    fn begin(
        endpoint: Arc<Endpoint>,
        options: HandshakeOptions,
        io: S,
        source: Option<IpAddr>,
    ) -> Self {
        let shown = source.map(tracing::field::display);
        let span = tracing::info_span!("alts_handshake", role = ?endpoint.role, source = shown);
        Self(Box::pin(logged(endpoint, options, io, source).instrument(span)))
    }
}

impl<S> Future for HandshakeFuture<S> {
    type Output = Result<AltsStream<S>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl<S> fmt::Debug for HandshakeFuture<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandshakeFuture").finish_non_exhaustive()
    }
}

async fn logged<S: Socket>(
    endpoint: Arc<Endpoint>,
    options: HandshakeOptions,
    io: S,
    source: Option<IpAddr>,
) -> Result<AltsStream<S>, Error> {
    let result = secure(&endpoint, &options, io, source).await;
    match &result {
        Ok(stream) => {
            let negotiated = stream.negotiated();
            tracing::debug!(
                peer = negotiated.peer.name(),
                protocol = %negotiated.record_protocol,
                "handshake done",
            );
        }
        Err(error @ Error::Truncated { at: Truncation::BeforeHandshake }) => {
            tracing::debug!(%error, "no handshake");
        }
        Err(error) => tracing::info!(%error, fault = ?error.fault(), "handshake failed"),
    }
    result
}
