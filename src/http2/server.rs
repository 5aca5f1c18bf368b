//! The server: services of tower and tonic over connections that hold nothing while they are idle.

mod builder;
mod connected;
mod connection;
mod deadline;
mod exchange;
mod incoming;
mod placement;
mod registry;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::budget::Tick;
use super::settings::Config;
use crate::pool::BufferPool;

pub use builder::ServerBuilder;
pub use connected::{Connected, Described, SocketInfo};
pub use connection::Connection;
pub use placement::Handlers;

use registry::Registry;

/// Serves HTTP/2 connections, all with the same settings. Clones are the same server.
///
/// ```no_run
/// # async fn serve<S>(service: S) -> Result<(), Box<dyn std::error::Error>>
/// # where
/// #     S: tower_service::Service<http::Request<alts::http2::Body>, Response = http::Response<alts::http2::Body>>
/// #         + Clone + Send + Sync + 'static,
/// #     S::Future: Send,
/// #     S::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
/// # {
/// use alts::http2::Server;
///
/// let listener = tokio::net::TcpListener::bind("[::1]:7000").await?;
/// let server = Server::builder().build()?;
/// loop {
///     let (socket, _) = listener.accept().await?;
///     tokio::spawn(server.connection(socket, service.clone()));
/// }
/// # }
/// ```
///
/// [`serve`](Self::serve) is that loop with an orderly end. It needs a tokio runtime with time and I/O enabled.
#[derive(Clone)]
pub struct Server(Arc<Shared>);

/// What the connections of a server share.
pub(super) struct Shared {
    config: Config,
    pool: BufferPool,
    handlers: Handlers,
    times: Times,
    registry: Registry,
    draining: AtomicBool,
    counts: Counts,
}

/// Limits of time, in [`Tick`]s.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    preface: Tick,
    settings: Tick,
    stall: Tick,
    window: Tick,
    drain: Tick,
    linger: Tick,
    keepalive: Option<Keepalive>,
    idle: Option<Tick>,
    age: Option<Tick>,
    age_grace: Option<Tick>,
    /// For every call, whatever its `grpc-timeout` says.
    call: Option<std::time::Duration>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Keepalive {
    interval: Tick,
    timeout: Tick,
}

#[derive(Debug, Default)]
struct Counts {
    accepted: AtomicU64,
    requests: AtomicU64,
    ended: AtomicU64,
}

/// Figures of a [`Server`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerStats {
    /// Connections at this moment.
    pub connections: usize,
    /// Connections so far.
    pub accepted: u64,
    /// Requests that were handed to the service so far. Those that a connection has at the same time are counted when it falls idle or
    /// ends.
    pub requests: u64,
    /// Connections that were ended because the peer broke the protocol or a limit.
    pub ended: u64,
}

impl Server {
    /// Describes a server.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// One connection, for a program with an accept loop of its own: a future to be spawned as a task.
    ///
    /// It ends when the connection is closed. Dropping it closes the connection at once and drops its handlers.
    pub fn connection<IO, S, B>(&self, io: IO, service: S) -> Connection<IO, S, B>
    where
        S: tower_service::Service<http::Request<super::Body>, Response = http::Response<B>>,
    {
        Connection::new(Arc::clone(&self.0), io, service)
    }

    /// Ends all connections in order: peers are told to open no more streams, and each connection is closed after its last one. It takes
    /// no new ones from now on that would stay.
    pub fn drain(&self) {
        self.0.draining.store(true, Ordering::Release);
        self.0.registry.wake_all();
    }

    /// Waits until there is no connection.
    pub async fn drained(&self) {
        self.0.registry.emptied().await;
    }

    /// The figures of this moment.
    pub fn stats(&self) -> ServerStats {
        let counts = &self.0.counts;
        ServerStats {
            connections: self.0.registry.len(),
            accepted: counts.accepted.load(Ordering::Relaxed),
            requests: counts.requests.load(Ordering::Relaxed),
            ended: counts.ended.load(Ordering::Relaxed),
        }
    }
}

impl Shared {
    /// Counts requests.
    fn count(&self, requests: u64) {
        self.counts.requests.fetch_add(requests, Ordering::Relaxed);
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("config", &self.0.config)
            .field("handlers", &self.0.handlers)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
