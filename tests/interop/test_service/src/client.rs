//! The cases.

use std::error::Error;
use std::time::Duration;

use alts::tonic::Channel;
use clap::ValueEnum;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::{Body as HttpBody, Bytes, StdError};
use tonic::metadata::{BinaryMetadataValue, MetadataValue};
use tonic::{Code, Request, Status, Streaming};

use crate::Stack;
use crate::echo::{INITIAL, TRAILING};
use crate::proto::test_service_client::TestServiceClient;
use crate::proto::unimplemented_service_client::UnimplementedServiceClient;
use crate::proto::{
    EchoStatus, Empty, Payload, ResponseParameters, SimpleRequest, StreamingInputCallRequest,
    StreamingOutputCallRequest, StreamingOutputCallResponse,
};

/// Sizes of requests and of the responses asked for, in bytes, as the tests' description has them.
const PING_PONG: [(usize, i32); 4] = [(27_182, 31_415), (8, 9), (1_828, 2_653), (45_904, 58_979)];
const LARGE: (usize, i32) = (271_828, 314_159);

/// Runs cases against a server and prints a line on each.
#[derive(Debug, clap::Args)]
pub(crate) struct Client {
    /// Whose HTTP/2 it is.
    #[arg(long)]
    stack: Stack,
    /// The server's address.
    #[arg(long)]
    server: String,
    /// Which case; all of them if none is given.
    #[arg(long, value_enum, rename_all = "snake_case")]
    test_case: Option<Case>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Case {
    EmptyUnary,
    LargeUnary,
    ClientStreaming,
    ServerStreaming,
    PingPong,
    EmptyStream,
    CancelAfterBegin,
    CancelAfterFirstResponse,
    TimeoutOnSleepingServer,
    StatusCodeAndMessage,
    CustomMetadata,
    UnimplementedMethod,
    UnimplementedService,
}

impl Client {
    pub(crate) async fn run(self) -> Result<(), Box<dyn Error>> {
        let uri = format!("http://{}", self.server);
        match self.stack {
            Stack::Alts => {
                let client = Channel::builder(uri.parse()?).connect().await?;
                self.cases(Channel::from(client)).await
            }
            Stack::Hyper => {
                let channel = tonic::transport::Endpoint::new(uri)?.connect().await?;
                self.cases(channel).await
            }
        }
    }

    async fn cases<T>(&self, channel: T) -> Result<(), Box<dyn Error>>
    where
        T: GrpcService<Body> + Clone,
        T::Error: Into<StdError>,
        T::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
        <T::ResponseBody as HttpBody>::Error: Into<StdError> + Send,
    {
        let cases = self.test_case.as_ref().map_or(Case::value_variants(), std::slice::from_ref);
        for case in cases {
            let name = case.to_possible_value().map(|value| value.get_name().to_owned());
            let name = name.unwrap_or_default();
            let client = TestServiceClient::new(channel.clone());
            let other = UnimplementedServiceClient::new(channel.clone());
            match Box::pin(case.run(self.stack, client, other)).await {
                Ok(()) => println!("OK: {name}"),
                Err(fault) => return Err(format!("{name}: {fault}").into()),
            }
        }
        Ok(())
    }
}

/// What went differently.
type Outcome = Result<(), Fault>;

#[derive(Debug)]
struct Fault(String);

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl<T> From<mpsc::error::SendError<T>> for Fault {
    fn from(_: mpsc::error::SendError<T>) -> Self {
        Self("the call is over".into())
    }
}

impl From<Status> for Fault {
    fn from(status: Status) -> Self {
        Self(format!("{status:?}"))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "most are literals")]
fn expect<T: PartialEq + std::fmt::Debug>(what: &str, found: T, wanted: T) -> Outcome {
    match found == wanted {
        true => Ok(()),
        false => Err(Fault(format!("{what} is {found:?} instead of {wanted:?}"))),
    }
}

/// A status that is wanted.
fn expect_status<T>(result: Result<T, Status>, code: Code, message: Option<&str>) -> Outcome {
    match result {
        Ok(_) => Err(Fault(format!("there is no status {code:?}"))),
        Err(status) => {
            expect("the status", status.code(), code)?;
            message.map_or(Ok(()), |message| expect("the message", status.message(), message))
        }
    }
}

fn payload(size: usize) -> Payload {
    Payload { body: vec![0; size].into(), ..Payload::default() }
}

fn output_request(size: usize, answers: &[i32]) -> StreamingOutputCallRequest {
    let parameters = |&size| ResponseParameters { size, ..ResponseParameters::default() };
    StreamingOutputCallRequest {
        response_parameters: answers.iter().map(parameters).collect(),
        payload: Some(payload(size)),
        ..StreamingOutputCallRequest::default()
    }
}

fn large_unary() -> SimpleRequest {
    let (size, response_size) = LARGE;
    SimpleRequest { response_size, payload: Some(payload(size)), ..SimpleRequest::default() }
}

async fn expect_message(
    responses: &mut Streaming<StreamingOutputCallResponse>,
    size: i32,
) -> Outcome {
    let Some(response) = responses.message().await? else {
        return Err(Fault("a response is missing".into()));
    };
    let body = response.payload.unwrap_or_default().body;
    expect("a response's size", i32::try_from(body.len()).ok(), Some(size))?;
    expect("its content", body.iter().any(|&byte| byte != 0), false)
}

async fn expect_end(responses: &mut Streaming<StreamingOutputCallResponse>) -> Outcome {
    expect("a response after the last", responses.message().await?.is_some(), false)
}

impl Case {
    #[expect(clippy::too_many_lines, reason = "a case each")]
    async fn run<T>(
        self,
        stack: Stack,
        mut client: TestServiceClient<T>,
        mut other: UnimplementedServiceClient<T>,
    ) -> Outcome
    where
        T: GrpcService<Body>,
        T::Error: Into<StdError>,
        T::ResponseBody: HttpBody<Data = Bytes> + Send + 'static,
        <T::ResponseBody as HttpBody>::Error: Into<StdError> + Send,
    {
        match self {
            Self::EmptyUnary => {
                client.empty_call(Empty {}).await?;
                Ok(())
            }
            Self::LargeUnary => {
                let response = client.unary_call(large_unary()).await?.into_inner();
                let body = response.payload.unwrap_or_default().body;
                expect("the response's size", i32::try_from(body.len()).ok(), Some(LARGE.1))
            }
            Self::ClientStreaming => {
                let sizes = [27_182, 8, 1_828, 45_904];
                let request = |size| StreamingInputCallRequest {
                    payload: Some(payload(size)),
                    ..StreamingInputCallRequest::default()
                };
                let requests = tokio_stream::iter(sizes.map(request));
                let response = client.streaming_input_call(requests).await?.into_inner();
                expect("the sum", response.aggregated_payload_size, 74_922)
            }
            Self::ServerStreaming => {
                let sizes = PING_PONG.map(|(_, size)| size);
                let mut responses =
                    client.streaming_output_call(output_request(0, &sizes)).await?.into_inner();
                for size in sizes {
                    expect_message(&mut responses, size).await?;
                }
                expect_end(&mut responses).await
            }
            Self::PingPong => {
                let (requests, queue) = mpsc::channel(1);
                // A server may have nothing to say before it has the first request.
                requests.send(output_request(PING_PONG[0].0, &[PING_PONG[0].1])).await?;
                let call = client.full_duplex_call(ReceiverStream::new(queue));
                let mut responses = call.await?.into_inner();
                for (at, (_, answer)) in PING_PONG.into_iter().enumerate() {
                    expect_message(&mut responses, answer).await?;
                    if let Some(&(size, answer)) = PING_PONG.get(at + 1) {
                        requests.send(output_request(size, &[answer])).await?;
                    }
                }
                drop(requests);
                expect_end(&mut responses).await
            }
            Self::EmptyStream => {
                let mut responses =
                    client.full_duplex_call(tokio_stream::empty()).await?.into_inner();
                expect_end(&mut responses).await
            }
            Self::CancelAfterBegin => {
                let (requests, queue) = mpsc::channel::<StreamingInputCallRequest>(1);
                // To cancel is to drop the call: there is no status then, and nothing may be left that disturbs the next one.
                let call = client.streaming_input_call(ReceiverStream::new(queue));
                let ended = tokio::time::timeout(Duration::from_millis(50), call).await.is_ok();
                expect("the end of the call before it was canceled", ended, false)?;
                let closed = tokio::time::timeout(Duration::from_secs(10), requests.closed()).await;
                expect("whether the request's body is dropped", closed.is_ok(), true)?;
                client.empty_call(Empty {}).await?;
                Ok(())
            }
            Self::CancelAfterFirstResponse => {
                let (requests, queue) = mpsc::channel(1);
                let (size, answer) = PING_PONG[0];
                requests.send(output_request(size, &[answer])).await?;
                let call = client.full_duplex_call(ReceiverStream::new(queue));
                let mut responses = call.await?.into_inner();
                expect_message(&mut responses, answer).await?;
                drop(responses);
                // hyper goes on with the request without a response; then it has to be ended, too.
                let closed = tokio::time::timeout(Duration::from_secs(5), requests.closed()).await;
                let wanted = !matches!(stack, Stack::Hyper);
                expect("whether the request's body is dropped", closed.is_ok(), wanted)?;
                drop(requests);
                client.empty_call(Empty {}).await?;
                Ok(())
            }
            Self::TimeoutOnSleepingServer => {
                let (requests, queue) = mpsc::channel(1);
                requests.send(output_request(27_182, &[])).await?;
                let mut request = Request::new(ReceiverStream::new(queue));
                request.set_timeout(Duration::from_millis(100));
                let call = async {
                    match client.full_duplex_call(request).await {
                        Ok(responses) => responses.into_inner().message().await,
                        Err(status) => Err(status),
                    }
                };
                let outcome = tokio::time::timeout(Duration::from_secs(5), call).await;
                match (outcome, stack) {
                    // tonic's own channel watches only over the head, and then says this.
                    (Err(_), Stack::Hyper) => Ok(()),
                    (Ok(Err(status)), Stack::Hyper) if status.code() == Code::Cancelled => Ok(()),
                    (Err(_), _) => Err(Fault("the deadline has no effect".into())),
                    (Ok(outcome), _) => expect_status(outcome, Code::DeadlineExceeded, None),
                }
            }
            Self::StatusCodeAndMessage => {
                let message = "test status method";
                let response_status = Some(EchoStatus { code: 2, message: message.into() });
                let request = SimpleRequest {
                    response_status: response_status.clone(),
                    ..SimpleRequest::default()
                };
                expect_status(client.unary_call(request).await, Code::Unknown, Some(message))?;
                let request =
                    StreamingOutputCallRequest { response_status, ..output_request(1, &[1]) };
                let outcome = match client.full_duplex_call(tokio_stream::once(request)).await {
                    Ok(responses) => responses.into_inner().message().await,
                    Err(status) => Err(status),
                };
                expect_status(outcome, Code::Unknown, Some(message))
            }
            Self::CustomMetadata => {
                let initial = MetadataValue::from_static("test_initial_metadata_value");
                let trailing = BinaryMetadataValue::from_bytes(b"\x0a\x0b\x0a\x0b\x0a\x0b");
                let mut request = Request::new(large_unary());
                request.metadata_mut().insert(INITIAL, initial.clone());
                request.metadata_mut().insert_bin(TRAILING, trailing.clone());
                let metadata = request.metadata().clone();
                // tonic puts what unary responses have in their trailers beside what they have in their head.
                let response = client.unary_call(request).await?;
                expect("the initial metadata", response.metadata().get(INITIAL), Some(&initial))?;
                expect(
                    "the trailing metadata",
                    response.metadata().get_bin(TRAILING),
                    Some(&trailing),
                )?;

                let (size, answer) = LARGE;
                let mut request = Request::new(tokio_stream::once(output_request(size, &[answer])));
                *request.metadata_mut() = metadata;
                let response = client.full_duplex_call(request).await?;
                expect("the initial metadata", response.metadata().get(INITIAL), Some(&initial))?;
                let mut responses = response.into_inner();
                expect_message(&mut responses, answer).await?;
                let trailers = responses.trailers().await?.unwrap_or_default();
                expect("the trailing metadata", trailers.get_bin(TRAILING), Some(&trailing))
            }
            Self::UnimplementedMethod => {
                expect_status(client.unimplemented_call(Empty {}).await, Code::Unimplemented, None)
            }
            Self::UnimplementedService => {
                expect_status(other.unimplemented_call(Empty {}).await, Code::Unimplemented, None)
            }
        }
    }
}
