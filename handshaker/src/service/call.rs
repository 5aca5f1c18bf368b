//! One call: from its first message to its result.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use futures_util::Stream;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, timeout_at};
use tonic::{Status, Streaming};
use tracing::{Span, field};

use super::admission::{OpenStream, Place};
use super::observer::Finished;
use super::rejection::Rejection;
use super::served::ServedHandshake;
use super::start::Start;
use super::{Caller, Shared};
use crate::alert::AlertCode;
use crate::error::Error;
use crate::proto::handshaker_req::ReqOneof;
use crate::proto::{HandshakerReq, HandshakerResp, HandshakerResult, HandshakerStatus, Identity};
use crate::role::Role;
use crate::rpc_status::Refusal;
use crate::session::HandshakeResult;

/// Messages without a byte that are answered. Callers send one when they have only waited; more would be a loop.
const MAX_EMPTY_MESSAGES: u32 = 16;

/// What never comes: far enough away for every limit, and near enough for every clock.
const NEVER: Duration = Duration::from_secs(30 * 365 * 24 * 60 * 60);

/// Answers that wait for the caller: a response, for whose reading the next message waits; and room for the status that may end the
/// call meanwhile.
const ANSWERS: usize = 2;

type Answer = Result<HandshakerResp, Status>;

/// What the caller is told, as it comes to take it.
///
/// HTTP/2 asks for the next answer only when the caller lets it send. So the call itself runs in a task of its own, where its
/// deadlines hold whatever the caller does, and gives up its place when it ends; this, which is all that then remains, counts
/// against the caller's streams until it is dropped.
pub(super) struct Answers {
    answers: Receiver<Answer>,
    _open: OpenStream,
}

impl Stream for Answers {
    type Item = Answer;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Answer>> {
        self.answers.poll_recv(cx)
    }
}

pub(super) struct Call {
    requests: Streaming<HandshakerReq>,
    deadline: Instant,
    place: Option<Place>,
    handshake: Option<ServedHandshake>,
    empty_messages: u32,
    record: Record,
}

/// Reports the call to the observer, and its end exactly once, however it ends.
struct Record {
    service: Arc<Shared>,
    caller: Caller,
    began: Instant,
    role: Option<Role>,
    ended: bool,
    span: Span,
}

impl Call {
    pub(super) fn new(
        service: Arc<Shared>,
        caller: Caller,
        requests: Streaming<HandshakerReq>,
    ) -> Self {
        let began = Instant::now();
        let deadline = after(began, service.limits.handshake_timeout);
        service.in_flight.fetch_add(1, Ordering::Relaxed);
        if let Some(observer) = &service.observer {
            observer.started();
        }
        let span = tracing::info_span!("handshake", uid = caller.uid, log_id = field::Empty);
        let record = Record { service, caller, began, role: None, ended: false, span };
        Self { requests, deadline, place: None, handshake: None, empty_messages: 0, record }
    }

    /// Ends the call with a status.
    pub(super) fn refuse(mut self, rejection: Rejection) -> Status {
        self.record.rejected(&rejection);
        rejection.status
    }

    /// Starts to serve the caller. There is one response to each request. The stream ends with the result, since gRPC C++ uses no
    /// result before it has; or with a status alone, since grpc-go waits forever for what follows a response that reports a
    /// failure.
    pub(super) fn start(self, open: OpenStream) -> Answers {
        let (sender, answers) = channel(ANSWERS);
        tokio::spawn(self.run(sender));
        Answers { answers, _open: open }
    }

    async fn run(mut self, answers: Sender<Answer>) {
        // The channel is new: there is room.
        let Ok(last) = answers.clone().try_reserve_owned() else { return };
        let served = tokio::select! {
            biased;
            // The caller has ended the stream, or its connection is gone.
            () = answers.closed() => return,
            served = self.serve(&answers) => served,
        };
        if let Err(rejection) = served {
            last.send(Err(self.refuse(rejection)));
        }
    }

    async fn serve(&mut self, answers: &Sender<Answer>) -> Result<(), Rejection> {
        loop {
            let room = timeout_at(self.deadline, answers.reserve()).await;
            let room = room.map_err(|_| unread())?.map_err(|_| Rejection::cancelled())?;
            let response = self.respond().await?;
            let is_last = response.result.is_some();
            room.send(Ok(response));
            if is_last {
                return Ok(());
            }
        }
    }

    async fn respond(&mut self) -> Result<HandshakerResp, Rejection> {
        let service = Arc::clone(&self.record.service);
        if self.place.is_none() {
            let place = service.admission.enter(self.record.caller);
            self.place = Some(timeout_at(self.deadline, place).await.map_err(|_| too_late())??);
        }
        let received = match self.receive().await? {
            ReqOneof::ClientStart(start) => self.begin(Start::client(start)?)?,
            ReqOneof::ServerStart(start) => self.begin(Start::server(start)?)?,
            ReqOneof::Next(next) => {
                self.count_empty(&next.in_bytes)?;
                next.in_bytes
            }
        };
        let Some(handshake) = &mut self.handshake else {
            return Err(Rejection::bad_request("next before client_start or server_start"));
        };

        let cores = service.admission.cores();
        let core = timeout_at(self.deadline, cores.crypto()).await.map_err(|_| too_late())?;
        let mut out_frames = Vec::new();
        // On an error there may be an alert in `out_frames`. It stays here: see `responses`.
        let step = || handshake.step(&received, SystemTime::now(), &mut out_frames);
        let step = self.record.span.in_scope(step)?;
        drop(core);

        let result = step.result.map(|result| {
            self.record.succeeded(&result);
            respond_with(result)
        });
        Ok(HandshakerResp {
            out_frames,
            bytes_consumed: step.consumed as u32,
            result,
            // gRPC C++ fails without one, and "all is well" is what the default says.
            status: Some(HandshakerStatus::default()),
        })
    }

    async fn receive(&mut self) -> Result<ReqOneof, Rejection> {
        let limits = &self.record.service.limits;
        let patience = after(Instant::now(), limits.idle_timeout);
        let until = patience.min(self.deadline);
        match timeout_at(until, self.requests.message()).await {
            Ok(Ok(Some(request))) => request.req_oneof.ok_or_else(|| {
                Rejection::bad_request(
                    "a message that is neither client_start, server_start nor next",
                )
            }),
            Ok(Ok(None)) => Err(Rejection::cancelled()),
            Ok(Err(status)) => Err(Rejection::unreadable(&status)),
            Err(_) if patience < self.deadline => Err(idle()),
            Err(_) => Err(too_late()),
        }
    }

    /// Begins the handshake and gives the peer's first bytes.
    fn begin(&mut self, start: Start) -> Result<Vec<u8>, Rejection> {
        if self.handshake.is_some() {
            return Err(Rejection::bad_request(
                "a second start on one stream: open a stream for each handshake",
            ));
        }
        let Start { role, options, local_identities, received } = start;
        self.record.role = Some(role);
        let identities = &self.record.service.identities;
        if role == Role::Client
            && !identities.has_server_policy
            && options.target_identities.is_empty()
        {
            return Err(Rejection::refused(
                Refusal::NoServerPolicy,
                "nothing says who may be the server: set target identities in the caller, or a server policy \
                 (--allow-server) in the service",
            ));
        }
        let chosen = identities.choose(self.record.caller, &local_identities)?;
        self.handshake = Some(ServedHandshake::new(chosen.begin(role, &options)?));
        Ok(received)
    }

    fn count_empty(&mut self, in_bytes: &[u8]) -> Result<(), Rejection> {
        if in_bytes.is_empty() {
            self.empty_messages += 1;
            if self.empty_messages > MAX_EMPTY_MESSAGES {
                return Err(Rejection::bad_request("too many messages without in_bytes"));
            }
        }
        Ok(())
    }
}

fn respond_with(result: HandshakeResult) -> HandshakerResult {
    let identity = |name: &str| Some(Identity::of_service_account(name.to_owned()));
    HandshakerResult {
        application_protocol: result.application_protocol,
        record_protocol: result.record_protocol.name().to_owned(),
        key_data: result.key_data.as_bytes().to_vec(),
        peer_identity: identity(result.peer.name()),
        local_identity: identity(&result.local),
        keep_channel_open: false,
        peer_rpc_versions: Some(result.peer_rpc_versions.into()),
        max_frame_size: result.peer_max_frame_size,
        transport_protocol: None,
    }
}

fn too_late() -> Rejection {
    let detail = "the handshake took too long".into();
    Error::Limit { code: AlertCode::Timeout, detail }.into()
}

fn idle() -> Rejection {
    let detail = "the caller took too long for its next message".into();
    Rejection { reason: "idle", ..Error::Limit { code: AlertCode::Timeout, detail }.into() }
}

fn unread() -> Rejection {
    let detail = "the handshake took too long: its caller did not read the last response".into();
    Rejection { reason: "unread", ..Error::Limit { code: AlertCode::Timeout, detail }.into() }
}

/// A moment so long after another; a limit that no clock can hold is none.
fn after(moment: Instant, limit: Duration) -> Instant {
    moment.checked_add(limit.min(NEVER)).unwrap_or(moment)
}

impl Record {
    fn succeeded(&mut self, result: &HandshakeResult) {
        self.span.record(
            "log_id",
            field::display(format_args!("{:032x}", u128::from_be_bytes(result.log_id))),
        );
        tracing::debug!(
            parent: &self.span,
            role = ?self.role,
            peer = result.peer.name(),
            local = result.local,
            "handshake done",
        );
        self.end(Ok(()));
    }

    fn rejected(&mut self, rejection: &Rejection) {
        let Rejection { status, reason } = rejection;
        let (role, code) = (self.role, status.code());
        let detail = status.message();
        // Messages quote peers and callers in escaped form. What comes in floods is not worth a line each.
        if matches!(*reason, "overloaded" | "cancelled" | "draining") {
            tracing::debug!(parent: &self.span, ?role, reason, "handshake refused");
        } else {
            tracing::info!(parent: &self.span, ?role, reason, ?code, detail, "handshake failed");
        }
        self.end(Err(reason));
    }

    fn end(&mut self, outcome: Result<(), &'static str>) {
        if self.ended {
            return;
        }
        self.ended = true;
        self.service.in_flight.fetch_sub(1, Ordering::Relaxed);
        if let Some(observer) = &self.service.observer {
            let elapsed = self.began.elapsed();
            observer.finished(&Finished { role: self.role, outcome, elapsed });
        }
    }
}

impl Drop for Record {
    /// The caller has reset the stream, or its connection is gone.
    fn drop(&mut self) {
        self.end(Err("cancelled"));
    }
}
