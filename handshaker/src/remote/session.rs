//! One handshake by a service.

use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use tokio::runtime::Handle;
use tokio::sync::mpsc::{self, Sender};
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::Shared;
use super::answer::{self, broken, check_status};
use super::turns::{Parked, Turn};
use crate::alert::AlertCode;
use crate::engine::{FrameTracker, begins_with_an_offer, clear_alert};
use crate::error::Error;
use crate::proto::handshaker_req::ReqOneof;
use crate::proto::handshaker_service_client::HandshakerServiceClient;
use crate::proto::{
    HandshakeProtocol, HandshakerReq, HandshakerResp, Identity, NextHandshakeMessageReq,
    ServerHandshakeParameters, StartClientHandshakeReq, StartServerHandshakeReq,
};
use crate::role::Role;
use crate::rpc_status::from_status;
use crate::session::{HandshakeOptions, HandshakeSession, Step};

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
    /// What the service has not taken yet, or not been asked about: a part of a message is no use to it.
    left: Vec<u8>,
    /// Follows all bytes of the peer: a service may have taken a part of a frame, so `left` need not begin with one.
    frames: FrameTracker,
    state: State,
    /// A client of `altsh1` has made an offer, and there was no answer yet: an alert is in plaintext, and needs no service.
    may_be_refused: bool,
}

enum State {
    /// The service has not been asked anything.
    Start,
    /// It has been asked, with this number of bytes.
    Asking(Asking, usize),
    /// It has answered, and the peer is to say something.
    Answered(Parked<Box<Call>>),
    /// There is a result, or there was an error: what every further call gets.
    Over(Error),
}

/// An open call, with its turn.
pub(super) struct Call {
    requests: Sender<HandshakerReq>,
    responses: Streaming<HandshakerResp>,
    /// When the service last had something for the peer. A peer that sends a byte now and then does not advance the handshake.
    advanced: Instant,
    _turn: Turn<Box<Call>>,
}

impl RemoteSession {
    pub(super) fn new(shared: Arc<Shared>, role: Role, options: HandshakeOptions) -> Self {
        let (left, frames, state) = (Vec::new(), FrameTracker::default(), State::Start);
        Self { shared, role, options, left, frames, state, may_be_refused: false }
    }

    /// Puts the next question, if there is one.
    fn ask(&mut self, received: &[u8]) -> Result<Option<(Asking, usize)>, Error> {
        if self.awaits_more(received) {
            self.left.extend_from_slice(received);
            return Ok(None);
        }
        let over = State::Over(Error::misuse("the handshake is over"));
        match mem::replace(&mut self.state, over) {
            State::Over(error) => Err(error),
            State::Asking(asking, count) => Ok(Some((asking, count))),
            State::Start => {
                // Connecting would panic without one.
                Handle::try_current().map_err(|_| {
                    Error::misuse("a handshaker service can be asked only inside a tokio runtime")
                })?;
                let (request, count) = self.start_request(received);
                let asking = open(Arc::clone(&self.shared), self.role, request);
                Ok(Some((Box::pin(asking), count)))
            }
            State::Answered(parked) => {
                let call = parked.resume().ok_or_else(|| self.lost_its_turn())?;
                let in_bytes = [&self.left, received].concat();
                let count = in_bytes.len();
                let next = NextHandshakeMessageReq { in_bytes, network_latency_ms: 0 };
                let request = HandshakerReq { req_oneof: Some(ReqOneof::Next(next)) };
                Ok(Some((self.in_time(go_on(call, request)), count)))
            }
        }
    }

    /// Whether there is nothing to ask yet: the peer has said nothing, or did not finish a message.
    fn awaits_more(&mut self, received: &[u8]) -> bool {
        let peer_is_next = match self.state {
            State::Start => self.role == Role::Server,
            State::Answered(_) => true,
            State::Asking(..) | State::Over(_) => false,
        };
        peer_is_next && !self.frames.advance(received)
    }

    /// The alert that a handshaker of this process would have sent.
    fn refuse(&mut self, code: Option<AlertCode>, out: &mut Vec<u8>) {
        if mem::take(&mut self.may_be_refused)
            && let Some(code) = code
        {
            clear_alert(code, out);
        }
    }

    fn lost_its_turn(&self) -> Error {
        let limit = self.shared.peer_timeout;
        let detail = format!(
            "the peer said nothing for {limit:?} while other handshakes waited for their turn at the handshaker service"
        );
        Error::Limit { code: AlertCode::Overloaded, detail: detail.into() }
    }

    fn in_time(&self, asking: impl Future<Output = Answer> + Send + 'static) -> Asking {
        let patience = self.shared.answer_timeout;
        Box::pin(async move { timeout(patience, asking).await.map_err(|_| late(patience))? })
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
                    in_bytes: [&self.left, received].concat(),
                    rpc_versions,
                    max_frame_size,
                    ..Default::default()
                };
                let count = start.in_bytes.len();
                self.may_be_refused = begins_with_an_offer(&start.in_bytes);
                (ReqOneof::ServerStart(start), count)
            }
        };
        (HandshakerReq { req_oneof: Some(request) }, count)
    }

    /// Uses the answer to a question with `asked` bytes.
    fn take(
        &mut self,
        mut call: Box<Call>,
        mut response: HandshakerResp,
        asked: usize,
        received: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Step, Error> {
        if !response.out_frames.is_empty() {
            call.advanced = Instant::now();
        }
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
        let since = call.advanced;
        self.state = State::Answered(self.shared.turns(self.role).park(call, since));
        Ok(Step { consumed: received.len(), result: None })
    }
}

/// Waits for a turn, opens a call, and gets the first answer.
async fn open(shared: Arc<Shared>, role: Role, request: HandshakerReq) -> Answer {
    let (began, patience) = (Instant::now(), shared.answer_timeout);
    let turn = timeout(patience, shared.turns(role).take()).await.map_err(|_| {
        let most = shared.max_concurrent;
        let detail = format!(
            "no turn at the handshaker service within {patience:?}: {most} handshakes are using it already"
        );
        Error::Limit { code: AlertCode::Overloaded, detail: detail.into() }
    })?;
    let left = patience.saturating_sub(began.elapsed());
    timeout(left, call(&shared, turn, request)).await.map_err(|_| late(patience))?
}

async fn call(shared: &Shared, turn: Turn<Box<Call>>, request: HandshakerReq) -> Answer {
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
                let call = Call { requests, responses, advanced: Instant::now(), _turn: turn };
                return Box::new(call).answer().await;
            }
            // The service may have been restarted since the connection was last used. Nothing has happened yet.
            Err(status) if again && is_connection_fault(&status) => again = false,
            Err(status) => return Err(from_status(&status)),
        }
    }
}

fn late(patience: std::time::Duration) -> Error {
    Error::Unavailable(format!("the handshaker service did not answer within {patience:?}"))
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
            Ok(None) => {
                return Poll::Ready(Ok(Step { consumed: received.len(), result: None }));
            }
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
        match &step {
            Ok(_) => self.may_be_refused = false,
            Err(error) => {
                self.refuse(alert(error), out);
                self.state = State::Over(error.clone());
            }
        }
        Poll::Ready(step)
    }

    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let State::Answered(parked) = &self.state else { return Poll::Pending };
        ready!(parked.poll_lost(cx));
        let error = self.lost_its_turn();
        self.state = State::Over(error.clone());
        Poll::Ready(error)
    }

    /// Ends the call.
    fn fail(&mut self, code: AlertCode, out: &mut Vec<u8>) {
        if !matches!(self.state, State::Over(_)) {
            let detail = "the handshake was canceled".into();
            self.state = State::Over(Error::Limit { code, detail });
            self.refuse(Some(code), out);
        }
    }
}

/// What the client is told. Without a service this side has no identity, whatever the reason.
fn alert(error: &Error) -> Option<AlertCode> {
    match error {
        Error::Unavailable(_) => Some(AlertCode::NoIdentity),
        error => error.alert(),
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
