//! One connection of a client: what its calls and its driver share.
//!
//! ```text
//!  call ──► Connection { Mutex<State { Core, transport, Output }> } ◄── Driver, a task
//! ```
//!
//! A call writes its frames into the shared output itself. If no other call is open it also writes them to the transport, which saves a
//! task switch; otherwise the driver writes what all of them have put there. Only the driver reads. Nothing of the application's runs under
//! the lock: bodies are polled and dropped outside.

mod ending;
mod events;
mod feeding;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::time::Instant;

use super::options::Options;
use super::request::{Outgoing, Request, Start};
use super::slot::{Outcome, Slot};
use super::transport::Transport;
use crate::http2::budget::{SECOND, Tick};
use crate::http2::connection::{Core, Stream, Turn};
use crate::http2::error::Error;
use crate::http2::frame::ErrorCode;
use crate::http2::input::Received;
use crate::http2::limits::UNSENT;
use crate::http2::output::Output;
use crate::http2::pins::Pins;
use crate::http2::settings::Role;
use crate::http2::transport::{poll_write, return_scratch, take_scratch};
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
    out: Option<Box<Output>>,
    /// The driver's.
    driver: Option<Waker>,
    work: Option<Box<Work>>,
    /// Why it is over.
    pub(super) error: Option<Box<Error>>,
    /// Nobody makes calls any more.
    abandoned: bool,
    /// When something was last received.
    pub(super) heard: Tick,
    /// An answer to a PING is due by then.
    pub(super) pinged: Option<Tick>,
}

/// What there is only while some call cannot go on by itself.
#[derive(Default)]
struct Work {
    /// Calls that wait until another stream may be opened.
    waiting: VecDeque<(Request, Arc<Slot>)>,
    /// Streams whose body may have something.
    unfed: Vec<u32>,
    pins: Pins,
}

/// What must be dropped where no lock is held, since it is the application's.
#[derive(Default)]
#[expect(
    clippy::vec_box,
    reason = "they are boxed already, and many of them fit into a small block"
)]
pub(super) struct Over {
    streams: Vec<Box<Stream<Call>>>,
    bodies: Vec<Box<Outgoing>>,
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
        let core = Core::new(Role::Client, &options.behavior.config, 0);
        let mut out = Box::<Output>::default();
        core.start(&mut Turn { config: &options.behavior.config, now: 0, out: &mut out });
        Arc::new(Self {
            options,
            started: Instant::now(),
            state: Mutex::new(State {
                core,
                io: Some(io),
                out: Some(out),
                driver: None,
                work: None,
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
        self.state().error.as_deref().cloned()
    }

    /// Begins a call, or gives it back if this connection takes none.
    pub(super) fn begin(&self, request: Request, slot: &Arc<Slot>) -> Result<(), Request> {
        let mut over = Over::default();
        let mut state = self.state();
        if state.error.is_some() || !state.core.takes_streams() {
            return Err(request);
        }
        if state.has_waiting() || !state.core.can_open() {
            state.work().waiting.push_back((request, Arc::clone(slot)));
            return Ok(());
        }
        let more = self.open(&mut state, request, slot, &mut over);
        let alone = state.core.open_streams() == 1 && !state.has_unfed() && !more;
        let written = match state.driver.clone() {
            // What cannot be written now wakes the driver. So do the timers of keepalive, which begin with the first call.
            Some(driver) if alone && self.options.behavior.keepalive.is_none() => {
                state.write(&mut Context::from_waker(&driver)).is_none() && state.out.is_none()
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
        let turn =
            &mut Turn { config: &options.behavior.config, now, out: pending(&mut state.out) };
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
                    state.work().unfed.push(id);
                }
            }
        }
        let Some(content) = content else { return false };
        let turn =
            &mut Turn { config: &options.behavior.config, now, out: pending(&mut state.out) };
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
            let (now, options) = self.turn();
            let State { core, out, .. } = &mut *state;
            let out = pending(out);
            core.reset(
                id,
                ErrorCode::CANCEL,
                &mut Turn { config: &options.behavior.config, now, out },
            );
            self.handle_events(&mut state, &mut over);
            state.return_output();
            state.wake_driver();
        } else if let Some(work) = &mut state.work
            && let Some(at) = work.waiting.iter().position(|(_, other)| Arc::ptr_eq(other, slot))
        {
            over.requests.extend(work.waiting.remove(at).map(|(request, _)| request));
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
        let turn =
            &mut Turn { config: &options.behavior.config, now, out: pending(&mut state.out) };
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
        if !state.out.as_ref().is_some_and(|out| out.has_many_replies()) {
            let Some(io) = &mut state.io else { return Progress::Ended };
            match io.poll_read_on_ready(cx, &options.behavior.pool, ticket) {
                Poll::Ready(Ok(Some(buf))) => {
                    state.heard = now;
                    let turn = &mut Turn {
                        config: &options.behavior.config,
                        now,
                        out: pending(&mut state.out),
                    };
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
        let waiting = state.out.as_ref().map_or(0, |out| out.len());
        let idle = !(state.has_unfed() || more && waiting < UNSENT);
        if !idle || !state.core.arm(cx.waker()) {
            return Progress::More;
        }
        if state.core.pins() || state.work.is_some() {
            state.work();
            if let State { core, work: Some(work), .. } = state {
                let now = std::time::Instant::now;
                work.pins.look(core, &options.behavior.pool, cx.waker(), now);
            }
        }
        state.core.rest();
        state.rest();
        Progress::Idle
    }

    /// Sends a PING, unless one is on its way.
    pub(super) fn ping(&self, due: Tick, cx: &mut Context<'_>) {
        let mut state = self.state();
        if state.pinged.is_none() {
            state.pinged = Some(due);
            let (now, options) = self.turn();
            let turn =
                &mut Turn { config: &options.behavior.config, now, out: pending(&mut state.out) };
            turn.ping(*b"are you?");
            state.write(cx);
        }
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
        unused && self.core.open_streams() == 0 && !self.has_waiting()
    }

    fn work(&mut self) -> &mut Work {
        self.work.get_or_insert_default()
    }

    fn has_waiting(&self) -> bool {
        self.work.as_ref().is_some_and(|work| !work.waiting.is_empty())
    }

    fn has_unfed(&self) -> bool {
        self.work.as_ref().is_some_and(|work| !work.unfed.is_empty())
    }

    /// Drops what is not needed while nothing is open.
    fn rest(&mut self) {
        if self.core.open_streams() == 0 && !self.has_waiting() && !self.has_unfed() {
            self.work = None;
        }
    }

    /// Writes what waits. What the transport does not take stays, and it wakes the waker when it takes more.
    fn write(&mut self, cx: &mut Context<'_>) -> Option<std::io::Error> {
        let io = self.io.as_mut()?;
        let written = match &mut self.out {
            Some(out) => poll_write(&mut **io, cx, out, 0),
            // The transport may hold some of what it was given.
            None => std::pin::Pin::new(&mut **io).poll_flush(cx),
        };
        self.return_output();
        match written {
            Poll::Ready(Err(error)) => Some(error),
            _ => None,
        }
    }

    /// Frames are put together in memory of the thread's, and what does not leave is kept in memory of its own.
    fn return_output(&mut self) {
        self.out = self.out.take().and_then(return_scratch);
    }
}

/// Where frames are put together: behind what waits, or else in memory of the thread's.
fn pending(out: &mut Option<Box<Output>>) -> &mut Output {
    out.get_or_insert_with(|| take_scratch().unwrap_or_default())
}
