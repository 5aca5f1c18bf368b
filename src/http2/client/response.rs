//! What a call comes to.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::{Body, Frame, SizeHint};
use tokio::time::Sleep;

use super::connection::Connection;
use super::error::CallError;
use super::options::Options;
use super::reconnect::{Shared, Waiting};
use super::request::Request;
use super::slot::{Outcome, Slot};
use crate::http2::body::Body as Content;
use crate::http2::error::{Error, Initiator, Reason};
use crate::http2::frame::{ErrorCode, Scope};

/// How often a call that was not processed is sent once more, without the caller's knowledge.
const TRIES: u32 = 4;

/// Counts a call as open, from its beginning to the end of its response.
pub(super) struct InFlight(Arc<Options>);

impl InFlight {
    fn new(options: &Arc<Options>) -> Self {
        options.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(options))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

type Deadline = Option<Pin<Box<Sleep>>>;

/// A call's response, when its head has come. Dropping it cancels the call.
#[must_use = "a call begins when it is polled"]
pub struct ResponseFuture {
    shared: Arc<Shared>,
    stage: Stage,
    waiting: Waiting,
    tries: u32,
    deadline: Deadline,
    in_flight: Option<InFlight>,
}

enum Stage {
    /// It waits for a connection.
    Ready(Option<Request>),
    Sent(Arc<Connection>, Arc<Slot>),
    Over,
}

impl ResponseFuture {
    pub(super) fn new(shared: &Arc<Shared>, request: Request, timeout: Option<Duration>) -> Self {
        Self {
            shared: Arc::clone(shared),
            stage: Stage::Ready(Some(request)),
            waiting: Waiting::default(),
            tries: 0,
            deadline: timeout.map(|timeout| Box::pin(tokio::time::sleep(timeout))),
            in_flight: Some(InFlight::new(&shared.options)),
        }
    }

    fn poll_outcome(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<ResponseBody>, CallError>> {
        loop {
            match &mut self.stage {
                Stage::Ready(unsent) => {
                    let connection = self.shared.poll_connection(cx, &mut self.waiting);
                    let connection = std::task::ready!(connection)?;
                    let Some(request) = unsent.take() else {
                        return Poll::Ready(Err(Error::closed().into()));
                    };
                    let slot = Arc::new(Slot::default());
                    match connection.begin(request, &slot) {
                        Ok(()) => self.stage = Stage::Sent(connection, slot),
                        // It ended between the two.
                        Err(request) => *unsent = Some(request),
                    }
                }
                Stage::Sent(_, slot) => match std::task::ready!(slot.poll(cx)) {
                    Outcome::Response(parts, content) => {
                        self.stage = Stage::Over;
                        let body = ResponseBody {
                            content,
                            deadline: self.deadline.take(),
                            _in_flight: self.in_flight.take(),
                        };
                        return Poll::Ready(Ok(Response::from_parts(*parts, body)));
                    }
                    Outcome::Again(request, error) => {
                        self.tries += 1;
                        if self.tries == TRIES {
                            self.stage = Stage::Over;
                            return Poll::Ready(Err(error));
                        }
                        self.stage = Stage::Ready(Some(request));
                    }
                    Outcome::Failed(error) => {
                        self.stage = Stage::Over;
                        return Poll::Ready(Err(error));
                    }
                },
                Stage::Over => return Poll::Ready(Err(Error::closed().into())),
            }
        }
    }
}

impl Future for ResponseFuture {
    type Output = Result<Response<ResponseBody>, CallError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if let Poll::Ready(result) = this.poll_outcome(cx) {
            return Poll::Ready(result);
        }
        if is_past(&mut this.deadline, cx) {
            this.cancel();
            return Poll::Ready(Err(past_deadline().into()));
        }
        Poll::Pending
    }
}

impl ResponseFuture {
    fn cancel(&mut self) {
        if let Stage::Sent(connection, slot) = std::mem::replace(&mut self.stage, Stage::Over) {
            connection.cancel(&slot);
        }
    }
}

impl Drop for ResponseFuture {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

fn is_past(deadline: &mut Deadline, cx: &mut Context<'_>) -> bool {
    deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready())
}

fn past_deadline() -> Error {
    let reason = Reason::Timeout("the deadline of the call has passed");
    Error::new(reason, ErrorCode::CANCEL, Initiator::Local, Scope::Stream)
}

/// The content of a response, and its trailers. Dropping it before its end cancels the call; so does the call's deadline.
pub struct ResponseBody {
    content: Content,
    deadline: Deadline,
    _in_flight: Option<InFlight>,
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = Pin::new(&mut self.content).poll_frame(cx);
        if frame.is_pending() && is_past(&mut self.deadline, cx) {
            // Which resets the stream.
            self.content = Content::empty();
            self.deadline = None;
            return Poll::Ready(Some(Err(past_deadline())));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}

impl fmt::Debug for ResponseBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ResponseBody").field(&self.content).finish()
    }
}
