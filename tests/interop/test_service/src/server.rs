//! The service, as gRPC's description of the interoperability tests wants it.

use std::error::Error;
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_stream::{Stream, StreamExt};
use tonic::service::Routes;
use tonic::{Code, Request, Response, Status, Streaming};

use crate::Stack;
use crate::echo::Echo;
use crate::proto::test_service_server::{TestService, TestServiceServer};
use crate::proto::{
    EchoStatus, Empty, Payload, ResponseParameters, SimpleRequest, SimpleResponse,
    StreamingInputCallRequest, StreamingInputCallResponse, StreamingOutputCallRequest,
    StreamingOutputCallResponse,
};

/// Serves until it is killed. The address is the first line of the output.
#[derive(Debug, clap::Args)]
pub(crate) struct Server {
    /// Whose HTTP/2 it is.
    #[arg(long)]
    stack: Stack,
    /// Where to listen; port 0 is any.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
}

impl Server {
    pub(crate) async fn run(self) -> Result<(), Box<dyn Error>> {
        let listener = TcpListener::bind(&self.listen).await?;
        println!("{}", listener.local_addr()?);
        let routes = Routes::new(TestServiceServer::new(Service));
        match self.stack {
            Stack::Alts => {
                let incoming = TcpListenerStream::new(listener);
                alts::tonic::Server::new().serve(incoming, Echo(routes.prepare())).await;
            }
            Stack::Hyper => {
                tonic::transport::Server::builder()
                    .layer(tower::layer::layer_fn(Echo))
                    .add_routes(routes)
                    .serve_with_incoming(TcpListenerStream::new(listener))
                    .await?;
            }
        }
        Ok(())
    }
}

struct Service;

type Responses = Pin<Box<dyn Stream<Item = Result<StreamingOutputCallResponse, Status>> + Send>>;

fn payload(size: i32) -> Result<Option<Payload>, Status> {
    let size = usize::try_from(size).map_err(|_| Status::invalid_argument("a size below 0"))?;
    if size > 64 << 20 {
        return Err(Status::invalid_argument("a size beyond 64 MiB"));
    }
    Ok(Some(Payload { body: vec![0; size].into(), ..Payload::default() }))
}

/// The status that a request asks for.
fn wanted(status: Option<&EchoStatus>) -> Result<(), Status> {
    match status {
        Some(status) if status.code != 0 => {
            Err(Status::new(Code::from_i32(status.code), &*status.message))
        }
        _ => Ok(()),
    }
}

/// A response that comes after the others of its request.
async fn respond(parameters: ResponseParameters) -> Result<StreamingOutputCallResponse, Status> {
    if let Ok(interval @ 1..) = u64::try_from(parameters.interval_us) {
        tokio::time::sleep(Duration::from_micros(interval)).await;
    }
    Ok(StreamingOutputCallResponse { payload: payload(parameters.size)? })
}

fn responses(
    request: StreamingOutputCallRequest,
) -> impl Stream<Item = Result<StreamingOutputCallResponse, Status>> + Send {
    let status = wanted(request.response_status.as_ref());
    let parameters = if status.is_ok() { request.response_parameters } else { Vec::new() };
    stream::iter(status.err())
        .map(Err)
        .chain(stream::StreamExt::then(stream::iter(parameters), respond))
}

#[tonic::async_trait]
impl TestService for Service {
    type StreamingOutputCallStream = Responses;
    type FullDuplexCallStream = Responses;
    type HalfDuplexCallStream = Responses;

    async fn empty_call(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        Ok(Response::new(Empty {}))
    }

    async fn unary_call(
        &self,
        request: Request<SimpleRequest>,
    ) -> Result<Response<SimpleResponse>, Status> {
        let request = request.into_inner();
        wanted(request.response_status.as_ref())?;
        let payload = payload(request.response_size)?;
        Ok(Response::new(SimpleResponse { payload, ..SimpleResponse::default() }))
    }

    async fn cacheable_unary_call(
        &self,
        request: Request<SimpleRequest>,
    ) -> Result<Response<SimpleResponse>, Status> {
        self.unary_call(request).await
    }

    async fn streaming_output_call(
        &self,
        request: Request<StreamingOutputCallRequest>,
    ) -> Result<Response<Responses>, Status> {
        Ok(Response::new(Box::pin(responses(request.into_inner()))))
    }

    async fn streaming_input_call(
        &self,
        request: Request<Streaming<StreamingInputCallRequest>>,
    ) -> Result<Response<StreamingInputCallResponse>, Status> {
        let mut requests = request.into_inner();
        let mut total = 0;
        while let Some(request) = requests.message().await? {
            total += request.payload.map_or(0, |payload| payload.body.len());
        }
        let aggregated_payload_size =
            i32::try_from(total).map_err(|_| Status::out_of_range("2 GiB"))?;
        Ok(Response::new(StreamingInputCallResponse { aggregated_payload_size }))
    }

    async fn full_duplex_call(
        &self,
        request: Request<Streaming<StreamingOutputCallRequest>>,
    ) -> Result<Response<Responses>, Status> {
        let answers = stream::StreamExt::flat_map(request.into_inner(), |request| match request {
            Ok(request) => Box::pin(responses(request)) as Responses,
            Err(status) => Box::pin(stream::iter([Err(status)])),
        });
        Ok(Response::new(Box::pin(answers)))
    }

    async fn half_duplex_call(
        &self,
        request: Request<Streaming<StreamingOutputCallRequest>>,
    ) -> Result<Response<Responses>, Status> {
        let mut requests = request.into_inner();
        let mut all: Vec<Responses> = Vec::new();
        while let Some(request) = requests.message().await? {
            all.push(Box::pin(responses(request)));
        }
        Ok(Response::new(Box::pin(stream::StreamExt::flatten(stream::iter(all)))))
    }

    async fn unimplemented_call(&self, _: Request<Empty>) -> Result<Response<Empty>, Status> {
        Err(Status::unimplemented("the tests want it so"))
    }
}
