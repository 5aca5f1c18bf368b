//! Secured connections for `axum::serve`, and handlers that know who calls (feature `axum`).
//!
//! [`Incoming`] over a TCP or a Unix listener is a [`Listener`] of axum; [`Caller`] is its connect info:
//!
//! ```no_run
//! use alts::axum::Caller;
//! use axum::extract::ConnectInfo;
//! use axum::{Router, routing::get};
//!
//! async fn hello(ConnectInfo(caller): ConnectInfo<Caller>) -> String {
//!     format!("hello, {}", caller.peer().name())
//! }
//!
//! # async fn serve(acceptor: alts::Acceptor) -> std::io::Result<()> {
//! let incoming = acceptor.incoming(tokio::net::TcpListener::bind("[::1]:7000").await?);
//! let router = Router::new().route("/", get(hello));
//! axum::serve(incoming, router.into_make_service_with_connect_info::<Caller>()).await
//! # }
//! ```
//!
//! `axum::serve` is hyper's HTTP/1.1, which holds 18 KB for each idle connection. [`http1`](crate::http1) (feature `http1`) serves the same
//! router and holds nothing between two requests; so does [`http2::server`](crate::http2::server) (feature `http2`) over HTTP/2.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use alts_handshaker::identity::PeerIdentity;
use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::net::{UnixListener, unix};

use crate::connect::{self, Incoming, Socket};
use crate::stream::{AltsStream, Negotiated, Terms};

/// The connection of a request: who calls, what the handshake agreed on, and the address if there is one. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Caller {
    terms: Arc<Terms>,
    remote_addr: Option<SocketAddr>,
}

impl Caller {
    /// The caller's authenticated identity.
    pub fn peer(&self) -> &Arc<PeerIdentity> {
        &self.negotiated().peer
    }

    /// The outcome of the handshake: the caller's identity and this side's, and the parameters of the connection.
    pub fn negotiated(&self) -> &Negotiated {
        &self.terms.negotiated
    }

    /// The caller's address. `None` over a Unix socket.
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.remote_addr
    }
}

/// For requests that [`http1`](crate::http1) or a loop of one's own serves: `extensions.insert(ConnectInfo(Caller::from(stream)))`.
impl From<&AltsStream<tokio::net::TcpStream>> for Caller {
    fn from(stream: &AltsStream<tokio::net::TcpStream>) -> Self {
        let remote_addr = stream.get_ref().peer_addr().ok();
        Self { terms: Arc::clone(stream.terms()), remote_addr }
    }
}

#[cfg(unix)]
impl From<&AltsStream<tokio::net::UnixStream>> for Caller {
    fn from(stream: &AltsStream<tokio::net::UnixStream>) -> Self {
        Self { terms: Arc::clone(stream.terms()), remote_addr: None }
    }
}

/// The next connection, with its address. Never ends, as axum has it.
async fn with_address<L, A>(
    incoming: &mut Incoming<L>,
    address: impl Fn(&L::Socket) -> io::Result<A>,
) -> (AltsStream<L::Socket>, A)
where
    L: connect::Listener<Socket: Socket + 'static>,
{
    while let Some(stream) = incoming.next().await {
        match address(stream.get_ref()) {
            Ok(address) => return (stream, address),
            // It was here for the handshake, and is gone.
            Err(error) => tracing::debug!(%error, "a connection without an address is dropped"),
        }
    }
    pending().await
}

impl Listener for Incoming<TcpListener> {
    type Io = AltsStream<tokio::net::TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        with_address(self, tokio::net::TcpStream::peer_addr).await
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.get_ref().local_addr()
    }
}

impl Connected<IncomingStream<'_, Incoming<TcpListener>>> for Caller {
    fn connect_info(stream: IncomingStream<'_, Incoming<TcpListener>>) -> Self {
        let remote_addr = Some(*stream.remote_addr());
        Self { terms: Arc::clone(stream.io().terms()), remote_addr }
    }
}

#[cfg(unix)]
impl Listener for Incoming<UnixListener> {
    type Io = AltsStream<tokio::net::UnixStream>;
    type Addr = unix::SocketAddr;

    async fn accept(&mut self) -> (Self::Io, unix::SocketAddr) {
        with_address(self, tokio::net::UnixStream::peer_addr).await
    }

    fn local_addr(&self) -> io::Result<unix::SocketAddr> {
        self.get_ref().local_addr()
    }
}

#[cfg(unix)]
impl Connected<IncomingStream<'_, Incoming<UnixListener>>> for Caller {
    fn connect_info(stream: IncomingStream<'_, Incoming<UnixListener>>) -> Self {
        Self { terms: Arc::clone(stream.io().terms()), remote_addr: None }
    }
}
