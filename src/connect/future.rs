//! Connecting and accepting on tokio.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use alts_handshaker::HandshakeOptions;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tracing::Instrument;

use super::dial::dial_until;
use super::drive::secure;
use super::endpoint::{Acceptor, Connector, Endpoint};
use super::observed::Observed;
use super::socket::Socket;
use crate::error::Error;
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

    /// As [`accept`](Self::accept), with the peer's address from the caller: behind a proxy, for instance.
    pub fn accept_from<S: Socket + 'static>(
        &self,
        io: S,
        source: Option<IpAddr>,
    ) -> HandshakeFuture<S> {
        let endpoint = Arc::clone(&self.0);
        let options = endpoint.settings.handshake.clone();
        HandshakeFuture(Box::pin(secure_logged(endpoint, options, io, source, None)))
    }
}

impl Connector {
    /// Performs the client's side of a handshake over `io`. The handshaker's policy decides which servers are accepted.
    ///
    /// The client finishes before the server has seen its certificate: if the server rejects it, the stream's first read fails.
    ///
    /// As with [`Acceptor::accept`], the future is boxed, and dropping it closes the socket.
    pub fn connect<S: Socket + 'static>(&self, io: S) -> HandshakeFuture<S> {
        self.connect_with(io, self.settings().handshake.clone())
    }

    /// As [`connect`](Self::connect), with options for this connection: the identities that the server may have, for instance.
    pub fn connect_with<S: Socket + 'static>(
        &self,
        io: S,
        options: HandshakeOptions,
    ) -> HandshakeFuture<S> {
        HandshakeFuture(Box::pin(secure_logged(Arc::clone(&self.0), options, io, None, None)))
    }

    /// As [`connect_with`](Self::connect_with), with a deadline in place of the timeout of the settings.
    #[cfg(feature = "tonic")]
    pub(crate) fn connect_until<S: Socket + 'static>(
        &self,
        io: S,
        options: HandshakeOptions,
        deadline: Instant,
    ) -> HandshakeFuture<S> {
        let endpoint = Arc::clone(&self.0);
        HandshakeFuture(Box::pin(secure_logged(endpoint, options, io, None, Some(deadline))))
    }

    /// Connects over TCP to `address`, such as `db.example.org:7000`, and performs the client's side of a handshake.
    ///
    /// Addresses that do not answer cost little, see [`dial`](super::dial).
    /// [`handshake_timeout`](super::Settings::handshake_timeout) is for all of it. The handshake is told `address` as the target's
    /// name, if the settings have none.
    pub fn dial(&self, address: impl Into<String>) -> HandshakeFuture<TcpStream> {
        let (endpoint, address) = (Arc::clone(&self.0), address.into());
        let mut options = endpoint.settings.handshake.clone();
        HandshakeFuture(Box::pin(async move {
            let deadline = endpoint.deadline();
            let socket = dial_until(&address, deadline).await.map_err(|error| {
                let text = format!("cannot connect to {address}: {error}");
                io::Error::new(error.kind(), text)
            })?;
            options.target_name.get_or_insert(address);
            secure_logged(endpoint, options, socket, None, Some(deadline)).await
        }))
    }
}

/// A handshake in progress: a future of the stream.
#[must_use = "a handshake does nothing unless it is awaited"]
pub struct HandshakeFuture<S>(Pin<Box<dyn Future<Output = Result<AltsStream<S>, Error>> + Send>>);

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

async fn secure_logged<S: Socket>(
    endpoint: Arc<Endpoint>,
    options: HandshakeOptions,
    io: S,
    source: Option<IpAddr>,
    deadline: Option<Instant>,
) -> Result<AltsStream<S>, Error> {
    let observed = Observed::begin(endpoint.role, &endpoint.settings, source);
    let deadline = deadline.unwrap_or_else(|| endpoint.deadline());
    let securing = secure(&endpoint, &options, io, source, deadline);
    let result = securing.instrument(observed.span()).await;
    observed.ended(result)
}
