//! When a call has to be over, and what is said of one that takes too long.

use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, header};
use tokio::time::{Instant, Sleep, sleep_until};

use super::super::grpc_timeout;

/// How long a call may take.
#[derive(Clone, Copy)]
pub(super) struct Timeout {
    limit: Duration,
    is_grpc: bool,
}

impl Timeout {
    /// What a request asks for, or what holds for every call if that is shorter.
    pub(super) fn of(headers: &HeaderMap, every: Option<Duration>) -> Option<Self> {
        let asked = grpc_timeout::of(headers);
        if asked.is_none() && every.is_none() {
            return None;
        }
        let is_grpc = is_grpc(headers);
        let limit = asked.filter(|_| is_grpc).into_iter().chain(every).min()?;
        Some(Self { limit, is_grpc })
    }
}

/// When a call has to be over.
pub(super) struct Deadline {
    at: Instant,
    /// There from the first wait on.
    timer: Option<Pin<Box<Sleep>>>,
    is_grpc: bool,
}

impl Deadline {
    /// Beyond what the clock can say there is none.
    pub(super) fn after(Timeout { limit, is_grpc }: Timeout) -> Option<Self> {
        Some(Self { at: Instant::now().checked_add(limit)?, timer: None, is_grpc })
    }

    /// Whether it has passed. If not, the context's task is woken then.
    pub(super) fn has_passed(&mut self, cx: &mut Context<'_>) -> bool {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(self.at)));
        timer.as_mut().poll(cx).is_ready()
    }

    /// Whether it is that of a gRPC call.
    pub(super) fn is_grpc(&self) -> bool {
        self.is_grpc
    }
}

/// Whether a request is a gRPC call.
fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

/// The status of a call that took too long.
pub(super) fn exceeded(trailers: &mut HeaderMap) {
    trailers.insert("grpc-status", HeaderValue::from_static("4"));
    trailers.insert("grpc-message", HeaderValue::from_static("the deadline has passed"));
}
