//! What happened to calls, told to those who wait.

use std::sync::Arc;

use super::super::slot::{Outcome, Slot};
use super::{Call, Connection, Over, State};
use crate::http2::body::Body;
use crate::http2::connection::Event;
use crate::http2::error::Error;
use crate::http2::head::Head;

impl Connection {
    pub(super) fn handle_events(&self, state: &mut State, over: &mut Over) {
        while let Some(event) = state.core.next_event() {
            match event {
                Event::Response(id) => {
                    let Some(Head::Response(parts)) = state.core.take_head(id) else { continue };
                    let body = state.core.take_body(id, &self.options.behavior.config);
                    let Some(stream) = state.core.stream(id) else { continue };
                    let call = stream.data_mut();
                    let (slot, request) = (call.slot.take(), call.request.take());
                    over.calls.push(Call { request, ..Call::default() });
                    respond(slot, parts, body, over);
                }
                Event::Closed { mut data, message, error, .. } => {
                    let slot = data.slot.take();
                    match (message, error) {
                        (Some((Head::Response(parts), body)), _) => {
                            respond(slot, parts, body, over);
                        }
                        (_, error) => {
                            let error = error.unwrap_or_else(Error::closed);
                            let request = data.request.take().filter(|_| error.is_unprocessed());
                            let outcome = match request {
                                Some(request) => Outcome::Again(request, error.into()),
                                None => Outcome::Failed(error.into()),
                            };
                            over.outcomes.extend(slot.and_then(|slot| slot.complete(outcome)));
                        }
                    }
                    over.calls.push(data);
                }
                Event::Writable(id) => {
                    if let Some(stream) = state.core.stream(id) {
                        stream.data_mut().sending = false;
                        state.work().unfed.push(id);
                    }
                }
                Event::Pong(_) => state.pinged = None,
                Event::GoAway(error) => {
                    tracing::debug!(%error, "the server takes no more calls on this connection");
                    self.options.heed(&error);
                }
                Event::Opened(_) | Event::Limits => {}
            }
        }
    }
}

fn respond(
    slot: Option<Arc<Slot>>,
    parts: Box<http::response::Parts>,
    body: Body,
    over: &mut Over,
) {
    let outcome = Outcome::Response(parts, body);
    match slot {
        Some(slot) => over.outcomes.extend(slot.complete(outcome)),
        None => over.outcomes.push(outcome),
    }
}
