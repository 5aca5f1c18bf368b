//! One connection: at rest, and with hyper.

use std::error::Error as StdError;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Extensions, Request, Response};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tower_service::Service;

use super::activity::{Activity, Settled};
use super::body::{Body, Open, ResponseBody};
use super::shared::{Counted, Shared};
use super::socket::Socket;
use crate::ready::ReadyReader;

type BoxError = Box<dyn StdError + Send + Sync>;

/// How a connection goes on.
enum Next {
    /// Bytes have arrived.
    Serve,
    Close,
}

/// Serves one connection to its end.
#[expect(clippy::manual_async_fn, reason = "an `async fn` keeps room for its arguments twice")]
pub(super) fn serve<IO, S, B, D>(
    counted: Counted,
    mut io: IO,
    service: S,
    describe: D,
) -> impl Future<Output = ()> + Send
where
    IO: ReadyReader + AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
    D: Fn(&IO, &mut Extensions) + Send + 'static,
{
    async move {
        let mut read = Bytes::new();
        loop {
            if read.is_empty() && matches!(at_rest(counted.shared(), &mut io).await, Next::Close) {
                break;
            }
            let mut extensions = Extensions::new();
            describe(&io, &mut extensions);
            let handler = Handler::new(service.clone(), extensions);
            // In a box, so that a connection at rest has no room for it.
            let served = Box::pin(with_hyper(counted.shared(), io, read, handler));
            let (given_back, rest) = served.await;
            io = given_back;
            match rest {
                // Even nothing would keep hyper's buffer.
                Some(rest) if rest.is_empty() => read = Bytes::new(),
                Some(rest) => read = rest,
                None => break,
            }
        }
        if let Err(error) = io.shutdown().await {
            tracing::debug!(%error, "an HTTP/1.1 connection could not be shut down");
        }
    }
}

/// Waits for bytes, and holds nothing meanwhile.
async fn at_rest<IO: ReadyReader>(shared: &Shared, io: &mut IO) -> Next {
    let mut drained = pin!(shared.wake.notified());
    drained.as_mut().enable();
    let mut limit = shared.idle.map(|limit| Box::pin(tokio::time::sleep(limit)));
    poll_fn(|cx| {
        match io.poll_readable(cx) {
            Poll::Ready(Ok(())) => return Poll::Ready(Next::Serve),
            Poll::Ready(Err(error)) => {
                tracing::debug!(%error, "an HTTP/1.1 connection was lost at rest");
                return Poll::Ready(Next::Close);
            }
            Poll::Pending => {}
        }
        let is_over = limit.as_mut().is_some_and(|limit| limit.as_mut().poll(cx).is_ready());
        if is_over || shared.is_draining() || drained.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Next::Close);
        }
        Poll::Pending
    })
    .await
}

/// Has hyper serve until nothing is under way. Answers with the stream and what was read of the next request; without the latter the
/// connection is over.
async fn with_hyper<IO, S, B>(
    shared: &Shared,
    io: IO,
    read: Bytes,
    handler: Handler<S>,
) -> (IO, Option<Bytes>)
where
    IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: http_body::Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut drained = pin!(shared.wake.notified());
    drained.as_mut().enable();
    let mut draining = shared.is_draining();
    let activity = Arc::clone(&handler.activity);
    let socket = TokioIo::new(Socket::new(io, read, Arc::clone(&activity)));
    // What has arrived is answered, and the answer says that it is the last.
    let hyper = if draining { &shared.last } else { &shared.hyper };
    let mut connection = hyper.serve_connection(socket, handler);
    let goes_on = poll_fn(|cx| {
        if !draining && drained.as_mut().poll(cx).is_ready() {
            draining = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        if let Poll::Ready(ended) = connection.poll_without_shutdown(cx) {
            return Poll::Ready(ended.map(|()| false));
        }
        match activity.settle() {
            Settled::Busy => return Poll::Pending,
            Settled::Again => {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            Settled::Over => {}
        }
        // hyper is between two requests, so this ends its part at once and says nothing to the peer.
        Pin::new(&mut connection).graceful_shutdown();
        ready!(connection.poll_without_shutdown(cx))?;
        Poll::Ready(Ok::<_, hyper::Error>(!draining))
    });
    let goes_on = goes_on.await.unwrap_or_else(|error| {
        tracing::debug!(%error, "an HTTP/1.1 connection failed");
        false
    });
    shared.count(activity.requests());
    let parts = connection.into_parts();
    (parts.io.into_inner().into_inner(), goes_on.then_some(parts.read_buf))
}

/// The service as hyper calls it.
struct Handler<S> {
    /// In a box, because hyper asks for what may be moved.
    service: Box<S>,
    extensions: Extensions,
    activity: Arc<Activity>,
}

impl<S> Handler<S> {
    fn new(service: S, extensions: Extensions) -> Self {
        Self { service: Box::new(service), extensions, activity: Arc::default() }
    }
}

impl<S, B> hyper::service::Service<Request<Incoming>> for Handler<S>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Response<ResponseBody<B>>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let open = Open::new(Arc::clone(&self.activity));
        let (mut head, content) = request.into_parts();
        // Nobody could keep what a handler would promise with it.
        head.extensions.remove::<hyper::upgrade::OnUpgrade>();
        head.extensions.extend(self.extensions.clone());
        let request = Request::from_parts(head, Body::new(content, Arc::clone(&self.activity)));
        let mut service = S::clone(&self.service);
        Box::pin(async move {
            poll_fn(|cx: &mut Context<'_>| service.poll_ready(cx)).await?;
            let response = service.call(request).await?;
            Ok(response.map(|content| ResponseBody::new(content, open)))
        })
    }
}
