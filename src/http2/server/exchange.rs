//! One call: its handler, then the content of its response.

use std::error::Error as StdError;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Buf;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header};
use http_body::Body as _;
use tokio::task::JoinHandle;
use tower_service::Service;

use super::super::body::Body;
use super::super::connection::{Core, Turn};
use super::super::frame::ErrorCode;
use super::super::head::Head;
use super::super::limits::UNSENT;
use super::deadline::{self, Deadline, Timeout};
use super::{Handlers, Shared};

/// How often a handler may wait for content in the connection's task. hyper's clients send the head of a call, its message and the end in a
/// write each.
const STAYS: u8 = 2;

pub(super) type BoxError = Box<dyn StdError + Send + Sync>;

/// What a connection keeps with each stream.
pub(super) struct Exchange<S: Service<Request<Body>>, B> {
    state: State<S, B>,
    /// Wakes the connection for this stream. There from the first wait on.
    waker: Option<Waker>,
    deadline: Option<Deadline>,
    /// How often the handler waited for content and was let stay.
    stays: u8,
}

enum State<S: Service<Request<Body>>, B> {
    /// Its head has just come.
    New,
    Calling(Pin<Box<S::Future>>),
    /// The service was not ready.
    Waiting(Pin<Box<dyn Future<Output = Answer<S, B>> + Send>>),
    Elsewhere(Task<Answer<S, B>>),
    Sending(Pin<Box<B>>),
    /// All was given to the connection.
    Done,
}

/// What a handler answers.
type Answer<S, B> = Result<Response<B>, <S as Service<Request<Body>>>::Error>;

/// A task that ends when it is dropped.
struct Task<T>(JoinHandle<T>);

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<S: Service<Request<Body>>, B> Default for Exchange<S, B> {
    fn default() -> Self {
        Self { state: State::New, waker: None, deadline: None, stays: 0 }
    }
}

/// What a step of an exchange came to.
enum Step {
    /// It waits for its handler or its body; the waker is known.
    Waits,
    /// It waits until what was sent is out, or is done.
    Sent,
    Goes,
}

/// What is needed to go on with an exchange.
pub(super) struct Driver<'turn, 'cx, S: Service<Request<Body>>, B> {
    pub(super) core: &'turn mut Core<Exchange<S, B>>,
    pub(super) shared: &'turn Shared,
    pub(super) turn: Turn<'turn>,
    pub(super) cx: &'turn mut Context<'cx>,
}

impl<S, B> Driver<'_, '_, S, B>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError> + Send + 'static,
    B: http_body::Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    /// Calls the service for a new stream. `info` is what requests are to know of the connection. `false` if the stream is gone.
    pub(super) fn begin(
        &mut self,
        id: u32,
        service: &mut S,
        info: impl FnOnce() -> http::Extensions,
    ) -> bool {
        let Some(Head::Request(mut parts)) = self.core.take_head(id) else { return false };
        let body = self.core.take_body(id, self.turn.config);
        parts.extensions = info();
        let timeout = Timeout::of(&parts.headers, self.shared.times.call);
        let request = Request::from_parts(*parts, body);
        let handlers = self.shared.handlers;
        let state = match service.poll_ready(self.cx) {
            Poll::Ready(Ok(())) => {
                let call = service.call(request);
                match handlers {
                    Handlers::Tasks => State::Elsewhere(Task(tokio::spawn(call))),
                    _ => State::Calling(Box::pin(call)),
                }
            }
            Poll::Ready(Err(error)) => {
                self.failed(id, &error.into());
                return true;
            }
            Poll::Pending => State::Waiting(Box::pin(when_ready(service.clone(), request))),
        };
        if let Some(stream) = self.core.stream(id) {
            let exchange = stream.data_mut();
            exchange.state = state;
            exchange.deadline = timeout.and_then(Deadline::after);
        }
        // A handler that waits for content is woken by its own waker, so that it needs not be polled twice.
        if self.core.is_live(id) {
            self.give_waker(id);
        }
        self.drive(id);
        true
    }

    /// Goes on with an exchange until it waits.
    pub(super) fn drive(&mut self, id: u32) {
        if self.is_late(id) {
            return self.expire(id);
        }
        loop {
            match self.step(id) {
                Step::Sent => break,
                Step::Waits if !self.wait(id) => break,
                Step::Goes | Step::Waits => {}
            }
        }
        if self.has_deadline(id) {
            self.give_waker(id);
            if self.is_late(id) {
                self.expire(id);
            }
        }
    }

    fn step(&mut self, id: u32) -> Step {
        let Some(stream) = self.core.stream(id) else { return Step::Sent };
        let Exchange { state, waker, .. } = stream.data_mut();
        let answered = match state {
            State::New | State::Done => return Step::Sent,
            State::Sending(_) => return self.send(id),
            State::Calling(call) => {
                poll_with(waker.as_ref(), self.cx, |cx| call.as_mut().poll(cx)).map_err(Into::into)
            }
            State::Waiting(call) => {
                poll_with(waker.as_ref(), self.cx, |cx| call.as_mut().poll(cx)).map_err(Into::into)
            }
            State::Elsewhere(task) => {
                let polled =
                    poll_with(waker.as_ref(), self.cx, |cx| Pin::new(&mut task.0).poll(cx));
                polled.map(|done| match done {
                    Ok(answer) => answer.map_err(Into::into),
                    Err(error) => Err(error.into()),
                })
            }
        };
        match answered {
            Poll::Pending => Step::Waits,
            Poll::Ready(Ok(response)) => {
                self.respond(id, response);
                Step::Goes
            }
            Poll::Ready(Err(error)) => {
                self.failed(id, &error);
                Step::Sent
            }
        }
    }

    fn respond(&mut self, id: u32, response: Response<B>) {
        let (parts, body) = response.into_parts();
        let end = body.is_end_stream();
        if let Some(stream) = self.core.stream(id) {
            stream.data_mut().state =
                if end { State::Done } else { State::Sending(Box::pin(body)) };
        }
        self.core.respond(id, parts.status, &parts.headers, end, &mut self.turn);
    }

    /// Asks the body for its next frame, if nothing waits to be sent.
    fn send(&mut self, id: u32) -> Step {
        if self.turn.out.len() >= UNSENT || !self.core.can_send(id) {
            self.core.want_send(id);
            return Step::Sent;
        }
        let Some(stream) = self.core.stream(id) else { return Step::Sent };
        let exchange = stream.data_mut();
        let State::Sending(body) = &mut exchange.state else { return Step::Sent };
        let waker = exchange.waker.as_ref();
        let polled = poll_with(waker, self.cx, |cx| body.as_mut().poll_frame(cx));
        let frame = match polled {
            Poll::Pending => return Step::Waits,
            Poll::Ready(Some(Ok(frame))) => frame,
            Poll::Ready(Some(Err(error))) => {
                self.failed(id, &error.into());
                return Step::Sent;
            }
            Poll::Ready(None) => {
                exchange.state = State::Done;
                self.core.end(id, None, &mut self.turn);
                return Step::Sent;
            }
        };
        let end = body.is_end_stream();
        match frame.into_data() {
            Ok(mut data) => {
                if end {
                    exchange.state = State::Done;
                }
                let data = data.copy_to_bytes(data.remaining());
                if data.is_empty() && !end {
                    return Step::Goes;
                }
                match self.core.send_now(id, data, end, &mut self.turn) {
                    true => Step::Goes,
                    false => Step::Sent,
                }
            }
            Err(frame) => {
                exchange.state = State::Done;
                self.core.end(id, frame.into_trailers().ok(), &mut self.turn);
                Step::Sent
            }
        }
    }

    /// An exchange is pending. It gets a waker, and its handler a task where that is wanted. Answers whether it has to be polled again.
    fn wait(&mut self, id: u32) -> bool {
        let moves = self.shared.handlers == Handlers::FirstPollHere && !self.may_stay(id);
        let Some(stream) = self.core.stream(id) else { return false };
        let Exchange { state, waker, .. } = stream.data_mut();
        let has_waker = waker.is_some();
        let mut moved = false;
        if moves {
            *state = match std::mem::replace(state, State::Done) {
                State::Calling(call) => {
                    moved = true;
                    State::Elsewhere(Task(tokio::spawn(call)))
                }
                State::Waiting(call) => {
                    moved = true;
                    State::Elsewhere(Task(tokio::spawn(call)))
                }
                other => other,
            };
        }
        if !has_waker {
            self.give_waker(id);
        }
        moved || !has_waker
    }

    /// Whether a handler waits for the content of its request, and not for the third time: that most often comes with the next reads, and
    /// costs less here than in a task of its own.
    fn may_stay(&mut self, id: u32) -> bool {
        let Some(stream) = self.core.stream(id).filter(|stream| stream.is_awaited()) else {
            return false;
        };
        let stays = &mut stream.data_mut().stays;
        *stays = stays.saturating_add(1);
        *stays <= STAYS
    }

    fn give_waker(&mut self, id: u32) {
        let link = self.core.link(id, self.turn.config);
        if let Some(stream) = self.core.stream(id) {
            stream.data_mut().waker = link.map(Waker::from);
        }
    }

    fn has_deadline(&mut self, id: u32) -> bool {
        self.core.stream(id).is_some_and(|stream| stream.data_mut().deadline.is_some())
    }

    /// Whether the deadline of an exchange has passed. Once it has a waker it is woken then.
    fn is_late(&mut self, id: u32) -> bool {
        let Some(stream) = self.core.stream(id) else { return false };
        match stream.data_mut() {
            Exchange { waker: Some(waker), deadline: Some(deadline), .. } => {
                deadline.has_passed(&mut Context::from_waker(waker))
            }
            _ => false,
        }
    }

    /// The deadline has passed: the handler is dropped, and a gRPC client told why.
    fn expire(&mut self, id: u32) {
        let Some(stream) = self.core.stream(id) else { return };
        let exchange = stream.data_mut();
        let is_grpc = exchange.deadline.take().is_some_and(|deadline| deadline.is_grpc());
        let state = std::mem::replace(&mut exchange.state, State::Done);
        let turn = &mut self.turn;
        match (state, is_grpc) {
            (State::Sending(_), true) if self.core.can_send(id) => {
                let mut trailers = HeaderMap::new();
                deadline::exceeded(&mut trailers);
                self.core.end(id, Some(trailers), turn);
            }
            (State::Sending(_) | State::Done, _) => self.core.reset(id, ErrorCode::CANCEL, turn),
            (_, true) => {
                let mut headers = HeaderMap::new();
                let grpc = HeaderValue::from_static("application/grpc");
                headers.insert(header::CONTENT_TYPE, grpc);
                deadline::exceeded(&mut headers);
                self.core.respond(id, StatusCode::OK, &headers, true, turn);
            }
            (_, false) => {
                let status = StatusCode::GATEWAY_TIMEOUT;
                self.core.respond(id, status, &HeaderMap::new(), true, turn);
            }
        }
    }

    /// The service or a body failed: nothing that a client could be told in HTTP's words.
    fn failed(&mut self, id: u32, error: &BoxError) {
        tracing::debug!(%error, stream = id, "a handler failed; its stream is reset");
        self.core.reset(id, ErrorCode::INTERNAL_ERROR, &mut self.turn);
    }
}

/// Polls with the exchange's waker, or with the task's while there is none.
fn poll_with<R>(
    waker: Option<&Waker>,
    cx: &mut Context<'_>,
    poll: impl FnOnce(&mut Context<'_>) -> R,
) -> R {
    match waker {
        Some(waker) => poll(&mut Context::from_waker(waker)),
        None => poll(cx),
    }
}

async fn when_ready<S: Service<Request<Body>>>(
    mut service: S,
    request: Request<Body>,
) -> Result<S::Response, S::Error> {
    poll_fn(|cx| service.poll_ready(cx)).await?;
    service.call(request).await
}
