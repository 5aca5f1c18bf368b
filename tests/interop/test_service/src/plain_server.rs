//! HTTP/2 without gRPC, for clients and servers that know nothing of it: curl, nghttp, h2load, nghttpd, httpwg.
//!
//! `GET /bytes/N` answers N bytes of a pattern and trailers that say so, a request with content gets it back with its trailers, and
//! anything else is greeted.

use std::convert::Infallible;
use std::error::Error;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::{Body, Frame};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;

use crate::Stack;

/// The field in the trailers of generated content: how long it is.
pub(crate) const LENGTH: &str = "x-length";
/// Two kilobytes, so that a test of windows has something to cut.
const GREETING: &str = "HTTP/2 on ready. ";
/// After so many bytes the pattern begins again.
const PERIOD: usize = 251;
/// Some periods, of which pieces are taken.
static PATTERN: LazyLock<Bytes> = LazyLock::new(|| pattern(64 * PERIOD));

/// The content that both sides know.
pub(crate) fn pattern(length: usize) -> Bytes {
    (0..length).map(|position| (position % PERIOD) as u8).collect()
}

/// Serves plain HTTP/2 until it is killed. The address is the first line of the output.
#[derive(Debug, clap::Args)]
pub(crate) struct PlainServer {
    /// Whose HTTP/2 it is.
    #[arg(long)]
    stack: Stack,
    /// Where to listen; port 0 is any.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
}

impl PlainServer {
    pub(crate) async fn run(self) -> Result<(), Box<dyn Error>> {
        let listener = TcpListener::bind(&self.listen).await?;
        println!("{}", listener.local_addr()?);
        match self.stack {
            Stack::Alts => {
                let server = alts::http2::Server::builder().build()?;
                let incoming = TcpListenerStream::new(listener);
                server.serve(incoming, tower::service_fn(answer), std::future::pending()).await;
                Ok(())
            }
            Stack::Hyper => loop {
                let (socket, _) = listener.accept().await?;
                socket.set_nodelay(true)?;
                tokio::spawn(
                    hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(socket), hyper::service::service_fn(answer)),
                );
            },
        }
    }
}

async fn answer<B: Body>(request: Request<B>) -> Result<Response<Reply<B>>, Infallible> {
    let asked = request.uri().path().strip_prefix("/bytes/").and_then(|count| count.parse().ok());
    Ok(Response::new(match asked {
        Some(length) => Reply::Generated(Generated::with_trailers(length)),
        None if request.body().is_end_stream() => {
            Reply::Greeting(Some(GREETING.repeat(128).into()))
        }
        None => Reply::Echo(request.into_body()),
    }))
}

enum Reply<B> {
    Generated(Generated),
    Greeting(Option<Bytes>),
    Echo(B),
}

impl<B: Body<Data = Bytes> + Unpin> Body for Reply<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match &mut *self {
            Self::Generated(body) => Poll::Ready(body.next().map(Ok)),
            Self::Greeting(greeting) => Poll::Ready(greeting.take().map(Frame::data).map(Ok)),
            Self::Echo(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Generated(body) => body.is_end_stream(),
            Self::Greeting(greeting) => greeting.is_none(),
            Self::Echo(body) => body.is_end_stream(),
        }
    }
}

/// So many bytes of the pattern, and maybe trailers.
pub(crate) struct Generated {
    left: usize,
    trailers: Option<HeaderMap>,
}

impl Generated {
    pub(crate) fn new(length: usize) -> Self {
        Self { left: length, trailers: None }
    }

    fn with_trailers(length: usize) -> Self {
        let trailers =
            HeaderMap::from_iter([(HeaderName::from_static(LENGTH), HeaderValue::from(length))]);
        Self { left: length, trailers: Some(trailers) }
    }

    fn next(&mut self) -> Option<Frame<Bytes>> {
        if self.left == 0 {
            return self.trailers.take().map(Frame::trailers);
        }
        let piece = PATTERN.slice(..PATTERN.len().min(self.left));
        self.left -= piece.len();
        Some(Frame::data(piece))
    }
}

impl Body for Generated {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.next().map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0 && self.trailers.is_none()
    }
}
