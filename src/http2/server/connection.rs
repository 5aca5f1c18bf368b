//! One connection of a server: a future between its transport and its handlers.

mod ending;
mod timing;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Instant;

use http::{Extensions, Request, Response};
use tokio::io::AsyncWrite;
use tower_service::Service;

use super::super::body::Body;
use super::super::budget::Tick;
use super::super::connection::{Core, Event, Turn};
use super::super::error::{Error, Reason};
use super::super::frame::ErrorCode;
use super::super::input::Received;
use super::super::limits::{EVENTS, UNSENT};
use super::super::output::Output;
use super::super::pins::Pins;
use super::super::settings::Role;
use super::super::transport::{poll_write, return_scratch, take_scratch};
use super::exchange::{BoxError, Driver, Exchange};
use super::registry::{Key, NEVER};
use super::{Connected, Shared};
use crate::pool::Ticket;
use crate::ready::ReadyReader;

use ending::{Ending, Stage};

/// Reads of one turn. Then other tasks have theirs.
const READS: usize = 4;
/// Steps of one turn in which handlers are polled and output is written, without anything being read.
const STEPS: usize = 16;
/// What this side's PINGs carry: one asks whether the peer is there, the other whether it has seen that the end is near.
const KEEPALIVE: [u8; 8] = *b"on-ready";
const DRAINING: [u8; 8] = *b"draining";

/// One connection of a [`Server`](super::Server), from [`Server::connection`](super::Server::connection): a future that ends with it.
///
/// While nothing is open it holds its transport, its service, and 112 bytes, beside what the client keeps in its compression table.
/// It should be a task of its own.
#[must_use = "a connection does nothing unless it is polled"]
pub struct Connection<IO, S: Service<Request<Body>>, B> {
    io: IO,
    service: S,
    shared: Arc<Shared>,
    core: Core<Exchange<S, B>>,
    active: Option<Box<Active>>,
    key: Key,
    /// When it is due to be woken.
    due: Tick,
    /// When bytes came last.
    heard: Tick,
    /// Since when no stream is open: at first, since it began.
    quiet: Tick,
}

/// What there is only while something is open, or about to end.
#[derive(Default)]
struct Active {
    unsent: Option<Box<Output>>,
    ticket: Option<Ticket>,
    /// Since when bytes wait of which the peer took none.
    stalled: Option<Tick>,
    /// When a keepalive PING was sent that was not answered.
    pinged: Option<Tick>,
    /// Since when the peer is told that the end is near.
    draining: Option<Tick>,
    /// What requests know of the connection that come while others are open: calls one after the other need no copy.
    info: Option<Extensions>,
    requests: u64,
    pins: Pins,
    ending: Option<Ending>,
}

impl Active {
    fn is_needed(&self) -> bool {
        self.unsent.is_some()
            || self.ticket.is_some()
            || self.stalled.is_some()
            || self.pinged.is_some()
            || self.draining.is_some()
            || self.ending.is_some()
    }
}

/// What stops the work of a turn.
enum Stop {
    /// Everything waits, with its wakers in place.
    Waits,
    /// Others have their turn; there is more to do.
    Yields,
    /// The connection ends.
    Ends(Result<(), Error>),
    /// The transport is gone.
    Lost(Error),
}

impl<IO, S: Service<Request<Body>>, B> Connection<IO, S, B> {
    pub(super) fn new(shared: Arc<Shared>, io: IO, service: S) -> Self {
        let core = Core::new(Role::Server, &shared.config, 0);
        Self {
            io,
            service,
            shared,
            core,
            active: None,
            key: Key::NONE,
            due: NEVER,
            heard: 0,
            quiet: 0,
        }
    }

    fn active(&mut self) -> &mut Active {
        self.active.get_or_insert_default()
    }
}

impl<IO, S, B> Connection<IO, S, B>
where
    IO: ReadyReader + AsyncWrite + Connected + Unpin,
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError> + Send + 'static,
    B: http_body::Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    fn begin(&mut self, cx: &Context<'_>, now: Tick, out: &mut Output) {
        let _ = self.io.begin();
        let shared = &self.shared;
        shared.counts.accepted.fetch_add(1, Ordering::Relaxed);
        self.key = shared.registry.insert(&self.shared, cx.waker(), now);
        (self.heard, self.quiet) = (now, now);
        self.core = Core::new(Role::Server, &shared.config, now);
        self.core.start(&mut Turn { config: &shared.config, now, out });
    }

    /// Reads, lets handlers work, and writes, until all of that waits.
    fn run(&mut self, cx: &mut Context<'_>, now: Tick, out: &mut Output) -> Stop {
        let shared = Arc::clone(&self.shared);
        let (mut reads, mut steps) = (0, 0);
        loop {
            if steps == STEPS {
                return Stop::Yields;
            }
            steps += 1;
            let more = self.work(cx, now, out, &shared);
            let waiting = out.len();
            // What follows goes out with the rest, unless others have their turn first.
            let rest = if more && steps < STEPS { UNSENT - 1 } else { 0 };
            match poll_write(&mut self.io, cx, out, rest) {
                Poll::Ready(Ok(())) => {
                    if let Some(active) = &mut self.active {
                        active.stalled = None;
                    }
                }
                Poll::Ready(Err(error)) => return Stop::Lost(error.into()),
                Poll::Pending => {
                    let progress = out.len() < waiting;
                    let stalled = &mut self.active().stalled;
                    if progress || stalled.is_none() {
                        *stalled = Some(now);
                    }
                }
            }
            if self.is_over() {
                return Stop::Ends(Ok(()));
            }
            let full = out.len() >= UNSENT;
            if full && (out.has_many_replies() || self.core.events() >= EVENTS) {
                return Stop::Waits;
            }
            if more && !full {
                continue;
            }
            if reads == READS {
                return Stop::Yields;
            }
            let mut ticket = self.active.as_mut().and_then(|active| active.ticket.take());
            let read = self.io.poll_read_on_ready(cx, &shared.pool, &mut ticket);
            if ticket.is_some() {
                self.active().ticket = ticket;
            }
            match read {
                Poll::Pending if self.core.arm(cx.waker()) => return Stop::Waits,
                Poll::Pending => {}
                Poll::Ready(Ok(Some(buf))) => {
                    reads += 1;
                    self.heard = now;
                    if let Some(active) = &mut self.active {
                        active.pinged = None;
                    }
                    let turn = &mut Turn { config: &shared.config, now, out };
                    if let Err(error) = self.core.receive(&mut Received::new(buf), turn) {
                        return Stop::Ends(Err(error));
                    }
                }
                Poll::Ready(Ok(None)) => return self.ended(),
                Poll::Ready(Err(error)) => return Stop::Lost(error.into()),
            }
        }
    }

    /// The peer sends no more.
    fn ended(&self) -> Stop {
        let in_order = self.core.open_streams() == 0 && self.core.incomplete_since().is_none();
        match in_order {
            true => Stop::Lost(Error::closed()),
            false => Stop::Lost(Error::truncated()),
        }
    }

    /// Whether the last stream of a connection that is to end has ended.
    fn is_over(&self) -> bool {
        self.core.open_streams() == 0 && (self.core.is_closing() || self.core.peer_is_closing())
    }

    /// Handles what happened, goes on with the exchanges that can, and moves content to the output. Answers whether there is more to do.
    fn work(&mut self, cx: &mut Context<'_>, now: Tick, out: &mut Output, shared: &Shared) -> bool {
        let Self { io, service, core, active, quiet, .. } = self;
        loop {
            while out.len() < UNSENT
                && let Some(event) = core.next_event()
            {
                let turn = Turn { config: &shared.config, now, out };
                let mut driver = Driver { core, shared, turn, cx };
                match event {
                    Event::Opened(id) => {
                        let alone = active.is_none() && driver.core.open_streams() == 1;
                        let begun = driver.begin(id, service, || {
                            let extend = || {
                                let mut extensions = Extensions::new();
                                io.extend(&mut extensions);
                                extensions
                            };
                            match alone {
                                true => extend(),
                                false => {
                                    let active = active.get_or_insert_default();
                                    active.info.get_or_insert_with(extend).clone()
                                }
                            }
                        });
                        match active {
                            Some(active) => active.requests += u64::from(begun),
                            None => shared.count(begun.into()),
                        }
                    }
                    Event::Writable(id) => driver.drive(id),
                    Event::Closed(stream) => {
                        *quiet = now;
                        drop(stream);
                    }
                    Event::Pong(DRAINING) => {
                        driver.core.close(ErrorCode::NO_ERROR, "", &mut driver.turn);
                    }
                    Event::Pong(_) | Event::Limits | Event::Response(_) => {}
                    Event::GoAway(error) => tracing::debug!(%error, "a client goes away"),
                }
            }
            let mut turn = Turn { config: &shared.config, now, out };
            let woken = core.take_notices(&mut turn);
            for id in &woken {
                let turn = Turn { config: &shared.config, now, out };
                Driver { core, shared, turn, cx }.drive(*id);
            }
            core.reuse(woken);
            let mut turn = Turn { config: &shared.config, now, out };
            let full = core.flush(UNSENT, &mut turn);
            if full || out.len() >= UNSENT {
                return true;
            }
            if !core.has_events() {
                return false;
            }
        }
    }

    fn poll_turn(
        &mut self,
        cx: &mut Context<'_>,
        now: Tick,
        out: &mut Output,
    ) -> Poll<Result<(), Error>> {
        if self.key == Key::NONE {
            self.begin(cx, now, out);
        }
        if self.active.as_ref().is_none_or(|active| active.ending.is_none()) {
            let stop = match self.look_at_clock(now, out) {
                Ok(()) => self.run(cx, now, out),
                Err(error) => Stop::Ends(Err(error)),
            };
            let result = match stop {
                Stop::Waits => {
                    if let Some(active) = &mut self.active {
                        let pool = &self.shared.pool;
                        active.pins.look(&mut self.core, pool, cx.waker(), Instant::now);
                    }
                    return Poll::Pending;
                }
                Stop::Yields => {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Stop::Lost(error) => {
                    let closed = *error.reason() == Reason::Closed;
                    self.close_streams(&error, now, out);
                    return Poll::Ready(if closed { Ok(()) } else { Err(error) });
                }
                Stop::Ends(result) => result,
            };
            if let Err(error) = &result {
                self.shared.counts.ended.fetch_add(1, Ordering::Relaxed);
                tracing::debug!(%error, "a connection is ended");
            }
            self.drop_handlers();
            let ending = Ending { result, stage: Stage::Flush, since: now };
            self.active().ending = Some(ending);
        }
        self.poll_end(cx, now, out)
    }

    fn close_streams(&mut self, error: &Error, now: Tick, out: &mut Output) {
        let shared = Arc::clone(&self.shared);
        self.core.fail(error, &mut Turn { config: &shared.config, now, out });
        self.drop_handlers();
    }

    /// Of streams that are closed.
    fn drop_handlers(&mut self) {
        while self.core.next_event().is_some() {}
    }
}

impl<IO, S, B> Future for Connection<IO, S, B>
where
    IO: ReadyReader + AsyncWrite + Connected + Unpin,
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError> + Send + 'static,
    B: http_body::Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let this = self.get_mut();
        let now = this.shared.registry.now();
        let unsent = this.active.as_mut().and_then(|active| active.unsent.take());
        let mut out = unsent.or_else(take_scratch).unwrap_or_default();
        let result = this.poll_turn(cx, now, &mut out);
        let rest = return_scratch(out);
        if result.is_pending() {
            if rest.is_some() {
                this.active().unsent = rest;
            }
            this.rest(cx, now);
        }
        result
    }
}

impl<IO, S: Service<Request<Body>>, B> Connection<IO, S, B> {
    /// What was counted.
    fn count(&mut self) {
        if let Some(active) = &mut self.active {
            self.shared.count(std::mem::take(&mut active.requests));
        }
    }
}

/// Nothing in it is ever pinned in place: futures and bodies are boxed.
impl<IO: Unpin, S: Service<Request<Body>>, B> Unpin for Connection<IO, S, B> {}

impl<IO, S: Service<Request<Body>>, B> Drop for Connection<IO, S, B> {
    fn drop(&mut self) {
        self.count();
        self.shared.registry.remove(self.key);
    }
}

impl<IO, S: Service<Request<Body>>, B> fmt::Debug for Connection<IO, S, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("streams", &self.core.open_streams())
            .field("draining", &self.is_draining())
            .finish_non_exhaustive()
    }
}
