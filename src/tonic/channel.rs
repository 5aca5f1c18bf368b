//! This crate's HTTP/2 client as tonic's users know channels: errors are statuses.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body::{Body, Frame, SizeHint};
use tonic::{Code, Status};
use tower::Service;
use tower::load::Load;

use super::connector::AltsConnector;
use crate::connect::Connector;
use crate::http2::client::{
    BoxError, CallError, Client, ClientBuilder, ResponseBody, ResponseFuture,
};
use crate::http2::frame::{ErrorCode, Scope};
use crate::http2::{Error, Reason};

/// A connection to a gRPC server on this crate's own HTTP/2: every generated client takes it.
///
/// ```no_run
/// # async fn connect(connector: alts::Connector) -> Result<(), Box<dyn std::error::Error>> {
/// use alts::tonic::Channel;
///
/// let channel = Channel::connect("http://db.example.org:7000".parse()?, connector).await?;
/// // let mut client = GreeterClient::new(channel);
/// # Ok(())
/// # }
/// ```
///
/// What [`ClientBuilder`] sets is set there: `Client::builder(uri)…connect_with(AltsConnector::new(connector).on_ready())`, and
/// [`Channel::from`] the client.
///
/// What goes wrong is a [`Status`], with the codes of gRPC's document on statuses and HTTP/2 errors; its sources lead to the cause, which
/// [`cause_of`](super::cause_of) finds. A deadline holds for the whole call, and its status is `DEADLINE_EXCEEDED`.
///
/// Cheap to clone; all clones use one connection. It is a [`Load`], so that tower's balancers choose between several;
/// [`Channels`](super::Channels) does without them.
#[derive(Clone, Debug)]
pub struct Channel(Client);

impl Channel {
    /// Connects to the server at `target` with a handshake.
    ///
    /// # Errors
    /// `UNAVAILABLE` if there is no connection.
    pub async fn connect(target: Uri, connector: Connector) -> Result<Self, Status> {
        let client = Self::builder(target).connect_with(AltsConnector::new(connector).on_ready());
        client.await.map(Self).map_err(status)
    }

    /// A channel that connects with its first call.
    ///
    /// # Errors
    /// `INTERNAL` if the target has no authority.
    pub fn connect_lazy(target: Uri, connector: Connector) -> Result<Self, Status> {
        let connector = AltsConnector::new(connector).on_ready();
        Self::builder(target).connect_lazy_with(connector).map(Self).map_err(status)
    }

    /// Describes a client with other settings, to be made a channel by [`Channel::from`].
    pub fn builder(target: Uri) -> ClientBuilder {
        Client::builder(target)
    }

    /// The client underneath.
    pub fn client(&self) -> &Client {
        &self.0
    }
}

impl From<Client> for Channel {
    fn from(client: Client) -> Self {
        Self(client)
    }
}

impl<B> Service<Request<B>> for Channel
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ChannelBody>;
    type Error = Status;
    type Future = ChannelFuture;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ChannelFuture {
        ChannelFuture(Ok(self.0.call(request)))
    }
}

/// The number of calls that are open.
impl Load for Channel {
    type Metric = usize;

    fn load(&self) -> usize {
        self.0.in_flight()
    }
}

/// The response to come.
#[derive(Debug)]
#[must_use = "a call begins when it is polled"]
pub struct ChannelFuture(Result<ResponseFuture, Status>);

impl ChannelFuture {
    /// Of a call that has failed before it began.
    pub(super) fn failed(status: Status) -> Self {
        Self(Err(status))
    }
}

impl Future for ChannelFuture {
    type Output = Result<Response<ChannelBody>, Status>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = match &mut self.0 {
            Ok(response) => ready!(Pin::new(response).poll(cx)),
            Err(status) => return Poll::Ready(Err(status.clone())),
        };
        Poll::Ready(response.map(|response| response.map(ChannelBody)).map_err(status))
    }
}

/// The content of a response.
#[derive(Debug)]
pub struct ChannelBody(ResponseBody);

impl Body for ChannelBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.0).poll_frame(cx));
        Poll::Ready(frame.map(|frame| frame.map_err(|error| status(error.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.size_hint()
    }
}

/// The status for an error, which becomes its source.
fn status(error: CallError) -> Status {
    // A service or an interceptor may have put a status where a body was expected.
    if let CallError::RequestBody(inner) = &error
        && let Some(inner) = inner.downcast_ref::<Status>()
    {
        return inner.clone();
    }
    let code = match &error {
        CallError::Connect(_) => Code::Unavailable,
        CallError::Http2(error) => code(error),
        _ => Code::Unknown,
    };
    let mut status = Status::new(code, error.to_string());
    status.set_source(Arc::new(error));
    status
}

/// gRPC's `doc/statuscodes.md` and `PROTOCOL-HTTP2.md`, "Errors".
fn code(error: &Error) -> Code {
    match (error.reason(), error.scope()) {
        (Reason::Timeout(_), Scope::Stream) => Code::DeadlineExceeded,
        (Reason::Misuse(_), _) => Code::Internal,
        // The call was not processed, or its connection is gone.
        (Reason::Unprocessed, _) | (_, Scope::Connection) => Code::Unavailable,
        (_, Scope::Stream) => match error.code() {
            ErrorCode::REFUSED_STREAM => Code::Unavailable,
            ErrorCode::CANCEL => Code::Cancelled,
            ErrorCode::ENHANCE_YOUR_CALM => Code::ResourceExhausted,
            ErrorCode::INADEQUATE_SECURITY => Code::PermissionDenied,
            _ => Code::Internal,
        },
    }
}
