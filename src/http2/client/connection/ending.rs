//! How a connection ends, and what becomes of its calls.

use std::pin::Pin;
use std::task::{Context, Waker};

use super::super::slot::Outcome;
use super::{Connection, Over, Progress, State, pending};
use crate::http2::connection::Turn;
use crate::http2::error::Error;
use crate::http2::frame::ErrorCode;

impl Connection {
    /// Nothing is left to do: closes in order.
    pub(super) fn finish(
        &self,
        state: &mut State,
        cx: &mut Context<'_>,
        over: &mut Over,
    ) -> Progress {
        let (now, options) = self.turn();
        let turn =
            &mut Turn { config: &options.behavior.config, now, out: pending(&mut state.out) };
        state.core.close(ErrorCode::NO_ERROR, "", turn);
        if let Some(error) = state.write(cx) {
            return self.end(state, error.into(), over);
        }
        if state.out.is_some() {
            return Progress::Idle;
        }
        if let Some(io) = &mut state.io
            && Pin::new(&mut **io).poll_shutdown(cx).is_pending()
        {
            return Progress::Idle;
        }
        self.end(state, Error::closed(), over)
    }

    /// The connection is over.
    pub(in super::super) fn end(
        &self,
        state: &mut State,
        error: Error,
        over: &mut Over,
    ) -> Progress {
        let (now, options) = self.turn();
        let turn =
            &mut Turn { config: &options.behavior.config, now, out: pending(&mut state.out) };
        state.core.fail(&error, turn);
        self.handle_events(state, over);
        // The peer may hear why, if its kernel has room for it.
        state.write(&mut Context::from_waker(Waker::noop()));
        let unsent = Error::unprocessed(error.code());
        give_back(state, &unsent, over);
        state.io = None;
        state.core.rest();
        state.error = Some(Box::new(error));
        Progress::Ended
    }

    /// Ends the connection because of something that the driver noticed.
    pub(in super::super) fn fail(&self, error: Error) {
        let mut over = Over::default();
        let mut state = self.state();
        self.end(&mut state, error, &mut over);
        drop(state);
        drop(over);
    }
}

/// Calls that were not sent can go to another connection.
pub(super) fn give_back(state: &mut State, error: &Error, over: &mut Over) {
    let Some(work) = &mut state.work else { return };
    for (request, slot) in std::mem::take(&mut work.waiting) {
        let outcome = Outcome::Again(request, error.clone().into());
        over.outcomes.extend(slot.complete(outcome));
    }
}
