//! One connection of a client: what its calls and its driver share.
//!
//! ```text
//!  call ──► Connection { Mutex<State { Core, transport, Output }> } ◄── Driver, a task
//! ```
//!
//! A call writes its frames into the shared output itself. If no other call is open it also writes them to the transport, which saves a
//! task switch; otherwise the driver writes what all of them have put there. Only the driver reads. Nothing of the application's runs under
//! the lock: bodies are polled and dropped outside.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use super::error::CallError;
use super::options::Options;
use super::request::{Next, Outgoing, Request, Start};
use super::scratch;
use super::slot::{Outcome, Slot};
use super::transport::{Transport, poll_write};
use crate::http2::body::Body;
use crate::http2::budget::{SECOND, Tick};
use crate::http2::connection::{Core, Event, Turn};
use crate::http2::error::Error;
use crate::http2::frame::ErrorCode;
use crate::http2::head::Head;
use crate::http2::input::Received;
use crate::http2::limits::UNSENT;
use crate::http2::output::Output;
use crate::http2::settings::Role;
use crate::pool::Ticket;

/// What there is with each stream.
#[derive(Default)]
pub(super) struct Call {
    slot: Option<Arc<Slot>>,
    /// To send the request again, as long as that is possible.
    request: Option<Request>,
    body: Option<Box<Outgoing>>,
    /// A piece of the body is on its way; the next one is asked for when it is out.
    sending: bool,
}

/// A connection, shared by its calls and its driver.
pub(super) struct Connection {
    pub(super) options: Arc<Options>,
    started: Instant,
    state: Mutex<State>,
}

pub(super) struct State {
    pub(super) core: Core<Call>,
    io: Option<Box<dyn Transport>>,
    out: Output,
    /// The driver's.
    driver: Option<Waker>,
    /// Calls that wait until another stream may be opened.
    waiting: VecDeque<(Request, Arc<Slot>)>,
    /// Streams whose body may have something.
    unfed: Vec<u32>,
    /// Why it is over.
    pub(super) error: Option<Error>,
    /// Nobody makes calls any more.
    abandoned: bool,
    /// When something was last received.
    pub(super) heard: Tick,
    /// An answer to a PING is due by then.
    pub(super) pinged: Option<Tick>,
}

/// What must be dropped where no lock is held, since it is the application's.
#[derive(Default)]
pub(super) struct Over {
    calls: Vec<Call>,
    outcomes: Vec<Outcome>,
    requests: Vec<Request>,
}

/// What the driver found when it read.
pub(super) enum Progress {
    /// There may be more.
    More,
    /// Nothing to do until the waker is woken.
    Idle,
    Ended,
}

impl Connection {
    pub(super) fn new(io: Box<dyn Transport>, options: Arc<Options>) -> Arc<Self> {
        let core = Core::new(Role::Client, &options.config, 0);
        let mut out = Output::default();
        core.start(&mut Turn { config: &options.config, now: 0, out: &mut out });
        Arc::new(Self {
            options,
            started: Instant::now(),
            state: Mutex::new(State {
                core,
                io: Some(io),
                out,
                driver: None,
                waiting: VecDeque::new(),
                unfed: Vec::new(),
                error: None,
                abandoned: false,
                heard: 0,
                pinged: None,
            }),
        })
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn now(&self) -> Tick {
        (self.started.elapsed().as_millis() / u128::from(1_000 / SECOND)) as Tick
    }

    /// Whether calls may be begun here.
    pub(super) fn is_usable(&self) -> bool {
        let state = self.state();
        state.error.is_none() && state.core.takes_streams()
    }

    /// Why the connection is over, if it is.
    pub(super) fn error(&self) -> Option<Error> {
        self.state().error.clone()
    }

    /// Begins a call, or gives it back if this connection takes none.
    pub(super) fn begin(&self, request: Request, slot: &Arc<Slot>) -> Result<(), Request> {
        let mut over = Over::default();
        let mut state = self.state();
        if state.error.is_some() || !state.core.takes_streams() {
            return Err(request);
        }
        if !state.waiting.is_empty() || !state.core.can_open() {
            state.waiting.push_back((request, Arc::clone(slot)));
            return Ok(());
        }
        state.borrow_output();
        let more = self.open(&mut state, request, slot, &mut over);
        let alone = state.core.open_streams() == 1 && state.unfed.is_empty() && !more;
        let written = match state.driver.clone() {
            // What cannot be written now wakes the driver. So do the timers of keepalive, which begin with the first call.
            Some(driver) if alone && self.options.keepalive.is_none() => {
                state.write(&mut Context::from_waker(&driver)).is_none() && state.out.is_empty()
            }
            _ => false,
        };
        if !written {
            state.wake_driver();
        }
        state.return_output();
        drop(state);
        Ok(())
    }

    fn turn(&self) -> (Tick, &Options) {
        (self.now(), &self.options)
    }

    /// Opens a stream for a request, whose content goes out as far as the windows let it. Whether there is more than one output holds.
    fn open(&self, state: &mut State, request: Request, slot: &Arc<Slot>, over: &mut Over) -> bool {
        let (now, options) = self.turn();
        let turn = &mut Turn { config: &options.config, now, out: &mut state.out };
        let end = matches!(request.body, Start::Empty);
        let opened = state.core.open(&request.parts, end, Call::default(), turn);
        let id = match opened {
            Ok(id) => id,
            Err(error) => {
                over.outcomes.extend(slot.complete(Outcome::Failed(error.into())));
                over.requests.push(request);
                return false;
            }
        };
        slot.opened(id);
        let again = request.body.again();
        let Request { parts, body } = request;
        let mut content = None;
        if let Some(stream) = state.core.stream(id) {
            let call = stream.data_mut();
            call.slot = Some(Arc::clone(slot));
            call.request = again.map(|body| Request { parts, body });
            match body {
                Start::Empty => {}
                Start::Whole(whole) => content = Some(whole),
                Start::Streaming(body) => {
                    call.body = Some(body);
                    state.unfed.push(id);
                }
            }
        }
        let Some(content) = content else { return false };
        let turn = &mut Turn { config: &options.config, now, out: &mut state.out };
        state.core.send_now(id, content, true, turn);
        state.core.flush(UNSENT, turn)
    }

    /// Ends a call that nobody waits for.
    pub(super) fn cancel(&self, slot: &Arc<Slot>) {
        let mut over = Over::default();
        let mut state = self.state();
        // Streams are opened under the same lock, so that none is after this.
        let (id, outcome) = slot.abandon();
        over.outcomes.extend(outcome);
        if let Some(id) = id {
            state.borrow_output();
            let (now, options) = self.turn();
            let State { core, out, .. } = &mut *state;
            core.reset(id, ErrorCode::CANCEL, &mut Turn { config: &options.config, now, out });
            self.handle_events(&mut state, &mut over);
            state.return_output();
            state.wake_driver();
        } else if let Some(at) =
            state.waiting.iter().position(|(_, other)| Arc::ptr_eq(other, slot))
        {
            over.requests.extend(state.waiting.remove(at).map(|(request, _)| request));
        }
        drop(state);
        drop(over);
    }

    /// Nobody makes calls any more: the connection ends with the last of those that are open.
    pub(super) fn abandon(&self) {
        let mut state = self.state();
        state.abandoned = true;
        state.wake_driver();
    }

    /// One round of the driver's: bodies, output, and a read.
    pub(super) fn drive(&self, cx: &mut Context<'_>, ticket: &mut Option<Ticket>) -> Progress {
        self.feed();
        let mut over = Over::default();
        let mut state = self.state();
        match &mut state.driver {
            Some(waker) => waker.clone_from(cx.waker()),
            none => *none = Some(cx.waker().clone()),
        }
        state.borrow_output();
        let progress = self.step(&mut state, cx, ticket, &mut over);
        state.return_output();
        drop(state);
        drop(over);
        progress
    }

    fn step(
        &self,
        state: &mut State,
        cx: &mut Context<'_>,
        ticket: &mut Option<Ticket>,
        over: &mut Over,
    ) -> Progress {
        self.admit(state, over);
        let (now, options) = self.turn();
        let turn = &mut Turn { config: &options.config, now, out: &mut state.out };
        let more = state.core.flush(UNSENT, turn);
        self.handle_events(state, over);
        if let Some(error) = state.write(cx) {
            return self.end(state, error.into(), over);
        }
        if state.is_done() {
            return self.finish(state, cx, over);
        }
        // A peer that takes nothing is given no opportunity to make this side queue more. But content that waits does not keep this side
        // from reading: the peer may be waiting for that.
        if !state.out.has_many_replies() {
            let Some(io) = &mut state.io else { return Progress::Ended };
            match io.poll_read_on_ready(cx, &options.pool, ticket) {
                Poll::Ready(Ok(Some(buf))) => {
                    state.heard = now;
                    let turn = &mut Turn { config: &options.config, now, out: &mut state.out };
                    let result = state.core.receive(&mut Received::new(buf), turn);
                    self.handle_events(state, over);
                    return match result {
                        Ok(()) => Progress::More,
                        Err(error) => self.end(state, error, over),
                    };
                }
                Poll::Ready(Ok(None)) => return self.end(state, Error::truncated(), over),
                Poll::Ready(Err(error)) => return self.end(state, error.into(), over),
                Poll::Pending => {}
            }
        }
        let idle = state.unfed.is_empty() && !(more && state.out.len() < UNSENT);
        if !idle || !state.core.arm(cx.waker()) {
            return Progress::More;
        }
        state.core.rest();
        Progress::Idle
    }

    /// Polls the bodies that may have something, where no lock is held.
    fn feed(&self) {
        let mut unfed = Vec::new();
        {
            let mut state = self.state();
            let (now, options) = self.turn();
            let mut ids = std::mem::take(&mut state.unfed);
            let State { core, out, .. } = &mut *state;
            core.take_notices(&mut Turn { config: &options.config, now, out }, &mut ids);
            for id in ids {
                let link = core.link(id, &options.config);
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
        let turn = &mut Turn { config: &options.config, now, out };
        let keep = Call { body: Some(body), ..Call::default() };
        let Some(stream) = core.stream(id) else { return over.calls.push(keep) };
        let call = stream.data_mut();
        match next {
            Poll::Pending => call.body = keep.body,
            Poll::Ready(Next::Data(data, last)) => {
                // What leaves at once is not reported.
                call.sending = true;
                if last {
                    over.calls.push(keep);
                } else {
                    call.body = keep.body;
                }
                if core.send_now(id, data, last, turn)
                    && let Some(stream) = core.stream(id)
                {
                    stream.data_mut().sending = false;
                    state.unfed.push(id);
                }
            }
            Poll::Ready(Next::End) => {
                over.calls.push(keep);
                core.end(id, None, turn);
            }
            Poll::Ready(Next::Trailers(trailers)) => {
                over.calls.push(keep);
                core.end(id, Some(trailers), turn);
            }
            Poll::Ready(Next::Failed(error)) => {
                over.calls.push(keep);
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
    fn admit(&self, state: &mut State, over: &mut Over) {
        while state.core.can_open()
            && let Some((request, slot)) = state.waiting.pop_front()
        {
            if slot.is_abandoned() {
                over.requests.push(request);
                continue;
            }
            self.open(state, request, &slot, over);
        }
        if state.waiting.is_empty() && state.waiting.capacity() > 0 {
            state.waiting = VecDeque::new();
        }
        if !state.core.takes_streams() {
            let error = Error::unprocessed(ErrorCode::NO_ERROR);
            give_back(&mut state.waiting, &error, over);
        }
    }

    fn handle_events(&self, state: &mut State, over: &mut Over) {
        while let Some(event) = state.core.next_event() {
            match event {
                Event::Response(id) => {
                    let Some(Head::Response(parts)) = state.core.take_head(id) else { continue };
                    let body = state.core.take_body(id, &self.options.config);
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
                        state.unfed.push(id);
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

    /// Nothing is left to do: closes in order.
    fn finish(&self, state: &mut State, cx: &mut Context<'_>, over: &mut Over) -> Progress {
        let (now, options) = self.turn();
        let turn = &mut Turn { config: &options.config, now, out: &mut state.out };
        state.core.close(ErrorCode::NO_ERROR, "", turn);
        if let Some(error) = state.write(cx) {
            return self.end(state, error.into(), over);
        }
        if !state.out.is_empty() {
            return Progress::Idle;
        }
        if let Some(io) = &mut state.io
            && std::pin::Pin::new(&mut **io).poll_shutdown(cx).is_pending()
        {
            return Progress::Idle;
        }
        self.end(state, Error::closed(), over)
    }

    /// The connection is over.
    pub(super) fn end(&self, state: &mut State, error: Error, over: &mut Over) -> Progress {
        let (now, options) = self.turn();
        let turn = &mut Turn { config: &options.config, now, out: &mut state.out };
        state.core.fail(&error, turn);
        self.handle_events(state, over);
        // The peer may hear why, if its kernel has room for it.
        state.write(&mut Context::from_waker(Waker::noop()));
        let unsent = Error::unprocessed(error.code());
        give_back(&mut state.waiting, &unsent, over);
        state.io = None;
        state.core.rest();
        state.error = Some(error);
        Progress::Ended
    }

    /// Ends the connection because of something that the driver noticed.
    pub(super) fn fail(&self, error: Error) {
        let mut over = Over::default();
        let mut state = self.state();
        self.end(&mut state, error, &mut over);
        drop(state);
        drop(over);
    }

    /// Sends a PING, unless one is on its way.
    pub(super) fn ping(&self, due: Tick, cx: &mut Context<'_>) {
        let mut state = self.state();
        if state.pinged.is_none() {
            state.pinged = Some(due);
            let (now, options) = self.turn();
            let turn = &mut Turn { config: &options.config, now, out: &mut state.out };
            turn.ping(*b"are you?");
            state.write(cx);
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

/// Calls that were not sent can go to another connection.
fn give_back(waiting: &mut VecDeque<(Request, Arc<Slot>)>, error: &Error, over: &mut Over) {
    for (request, slot) in std::mem::take(waiting) {
        let outcome = Outcome::Again(request, error.clone().into());
        over.outcomes.extend(slot.complete(outcome));
    }
}

impl State {
    fn wake_driver(&self) {
        if let Some(driver) = &self.driver {
            driver.wake_by_ref();
        }
    }

    /// Whether the connection has served its purpose.
    fn is_done(&self) -> bool {
        let unused = self.abandoned || !self.core.takes_streams();
        unused && self.core.open_streams() == 0 && self.waiting.is_empty()
    }

    /// Writes what waits. What the transport does not take stays, and it wakes the waker when it takes more.
    fn write(&mut self, cx: &mut Context<'_>) -> Option<std::io::Error> {
        let io = self.io.as_mut()?;
        match poll_write(&mut **io, &mut self.out, cx) {
            Poll::Ready(Err(error)) => Some(error),
            _ => None,
        }
    }

    /// Frames are put together in memory of the thread's. With something left of earlier it goes on there.
    fn borrow_output(&mut self) {
        if self.out.is_empty() {
            self.out = scratch::take();
        }
    }

    fn return_output(&mut self) {
        if self.out.is_empty() {
            scratch::give_back(std::mem::take(&mut self.out));
        } else if self.out.capacity() > 2 * self.out.len() {
            self.out = self.out.split_off_rest();
        }
    }
}
