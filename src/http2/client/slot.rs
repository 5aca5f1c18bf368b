//! Where a call's answer is put for whoever waits for it.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use http::response;

use super::error::CallError;
use super::request::Request;
use crate::http2::body::Body;

/// What came of a request on a connection.
pub(super) enum Outcome {
    Response(Box<response::Parts>, Body),
    /// It was not processed, and can be sent on another connection.
    Again(Request, CallError),
    Failed(CallError),
}

/// One call, as its future and its connection see it.
#[derive(Default)]
pub(super) struct Slot(Mutex<State>);

#[derive(Default)]
struct State {
    /// The stream, once there is one.
    id: Option<u32>,
    outcome: Option<Outcome>,
    waker: Option<Waker>,
    /// Nobody waits any more.
    abandoned: bool,
}

impl Slot {
    /// No foreign code runs under this lock.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn poll(&self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let mut state = self.state();
        if let Some(outcome) = state.outcome.take() {
            return Poll::Ready(outcome);
        }
        match &mut state.waker {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    pub(super) fn opened(&self, id: u32) {
        self.state().id = Some(id);
    }

    /// Gives the answer. What nobody waits for is returned, to be dropped where no lock is held.
    pub(super) fn complete(&self, outcome: Outcome) -> Option<Outcome> {
        let mut state = self.state();
        if state.abandoned {
            return Some(outcome);
        }
        state.outcome = Some(outcome);
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
        None
    }

    pub(super) fn is_abandoned(&self) -> bool {
        self.state().abandoned
    }

    /// Nobody waits any more. The stream to reset, and what had come.
    pub(super) fn abandon(&self) -> (Option<u32>, Option<Outcome>) {
        let mut state = self.state();
        state.abandoned = true;
        let id = if state.outcome.is_some() { None } else { state.id };
        (id, state.outcome.take())
    }
}
