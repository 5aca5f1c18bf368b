//! The bodies of requests, on their way to the connection.

use std::task::{Context, Poll, Waker};

use super::super::error::CallError;
use super::super::request::{Next, Outgoing};
use super::super::slot::Outcome;
use super::ending::give_back;
use super::{Connection, Over, State, pending};
use crate::http2::connection::Turn;
use crate::http2::error::Error;
use crate::http2::frame::ErrorCode;

impl Connection {
    /// Polls the bodies that may have something, where no lock is held.
    pub(super) fn feed(&self) {
        let mut unfed = Vec::new();
        {
            let mut state = self.state();
            let (now, options) = self.turn();
            let mut ids = match &mut state.work {
                Some(work) => std::mem::take(&mut work.unfed),
                None => Vec::new(),
            };
            let State { core, out, .. } = &mut *state;
            let out = pending(out);
            let turn = &mut Turn { config: &options.behavior.config, now, out };
            let woken = core.take_notices(turn);
            ids.extend_from_slice(&woken);
            core.reuse(woken);
            for id in ids {
                let link = core.link(id, &options.behavior.config);
                let Some(stream) = core.stream(id) else { continue };
                let call = stream.data_mut();
                if call.sending {
                    continue;
                }
                if let (Some(body), Some(link)) = (call.body.take(), link) {
                    unfed.push((id, body, Waker::from(link)));
                }
            }
        }
        for (id, mut body, waker) in unfed {
            let next = body.poll_next(&mut Context::from_waker(&waker));
            let mut over = Over::default();
            let mut state = self.state();
            self.fed(&mut state, id, body, next, &mut over);
            drop(state);
            drop(over);
        }
    }

    /// Takes what a body had.
    fn fed(
        &self,
        state: &mut State,
        id: u32,
        body: Box<Outgoing>,
        next: Poll<Next>,
        over: &mut Over,
    ) {
        let (now, options) = self.turn();
        let State { core, out, .. } = &mut *state;
        let out = pending(out);
        let turn = &mut Turn { config: &options.behavior.config, now, out };
        let Some(stream) = core.stream(id) else { return over.bodies.push(body) };
        let call = stream.data_mut();
        match next {
            Poll::Pending => call.body = Some(body),
            Poll::Ready(Next::Data(data, last)) => {
                // What leaves at once is not reported.
                call.sending = true;
                if last {
                    over.bodies.push(body);
                } else {
                    call.body = Some(body);
                }
                if core.send_now(id, data, last, turn)
                    && let Some(stream) = core.stream(id)
                {
                    stream.data_mut().sending = false;
                    state.work().unfed.push(id);
                }
            }
            Poll::Ready(Next::End) => {
                over.bodies.push(body);
                core.end(id, None, turn);
            }
            Poll::Ready(Next::Trailers(trailers)) => {
                over.bodies.push(body);
                core.end(id, Some(trailers), turn);
            }
            Poll::Ready(Next::Failed(error)) => {
                over.bodies.push(body);
                if let Some(slot) = call.slot.take() {
                    let outcome = Outcome::Failed(CallError::RequestBody(error.into()));
                    over.outcomes.extend(slot.complete(outcome));
                }
                core.reset(id, ErrorCode::CANCEL, turn);
            }
        }
        self.handle_events(state, over);
    }

    /// Opens streams for calls that wait, as far as the peer lets it.
    pub(super) fn admit(&self, state: &mut State, over: &mut Over) {
        while state.core.can_open()
            && let Some((request, slot)) =
                state.work.as_mut().and_then(|work| work.waiting.pop_front())
        {
            if slot.is_abandoned() {
                over.requests.push(request);
                continue;
            }
            self.open(state, request, &slot, over);
        }
        if !state.core.takes_streams() {
            let error = Error::unprocessed(ErrorCode::NO_ERROR);
            give_back(state, &error, over);
        }
    }
}
