//! The server: a handler for each thing that a client may want of it.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use alts::http2::server::ServerBuilder;
use alts::http2::{Body, Error, Reason, Server};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::net::TcpStream;
use tower_service::Service;

use crate::identities::{self, Identities};
use crate::tally::{CLOSED, Tally};
use crate::target::Target;

/// What one piece of an endless response holds, in bytes.
pub(crate) const CHUNK: usize = 16 << 10;

/// How connections end.
pub(super) const LIMIT: &str = "over a limit";
pub(super) const PROTOCOL: &str = "against the protocol";
pub(super) const TIMED_OUT: &str = "out of time";

/// Listens, and serves each connection in a task.
pub(super) fn target(change: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Target {
    let identities = Identities::new();
    let handshaker = identities::server(identities.path());
    let builder = change(Server::builder());
    Target::launch(
        identities,
        handshaker,
        |_, _| (),
        move |listener, acceptor, tally| async move {
            let server = builder.pool(acceptor.settings().pool.clone()).build().expect("valid");
            while let Ok((socket, _)) = listener.accept().await {
                Tally::add(&tally.accepted);
                tokio::spawn(serve(server.clone(), socket, Arc::clone(&tally)));
            }
        },
    )
}

async fn serve(server: Server, socket: TcpStream, tally: Arc<Tally>) {
    let connection = server.connection(socket, Handlers);
    tally.end(match connection.await {
        Ok(()) => CLOSED,
        Err(error) => match error.reason() {
            Reason::Limit(_) => LIMIT,
            Reason::Violation(_) => PROTOCOL,
            Reason::Timeout(_) => TIMED_OUT,
            Reason::Truncated => "cut off",
            _ => "lost",
        },
    });
}

/// `/echo` sends back what comes, `/hold` never answers and reads nothing, `/endless` never ends its response, and `/drip/N` answers with N
/// frames of ten bytes. Anything else is answered at once with nothing.
#[derive(Clone, Copy)]
struct Handlers;

type Content = UnsyncBoxBody<Bytes, Error>;

impl Service<Request<Body>> for Handlers {
    type Response = Response<Content>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Content>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(handle(request))
    }
}

async fn handle(request: Request<Body>) -> Result<Response<Content>, Infallible> {
    let path = request.uri().path().to_owned();
    Ok(Response::new(match path.as_str() {
        "/echo" => request.into_body().boxed_unsync(),
        "/hold" => {
            pending::<()>().await;
            drop(request);
            Content::default()
        }
        "/endless" => Pieces { left: u64::MAX, size: CHUNK }.boxed_unsync(),
        path => match path.strip_prefix("/drip/").and_then(|count| count.parse().ok()) {
            Some(left) => Pieces { left, size: 10 }.boxed_unsync(),
            None => Content::default(),
        },
    }))
}

/// A body of so many pieces of a size, each in memory of its own.
struct Pieces {
    left: u64,
    size: usize,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(left) = self.left.checked_sub(1) else { return Poll::Ready(None) };
        self.left = left;
        Poll::Ready(Some(Ok(Frame::data(vec![7; self.size].into()))))
    }
}
