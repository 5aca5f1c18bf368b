//! The service: a unary call, and streams on which nothing happens, with either codec.

use std::convert::Infallible;
use std::task::{Context, Poll};

use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codec::{Codec, Streaming};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::codegen::{Body as HttpBody, BoxFuture, Bytes, Service, StdError, http};
use tonic::server::{NamedService, StreamingService};
use tonic::service::Routes;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;

use crate::echo::echo_server::{Echo, EchoServer};
use crate::echo::{Caller, Message, RepeatRequest, WhoAmIRequest};

/// Of the generated service, whose codec is `SmallBufferCodec`.
pub(crate) const SMALL: &str = "/alts.example.Echo/Chat";
/// The same with tonic's own codec.
pub(crate) const DEFAULT: &str = "/alts.example.DefaultCodec/Chat";

pub(crate) fn routes() -> Routes {
    Routes::new(EchoServer::new(Quiet)).add_service(DefaultCodec)
}

/// Begins a stream on which nothing will happen.
pub(crate) async fn open<T, C>(
    channel: T,
    codec: C,
    path: &'static str,
) -> Result<Streaming<Message>, Status>
where
    T: GrpcService<Body>,
    T::Error: Into<StdError>,
    T::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
    <T::ResponseBody as HttpBody>::Error: Into<StdError> + Send,
    C: Codec<Encode = Message, Decode = Message> + Send + Sync + 'static,
{
    let mut grpc = tonic::client::Grpc::new(channel);
    grpc.ready().await.map_err(|error| Status::from_error(error.into()))?;
    let messages = Request::new(tokio_stream::pending());
    let answers = grpc.streaming(messages, PathAndQuery::from_static(path), codec).await?;
    Ok(answers.into_inner())
}

/// The generated code names one codec; this is what it would be with the other.
#[derive(Clone, Debug)]
struct DefaultCodec;

impl NamedService for DefaultCodec {
    const NAME: &'static str = "alts.example.DefaultCodec";
}

impl Service<http::Request<Body>> for DefaultCodec {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(async move {
            let codec = ProstCodec::<Message, Message>::default();
            Ok(tonic::server::Grpc::new(codec).streaming(Quiet, request).await)
        })
    }
}

#[derive(Clone, Copy, Debug)]
struct Quiet;

impl StreamingService<Message> for Quiet {
    type Response = Message;
    type ResponseStream = Streaming<Message>;
    type Future = BoxFuture<Response<Streaming<Message>>, Status>;

    fn call(&mut self, request: Request<Streaming<Message>>) -> Self::Future {
        Box::pin(async move { Ok(Response::new(request.into_inner())) })
    }
}

#[tonic::async_trait]
impl Echo for Quiet {
    async fn once(&self, request: Request<Message>) -> Result<Response<Message>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    type RepeatStream = Streaming<Message>;

    async fn repeat(
        &self,
        _: Request<RepeatRequest>,
    ) -> Result<Response<Self::RepeatStream>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn join(&self, _: Request<Streaming<Message>>) -> Result<Response<Message>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    type ChatStream = Streaming<Message>;

    async fn chat(
        &self,
        request: Request<Streaming<Message>>,
    ) -> Result<Response<Self::ChatStream>, Status> {
        Ok(Response::new(request.into_inner()))
    }

    async fn who_am_i(&self, _: Request<WhoAmIRequest>) -> Result<Response<Caller>, Status> {
        Err(Status::unimplemented("not measured"))
    }
}
