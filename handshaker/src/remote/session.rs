//! One handshake by a service.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{self, Sender};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::Shared;
use super::answer::{self, broken, check_status};
use crate::error::{AlertCode, Error};
use crate::proto::handshaker_req::ReqOneof;
use crate::proto::handshaker_service_client::HandshakerServiceClient;
use crate::proto::{
    HandshakeProtocol, HandshakerReq, HandshakerResp, Identity, NextHandshakeMessageReq,
    ServerHandshakeParameters, StartClientHandshakeReq, StartServerHandshakeReq,
};
use crate::rpc_status::from_status;
use crate::session::{HandshakeOptions, HandshakeSession, Role, Step};

/// The largest response that is read, in bytes: more than ALTS's largest frame with its result.
const MAX_RESPONSE_BYTES: usize = 2 << 20;

/// Bytes of the peer that a service may leave for its next call. gRPC's clients give it 64 KiB at a time.
const MAX_LEFT_BYTES: usize = 64 << 10;

type Answer = Result<(Box<Call>, HandshakerResp), Error>;
type Asking = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// The state of a handshake by a service. Dropping it ends the call.
pub(super) struct RemoteSession {
    shared: Arc<Shared>,
    role: Role,
    options: HandshakeOptions,
    /// What the service has not taken yet.
    left: Vec<u8>,
    state: State,
}

enum State {
    /// The service has not been asked anything.
    Start,
    /// It has been asked, with so many bytes.
    Asking(Asking, usize),
    /// It has answered.
    Answered(Box<Call>),
    /// There is a result, or there was an error: what every further call gets.
    Over(Error),
}

/// An open call, with its place among those of this process.
struct Call {
    requests: Sender<HandshakerReq>,
    responses: Streaming<HandshakerResp>,
    _place: OwnedSemaphorePermit,
}

impl RemoteSession {
    pub(super) fn new(shared: Arc<Shared>, role: Role, options: HandshakeOptions) -> Self {
        Self { shared, role, options, left: Vec::new(), state: State::Start }
    }

    /// Puts the next question, if there is one.
    fn ask(&mut self, received: &[u8]) -> Result<Option<(Asking, usize)>, Error> {
        let over = State::Over(Error::misuse("the handshake is over"));
        match mem::replace(&mut self.state, over) {
            State::Over(error) => Err(error),
            State::Asking(asking, count) => Ok(Some((asking, count))),
            State::Answered(call) if received.is_empty() => {
                self.state = State::Answered(call);
                Ok(None)
            }
            State::Start => {
                // Connecting would panic without one.
                Handle::try_current().map_err(|_| {
                    Error::misuse("a handshaker service is asked from inside a tokio runtime only")
                })?;
                let (request, count) = self.start_request(received);
                let asking = open(Arc::clone(&self.shared), self.role, request);
                Ok(Some((self.in_time(asking), count)))
            }
            State::Answered(call) => {
                let in_bytes = [&self.left, received].concat();
                let count = in_bytes.len();
                let next = NextHandshakeMessageReq { in_bytes, network_latency_ms: 0 };
                let request = HandshakerReq { req_oneof: Some(ReqOneof::Next(next)) };
                Ok(Some((self.in_time(go_on(call, request)), count)))
            }
        }
    }

    fn in_time(&self, asking: impl Future<Output = Answer> + Send + 'static) -> Asking {
        let patience = self.shared.answer_timeout;
        Box::pin(async move {
            let late = |_| Error::Unavailable("the service did not answer in time".to_owned());
            timeout(patience, asking).await.map_err(late)?
        })
    }

    fn start_request(&mut self, received: &[u8]) -> (HandshakerReq, usize) {
        let HandshakeOptions {
            application_protocols,
            record_protocols,
            rpc_versions,
            max_frame_size,
            // A service does not do it.
            close_notify: _,
            target_identities,
            target_name,
        } = self.options.clone();
        let record_protocols =
            record_protocols.iter().map(|protocol| protocol.name().to_owned()).collect();
        let rpc_versions = Some(rpc_versions.into());
        let (request, count) = match self.role {
            Role::Client => {
                let start = StartClientHandshakeReq {
                    handshake_security_protocol: HandshakeProtocol::Alts.into(),
                    application_protocols,
                    record_protocols,
                    target_identities: target_identities
                        .into_iter()
                        .map(Identity::of_service_account)
                        .collect(),
                    target_name: target_name.unwrap_or_default(),
                    rpc_versions,
                    max_frame_size,
                    ..Default::default()
                };
                (ReqOneof::ClientStart(start), 0)
            }
            Role::Server => {
                let parameters =
                    ServerHandshakeParameters { record_protocols, ..Default::default() };
                let start = StartServerHandshakeReq {
                    application_protocols,
                    handshake_parameters: [(HandshakeProtocol::Alts.into(), parameters)].into(),
                    in_bytes: received.to_vec(),
                    rpc_versions,
                    max_frame_size,
                    ..Default::default()
                };
                (ReqOneof::ServerStart(start), received.len())
            }
        };
        (HandshakerReq { req_oneof: Some(request) }, count)
    }

    /// Uses the answer to a question with `asked` bytes.
    fn take(
        &mut self,
        call: Box<Call>,
        mut response: HandshakerResp,
        asked: usize,
        received: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Step, Error> {
        // They go out whatever the status says: it may be what the peer is told about it.
        out.append(&mut response.out_frames);
        check_status(&response)?;
        let taken = response.bytes_consumed as usize;
        if taken > asked {
            return Err(broken("more bytes consumed than there were"));
        }
        self.left.extend_from_slice(received);
        self.left.drain(..taken);
        if let Some(result) = response.result.take() {
            let consumed = received
                .len()
                .checked_sub(self.left.len())
                .ok_or_else(|| broken("a result that leaves bytes it did not take before"))?;
            self.left = Vec::new();
            let result = answer::result(result, &self.options)?;
            return Ok(Step { consumed, result: Some(result) });
        }
        if self.left.len() > MAX_LEFT_BYTES {
            return Err(broken("the service does not take the peer's bytes"));
        }
        // The caller's contract is that all is taken until the end.
        self.state = State::Answered(call);
        Ok(Step { consumed: received.len(), result: None })
    }
}

/// Waits for a turn, opens a call, and gets the first answer.
async fn open(shared: Arc<Shared>, role: Role, request: HandshakerReq) -> Answer {
    let places = Arc::clone(shared.places(role));
    let place = places.acquire_owned().await.expect("the semaphore is never closed");
    let mut client = HandshakerServiceClient::new(shared.channel())
        .max_decoding_message_size(MAX_RESPONSE_BYTES);
    let mut again = true;
    loop {
        // One message at a time: each waits for its answer. The first is there before the call is, since some services answer
        // with nothing at all before they have read it.
        let (requests, receiver) = mpsc::channel(1);
        let queued = requests.try_send(request.clone());
        queued.expect("the channel is new and has room for one");
        match client.do_handshake(ReceiverStream::new(receiver)).await {
            Ok(responses) => {
                let responses = responses.into_inner();
                return Box::new(Call { requests, responses, _place: place }).answer().await;
            }
            // The service may have been restarted since the connection was last used. Nothing has happened yet.
            Err(status) if again && is_connection_fault(&status) => again = false,
            Err(status) => return Err(from_status(&status)),
        }
    }
}

/// Whether the call failed before there was a word from the service.
fn is_connection_fault(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

async fn go_on(call: Box<Call>, request: HandshakerReq) -> Answer {
    // If the service has ended the call, its status says more than that there is no room for a request.
    let _ = call.requests.send(request).await;
    call.answer().await
}

impl Call {
    async fn answer(mut self: Box<Self>) -> Answer {
        match self.responses.message().await {
            Ok(Some(response)) => Ok((self, response)),
            Ok(None) => Err(broken("the service ended the call without a result")),
            Err(status) => Err(from_status(&status)),
        }
    }
}

impl HandshakeSession for RemoteSession {
    fn poll_step(
        &mut self,
        cx: &mut Context<'_>,
        received: &[u8],
        _now: SystemTime,
        out: &mut Vec<u8>,
    ) -> Poll<Result<Step, Error>> {
        let step = match self.ask(received) {
            Err(error) => Err(error),
            Ok(None) => return Poll::Ready(Ok(Step { consumed: 0, result: None })),
            Ok(Some((mut asking, count))) => match asking.as_mut().poll(cx) {
                Poll::Pending => {
                    self.state = State::Asking(asking, count);
                    return Poll::Pending;
                }
                Poll::Ready(Ok((call, response))) => {
                    self.take(call, response, count, received, out)
                }
                Poll::Ready(Err(error)) => Err(error),
            },
        };
        if let Err(error) = &step {
            self.state = State::Over(error.clone());
        }
        Poll::Ready(step)
    }

    /// Ends the call. A service has no alerts for its callers to send.
    fn fail(&mut self, code: AlertCode, _out: &mut Vec<u8>) {
        if !matches!(self.state, State::Over(_)) {
            let detail = "the handshake was given up".into();
            self.state = State::Over(Error::Limit { code, detail });
        }
    }
}

impl fmt::Debug for RemoteSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match &self.state {
            State::Start => "Start",
            State::Asking(..) => "Asking",
            State::Answered(_) => "Answered",
            State::Over(_) => "Over",
        };
        f.debug_struct("RemoteSession")
            .field("role", &self.role)
            .field("state", &state)
            .finish_non_exhaustive()
    }
}
