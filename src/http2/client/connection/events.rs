//! What happened to calls, told to those who wait.

use std::sync::Arc;

use super::super::slot::{Outcome, Slot};
use super::{Connection, Over, State};
use crate::http2::body::Body;
use crate::http2::connection::Event;
use crate::http2::error::Error;
use crate::http2::head::Head;

/// Requests that are dropped after one read, beside those whose streams end: what fits into 4 KiB.
const REQUESTS: usize = 64;

impl Connection {
    pub(super) fn handle_events(&self, state: &mut State, over: &mut Over) {
        while let Some(event) = state.core.next_event() {
            match event {
                Event::Response(id) => {
                    let Some(Head::Response(parts)) = state.core.take_head(id) else { continue };
                    let body = state.core.take_body(id, &self.options.behavior.config);
                    let Some(stream) = state.core.stream(id) else { continue };
                    let call = stream.data_mut();
                    let slot = call.slot.take();
                    // Beyond that they go with their streams.
                    if over.requests.len() < REQUESTS {
                        over.requests.extend(call.request.take());
                    }
                    respond(slot, parts, body, over);
                }
                Event::Closed(mut stream) => {
                    let (message, error) = (stream.take_message(), stream.take_error());
                    let call = stream.data_mut();
                    let slot = call.slot.take();
                    match (message, error) {
                        (Some((Head::Response(parts), body)), _) => {
                            respond(slot, parts, body, over);
                        }
                        (_, error) => {
                            let error = error.unwrap_or_else(Error::closed);
                            let request = call.request.take().filter(|_| error.is_unprocessed());
                            let outcome = match request {
                                Some(request) => Outcome::Again(request, error.into()),
                                None => Outcome::Failed(error.into()),
                            };
                            over.outcomes.extend(slot.and_then(|slot| slot.complete(outcome)));
                        }
                    }
                    over.streams.push(stream);
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
