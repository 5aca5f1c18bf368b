//! How streams end, and the connection.

use bytes::Bytes;

use super::super::frame::{ErrorCode, GoAway, Reset};
use super::super::limits::{refund, weight};
use super::{Core, Direction, Error, Event, Initiator, Reason, Role, Turn, Violation};

impl<T: Default> Core<T> {
    /// Takes no new streams from now on. Those that are open go on.
    pub(crate) fn close(&mut self, code: ErrorCode, debug: &str, turn: &mut Turn<'_>) {
        if !self.progress.closing {
            self.progress.closing = true;
            let debug = debug.as_bytes();
            let last_stream = if self.role == Role::Server { self.last } else { 0 };
            GoAway { last_stream, code, debug }.write(turn.out.room(17 + debug.len()));
        }
    }

    /// Whether [`close`](Self::close) was called.
    pub(crate) fn is_closing(&self) -> bool {
        self.progress.closing
    }

    /// Ends everything because of `error`: tells the peer, unless it was the peer or the transport that ended it, and closes all streams.
    pub(crate) fn fail(&mut self, error: &Error, turn: &mut Turn<'_>) {
        if error.initiator() == Initiator::Local && !matches!(error.reason(), Reason::Io { .. }) {
            let debug = match error.reason() {
                Reason::Violation(what) | Reason::Limit(what) | Reason::Timeout(what) => what,
                _ => "",
            };
            self.progress.closing = false;
            self.close(error.code(), debug, turn);
        }
        for id in self.ids() {
            self.remove(id, Some(error.clone()));
        }
    }

    /// Resets a stream. Nothing happens if it is not open.
    pub(crate) fn reset(&mut self, id: u32, code: ErrorCode, turn: &mut Turn<'_>) {
        if self.remove(id, Some(Error::canceled(code))) {
            Reset { stream: id, code }.write(turn.out.frames());
        }
    }

    /// Removes a stream, and says so in an event. `false` if it is not open.
    pub(super) fn remove(&mut self, id: u32, error: Option<Error>) -> bool {
        let Some(active) = &mut self.active else { return false };
        let Ok(place) = active.place(id) else { return false };
        let Some(mut stream) = active.streams.remove(place) else { return false };
        active.head_memory -= stream.head_memory as usize;
        self.recv_window.release(stream.settle(error.as_ref()));
        if stream.queued {
            active.ring.retain(|queued| *queued != id);
        }
        // Only what the shell asks for waits with the event.
        stream.pending = Bytes::new();
        if error.is_some() {
            stream.head = None;
        }
        stream.error = error;
        active.events.push(Event::Closed(stream));
        true
    }

    /// Removes a stream that has ended in the direction in which this side sends, if that was all.
    pub(super) fn finish(&mut self, id: u32, turn: &mut Turn<'_>) {
        let role = self.role;
        let Some(stream) = self.stream(id) else { return };
        if stream.sending != Direction::Ended {
            return;
        }
        if !stream.is_over() {
            if role == Role::Client {
                return;
            }
            // RFC 9113, section 8.1: the response is complete, the rest of the request is not needed.
            Reset { stream: id, code: ErrorCode::NO_ERROR }.write(turn.out.frames());
        }
        self.budget.answered(refund::ANSWERED);
        self.remove(id, None);
    }

    /// A rule was broken that ends one stream.
    pub(super) fn reset_for(
        &mut self,
        id: u32,
        violation: Violation,
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        self.budget.charge_reset(weight::PROVOKED, turn.now)?;
        self.remove(id, Some(violation.into()));
        Reset { stream: id, code: violation.code }.write(turn.out.frames());
        Ok(())
    }
}
