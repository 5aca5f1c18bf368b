//! A server's settings, and all its connections together.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{Extensions, Request, Response};
use hyper::server::conn::http1;
use hyper_util::rt::TokioTimer;
use tokio::io::{AsyncRead, AsyncWrite};
use tower_service::Service;

use super::body::Body;
use super::connection;
use super::shared::{Counted, Shared};
use crate::ready::ReadyReader;

/// How long a client may take from a request's first byte to the end of its head, unless told otherwise; hyper's default.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// As good as no limit. hyper adds limits to the time of day, which must not overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// The least that hyper takes for a head.
const MIN_HEAD: usize = 8_192;

/// Serves HTTP/1.1 connections, all with the same settings. Clones are the same server. It needs a tokio runtime with time and I/O enabled.
#[derive(Clone)]
pub struct Server(Arc<Shared>);

/// Describes a [`Server`]; [`build`](Self::build) checks it once.
#[derive(Clone, Copy, Debug)]
#[must_use]
pub struct ServerBuilder {
    header_timeout: Duration,
    idle_timeout: Option<Duration>,
    max_head: Option<usize>,
}

/// A setting that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidSetting(&'static str);

/// Figures of a [`Server`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerStats {
    /// Connections at this moment.
    pub connections: usize,
    /// Requests that were handed to the service so far. Those of a connection are counted when it comes to rest or ends.
    pub requests: u64,
}

impl Server {
    /// A server with the defaults.
    pub fn new() -> Self {
        ServerBuilder::default().server()
    }

    /// Describes a server with other settings.
    pub fn builder() -> ServerBuilder {
        ServerBuilder::default()
    }

    /// One connection: a future to be spawned as a task. `describe` puts what handlers want to know of the connection into the extensions
    /// of its requests; it is called each time that the connection leaves its rest.
    ///
    /// It ends when the connection is closed. Dropping it closes the connection at once and drops its handlers.
    pub fn connection<IO, S, B, D>(
        &self,
        io: IO,
        service: S,
        describe: D,
    ) -> impl Future<Output = ()> + Send + use<IO, S, B, D>
    where
        IO: ReadyReader + AsyncRead + AsyncWrite + Send + Unpin + 'static,
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<Box<dyn StdError + Send + Sync>>,
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn StdError + Send + Sync>>,
        D: Fn(&IO, &mut Extensions) + Send + 'static,
    {
        connection::serve(Counted::new(&self.0), io, service, describe)
    }

    /// Ends all connections in order: those at rest are closed, others after the response that is under way, which says so. New ones
    /// are closed from now on, after their first response if a request has arrived.
    pub fn drain(&self) {
        self.0.drain();
    }

    /// Waits until there is no connection.
    pub async fn drained(&self) {
        self.0.emptied().await;
    }

    /// The figures of this moment.
    pub fn stats(&self) -> ServerStats {
        ServerStats { connections: self.0.connections(), requests: self.0.requests() }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("idle_timeout", &self.0.idle)
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl Default for ServerBuilder {
    fn default() -> Self {
        Self { header_timeout: HEADER_TIMEOUT, idle_timeout: None, max_head: None }
    }
}

impl ServerBuilder {
    /// How long a client may take from a request's first byte to the end of its head; 30 seconds unless set. Then the connection is
    /// closed.
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.header_timeout = timeout;
        self
    }

    /// Closes connections that have been without a request for so long. Off unless set.
    pub fn idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = Some(timeout);
        self
    }

    /// The most bytes that a request's head may have, 8,192 at least; some 400 KiB unless set, hyper's default. What is larger is answered
    /// with 431.
    pub fn max_head(mut self, bytes: usize) -> Self {
        self.max_head = Some(bytes);
        self
    }

    /// Checks the description.
    ///
    /// # Errors
    /// A setting that cannot be, named in the error.
    pub fn build(self) -> Result<Server, InvalidSetting> {
        if self.header_timeout.is_zero() {
            return Err(InvalidSetting("header_timeout must not be 0"));
        }
        if self.idle_timeout.is_some_and(|timeout| timeout.is_zero()) {
            return Err(InvalidSetting("idle_timeout must not be 0"));
        }
        if self.max_head.is_some_and(|bytes| bytes < MIN_HEAD) {
            return Err(InvalidSetting("max_head must be at least 8192 bytes"));
        }
        Ok(self.server())
    }

    fn server(self) -> Server {
        let mut hyper = http1::Builder::new();
        hyper.timer(TokioTimer::new());
        hyper.header_read_timeout(self.header_timeout.min(LONGEST));
        if let Some(bytes) = self.max_head {
            hyper.max_buf_size(bytes);
        }
        let mut last = hyper.clone();
        last.keep_alive(false);
        Server(Arc::new(Shared::new(hyper, last, self.idle_timeout)))
    }
}

impl fmt::Display for InvalidSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a setting of the HTTP/1.1 server cannot be: {}", self.0)
    }
}

impl StdError for InvalidSetting {}
