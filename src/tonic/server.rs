//! Serving tonic's services on this crate's HTTP/2.

use std::any::Any;
use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Extensions, Request, Response};
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tokio_stream::{Stream, StreamExt};
use tonic::transport::server::Connected;
use tower::Service;

use crate::http2::server::{ServerBuilder, SocketInfo};
use crate::http2::{Body, server};
use crate::pool::{BufferPool, PooledBuf, Ticket};
use crate::ready::ReadyReader;

/// A gRPC server on this crate's own HTTP/2, for what tonic generates: a service, or several as tonic's `Routes`, with the layers of tower
/// around them.
///
/// ```no_run
/// # async fn serve(acceptor: alts::Acceptor) -> Result<(), Box<dyn std::error::Error>> {
/// use alts::handshaker::identity::Policy;
/// use alts::tonic::{Authorization, Server};
/// use tower::Layer;
///
/// let callers = Policy::from_rules(["spiffe://example.org/ns/web/*"])?;
/// let routes = tonic::service::Routes::default(); // .add_service(…)
/// let service = Authorization::new(callers).layer(routes.prepare());
/// let listener = tokio::net::TcpListener::bind("[::1]:7000").await?;
/// Server::new().serve(acceptor.incoming(listener), service).await;
/// # Ok(())
/// # }
/// ```
///
/// Requests have in their extensions what tonic's server puts there: `remote_addr()` of plain connections, and
/// [`alts()`](super::RequestExt::alts) of secured ones.
#[derive(Clone, Debug)]
pub struct Server(server::Server);

impl Server {
    /// A server with the defaults.
    ///
    /// # Panics
    /// Never: the defaults can be.
    pub fn new() -> Self {
        Self(Self::builder().build().expect("the defaults are valid"))
    }

    /// Describes another one, to be made by [`Server::from`].
    pub fn builder() -> ServerBuilder {
        server::Server::builder()
    }

    /// The server underneath: its figures, connections one by one, an orderly end.
    pub fn http2(&self) -> &server::Server {
        &self.0
    }

    /// Serves every connection that `incoming` yields, until it ends: an [`Incoming`](crate::connect::Incoming) of secured ones, or tokio's
    /// `TcpListenerStream`. Errors that it yields are logged, and it is asked again.
    pub async fn serve<I, IO, E, S, B>(&self, incoming: I, service: S)
    where
        I: Stream<Item = Result<IO, E>>,
        IO: ReadyReader + AsyncWrite + Connected + server::Connected + Send + Unpin + 'static,
        E: Into<BoxError>,
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send + 'static,
        B: http_body::Body + Send + 'static,
        B::Error: Into<BoxError>,
    {
        self.serve_with_shutdown(incoming, service, std::future::pending()).await;
    }

    /// Serves until `signal` is ready. Then `incoming` is dropped, clients are told to make their calls elsewhere, and the calls that are open
    /// are finished.
    pub async fn serve_with_shutdown<I, IO, E, S, B>(
        &self,
        incoming: I,
        service: S,
        signal: impl Future<Output = ()>,
    ) where
        I: Stream<Item = Result<IO, E>>,
        IO: ReadyReader + AsyncWrite + Connected + server::Connected + Send + Unpin + 'static,
        E: Into<BoxError>,
        S: Service<Request<Body>, Response = Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send + 'static,
        B: http_body::Body + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let incoming = incoming.map(|io| io.map(Identified));
        self.0.serve(incoming, service, signal).await;
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}

impl From<server::Server> for Server {
    fn from(server: server::Server) -> Self {
        Self(server)
    }
}

/// A connection whose requests also have what tonic knows of it.
struct Identified<IO>(IO);

impl<IO: Connected + server::Connected + 'static> server::Connected for Identified<IO> {
    fn extend(&self, extensions: &mut Extensions) {
        // The kernel is asked once for what both have.
        if let Some(socket) = (&self.0 as &dyn Any).downcast_ref::<TcpStream>() {
            let info = socket.connect_info();
            extensions.insert(SocketInfo { local: info.local_addr(), remote: info.remote_addr() });
            extensions.insert(info);
            return;
        }
        self.0.extend(extensions);
        if extensions.get::<IO::ConnectInfo>().is_none() {
            extensions.insert(self.0.connect_info());
        }
    }

    fn begin(&self) -> io::Result<()> {
        self.0.begin()
    }
}

impl<IO: ReadyReader> ReadyReader for Identified<IO> {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll_readable(cx)
    }

    fn poll_read_on_ready(
        &mut self,
        cx: &mut Context<'_>,
        pool: &BufferPool,
        ticket: &mut Option<Ticket>,
    ) -> Poll<io::Result<Option<PooledBuf>>> {
        self.0.poll_read_on_ready(cx, pool, ticket)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Identified<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
