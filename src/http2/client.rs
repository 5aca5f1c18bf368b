//! Clients: calls on a connection that is made when it is needed, and made anew when it ends.
//!
//! ```text
//!  Client ─► Shared: the connection of the moment ─► Connection ◄─ Driver, a task ─► transport
//!    │ clones                                           ▲
//!    └─► ResponseFuture ─────────── Slot ◄──────────────┘
//! ```
//!
//! * A [`Client`] is a `tower::Service` of HTTP requests, so every generated gRPC client takes it. Cloning it is cheap; all clones use one
//!   connection.
//! * Calls wait while the server's limit of concurrent streams is reached, and for a connection while one is being made. After a failed
//!   attempt they fail at once until back-off lets the next attempt begin.
//! * A call that the server certainly did not process (it was refused, or the connection ended before it) is sent again, up to three times, if
//!   its body was not a stream of which something is gone.
//! * Deadlines hold for the whole call: the field `grpc-timeout` of a request, or [`ClientBuilder::timeout`].
//! * Dropping a response, or its future, cancels the call.
//!
//! # Memory
//!
//! A connection without calls holds no buffer; the bench `idle_grpc` prints what it does hold. Clients whose builders are clones of one share
//! what it says. At most [`connection_window`](ClientBuilder::connection_window) bytes of responses are held unread, and one piece of the
//! body of each request.

mod builder;
mod connection;
mod driver;
mod error;
mod options;
mod reconnect;
mod request;
mod response;
mod slot;
mod transport;

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Uri, header};
use tower_service::Service;

pub use builder::ClientBuilder;
pub use driver::Driver;
pub use error::{BoxError, CallError, ConnectError};

pub use response::{ResponseBody, ResponseFuture};
pub use transport::{TcpConnector, Transport};

use super::grpc_timeout;
use reconnect::{Shared, Waiting};
use request::{Request, Start};

/// Makes calls.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

/// What a call can expect of a [`Client`]'s connection, from what to prefer to what to avoid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Availability {
    /// There is a connection, or the next call makes one.
    Usable,
    /// One is being made; calls wait for it.
    Connecting,
    /// The last attempt failed, and back-off does not let the next begin: calls fail at once.
    Failing,
}

impl Client {
    /// Describes a client of the server at `target`: `http://host:port`.
    pub fn builder(target: Uri) -> ClientBuilder {
        ClientBuilder::new(target)
    }

    fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Waits until there is a connection, and makes one if there is none.
    ///
    /// # Errors
    /// The attempt failed, or the last one did and back-off does not let the next begin.
    pub async fn connected(&self) -> Result<(), CallError> {
        let mut waiting = Waiting::default();
        poll_fn(|cx| self.shared.poll_connection(cx, &mut waiting)).await.map(drop)
    }

    /// What the next call can expect: for balancers.
    pub fn availability(&self) -> Availability {
        self.shared.availability()
    }

    /// How many calls are open: a measure of load for balancers.
    pub fn in_flight(&self) -> usize {
        self.shared.options.in_flight.load(Ordering::Relaxed) as usize
    }
}

impl<B> Service<http::Request<B>> for Client
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = http::Response<ResponseBody>;
    type Error = CallError;
    type Future = ResponseFuture;

    /// Always ready: what has to wait does so in the call.
    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), CallError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<B>) -> ResponseFuture {
        let options = &self.shared.options;
        let (mut parts, body) = request.into_parts();
        // A path alone belongs to this client's target.
        if parts.uri.authority().is_none() || parts.uri.scheme().is_none() {
            let mut uri = std::mem::take(&mut parts.uri).into_parts();
            uri.scheme.get_or_insert_with(|| options.scheme.clone());
            uri.authority.get_or_insert_with(|| options.authority.clone());
            uri.path_and_query.get_or_insert_with(|| http::uri::PathAndQuery::from_static("/"));
            // All three are there, so it is one.
            parts.uri = Uri::from_parts(uri).unwrap_or_default();
        }
        let headers = &mut parts.headers;
        if !headers.contains_key(header::USER_AGENT) {
            headers.insert(header::USER_AGENT, options.behavior.user_agent.clone());
        }
        let asked = grpc_timeout::of(headers);
        let timeout = match (asked, options.behavior.timeout) {
            (Some(asked), Some(own)) => Some(asked.min(own)),
            (asked, own) => asked.or(own),
        };
        if let Some(timeout) = timeout.filter(|timeout| Some(*timeout) != asked) {
            headers.insert(grpc_timeout::NAME, grpc_timeout::value(timeout));
        }
        let request = Request { parts: Box::new(parts), body: Start::new(body) };
        ResponseFuture::new(&self.shared, request, timeout)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("target", &self.shared.options.target)
            .field("in_flight", &self.in_flight())
            .finish_non_exhaustive()
    }
}
