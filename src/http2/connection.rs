//! A connection without I/O and without a clock, for both roles: bytes in, events and frames out.
//!
//! ```text
//!            receive ┌───────────────────────────────┐ next_event, take_notices
//!  bytes ───────────►│ Core                           ├──────────────────────────► shell: server or client
//!                    │   what an idle connection has  │
//!  Output ◄──────────┤   Option<Box<Active>>: streams │◄────────────────────────── open, respond, send, reset …
//!            frames  └───────────────────────────────┘
//! ```
//!
//! The shell calls [`Core::receive`] with each read, then handles all events, then the notices, calls [`Core::flush`] for the content that
//! has its turn, writes the output, and calls [`Core::rest`]. Every call that may send takes a [`Turn`]: the configuration, the time, and
//! where frames go. An error of `receive` is final: the GOAWAY frame is in the output.

mod blocks;
mod closing;
mod content;
mod events;
mod fields;
mod reading;
mod receive;
mod send;

use std::collections::VecDeque;
use std::sync::Arc;

use super::body::Body;
use super::budget::{Budget, Tick};
use super::error::{Error, Initiator, Reason};
use super::frame::{
    DEFAULT_WINDOW, ErrorCode, GoAway, LARGEST_WINDOW, Ping, Scope, Violation, WindowUpdate,
};
use super::head::Head;
use super::hpack;
use super::limits::weight;
use super::link::Notices;
use super::output::Output;
use super::settings::{Config, Role};
pub(crate) use super::stream::Stream;
use super::stream::{Direction, Then};
use super::window::{RecvWindow, SendWindow};

/// What every call has that may send frames.
#[derive(Debug)]
pub(crate) struct Turn<'turn> {
    pub(crate) config: &'turn Config,
    pub(crate) now: Tick,
    pub(crate) out: &'turn mut Output,
}

impl Turn<'_> {
    /// Sends a PING.
    pub(crate) fn ping(&mut self, data: [u8; 8]) {
        Ping { ack: false, data }.write(self.out.frames());
    }

    /// Tells the peer that this side is about to end the connection. Streams that are on their way are still taken; those that come after
    /// [`Core::close`] are not.
    pub(crate) fn announce_close(&mut self) {
        let last_stream = LARGEST_WINDOW;
        GoAway { last_stream, code: ErrorCode::NO_ERROR, debug: &[] }.write(self.out.frames());
    }
}

/// What happened to a connection.
#[derive(Debug)]
pub(crate) enum Event<T> {
    /// A server has a new request. Its head is to be [taken](Core::take_head), unless it was reset in the meantime.
    Opened(u32),
    /// A client has the head of a response.
    Response(u32),
    /// All content that was given to [`Core::send`] is out, and there may be more.
    Writable(u32),
    /// A stream is over.
    ///
    /// It may have a [message](Stream::take_message), or an [error](Stream::take_error).
    Closed(Box<Stream<T>>),
    /// The peer lets more streams be open at a time, or fewer.
    Limits,
    /// A PING of ours was answered.
    Pong([u8; 8]),
    /// The peer takes no new streams. Those that it will not process have been closed as unprocessed.
    GoAway(Box<Error>),
}

/// What has come of the peer's greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Greeting {
    Nothing,
    Preface,
    Settings,
}

/// Whether the peer has to be told that this side does not use the table that the peer decodes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SizeUpdate {
    /// The table has its default size.
    Unneeded,
    /// The peer lowered it.
    Due,
    /// It was told, for good.
    Sent,
}

/// What has happened so far.
#[derive(Clone, Copy, Debug)]
struct Progress {
    greeting: Greeting,
    size_update: SizeUpdate,
    /// This side's settings were acknowledged.
    acknowledged: bool,
    /// No stream above the last one will be processed.
    closing: bool,
    /// The peer takes no new streams.
    peer_closing: bool,
}

/// A connection of either role. `T` is what the shell keeps with each stream.
#[derive(Debug)]
pub(crate) struct Core<T> {
    decoder: hpack::Decoder,
    send_window: SendWindow,
    recv_window: RecvWindow,
    /// The peer's settings.
    peer_window: u32,
    peer_list: u32,
    /// 65,535 stands for more, too.
    peer_streams: u16,
    /// The last stream that was opened. Only clients open streams: push is not supported.
    last: u32,
    budget: Budget,
    role: Role,
    progress: Progress,
    active: Option<Box<Active<T>>>,
}

/// What there is only while something is open, half received or about to be told.
#[derive(Debug)]
struct Active<T> {
    /// By their identifiers.
    streams: VecDeque<Box<Stream<T>>>,
    /// What the heads of all of them take in memory, in bytes.
    head_memory: usize,
    /// Some stream may hold slices of buffers of the pool.
    pins: bool,
    /// Those with content to send, in the order of their turns.
    ring: VecDeque<u32>,
    events: events::Events<T>,
    notices: Option<Arc<Notices>>,
    /// Memory for the streams that have something to say.
    noticed: Vec<u32>,
    /// The beginning of a frame other than DATA, or of the preface.
    partial: Vec<u8>,
    /// Since when it is here.
    since: Tick,
    content: Option<content::Cut>,
    block: Option<Box<fields::Partial>>,
}

impl<T> Default for Active<T> {
    fn default() -> Self {
        Self {
            streams: VecDeque::new(),
            head_memory: 0,
            pins: false,
            ring: VecDeque::new(),
            events: events::Events::default(),
            notices: None,
            noticed: Vec::new(),
            partial: Vec::new(),
            since: 0,
            content: None,
            block: None,
        }
    }
}

/// A client replaces a connection when half of the identifiers are used, while it still works.
const LAST_OWN: u32 = 1 << 30;

impl<T> Active<T> {
    fn place(&self, id: u32) -> Result<usize, usize> {
        // Most often all streams since the oldest are open.
        if let Some(oldest) = self.streams.front() {
            let place = (id.wrapping_sub(oldest.id) / 2) as usize;
            if self.streams.get(place).is_some_and(|stream| stream.id == id) {
                return Ok(place);
            }
        }
        self.streams.binary_search_by_key(&id, |stream| stream.id)
    }

    #[inline]
    fn stream(&mut self, id: u32) -> Option<&mut Stream<T>> {
        // Most often one alone is open, and asked for.
        if self.streams.front()?.id == id {
            return self.streams.front_mut().map(|oldest| &mut **oldest);
        }
        self.another(id)
    }

    fn another(&mut self, id: u32) -> Option<&mut Stream<T>> {
        let place = self.place(id).ok()?;
        Some(&mut self.streams[place])
    }

    /// Puts a stream at the end of the line of those that send.
    fn enqueue(&mut self, id: u32) {
        if let Some(stream) = self.stream(id)
            && !stream.queued
            && stream.can_send()
        {
            stream.queued = true;
            self.ring.push_back(id);
        }
    }
}

impl<T: Default> Core<T> {
    /// A connection that has not begun; [`start`](Self::start) writes what goes first.
    pub(crate) fn new(role: Role, config: &Config, now: Tick) -> Self {
        Self {
            decoder: hpack::Decoder::new(hpack::DEFAULT_TABLE_SIZE),
            send_window: SendWindow::new(DEFAULT_WINDOW),
            recv_window: RecvWindow::new(config.connection_window),
            peer_window: DEFAULT_WINDOW,
            peer_list: u32::MAX,
            peer_streams: u16::MAX,
            last: 0,
            budget: Budget::new(now),
            role,
            progress: Progress {
                greeting: match role {
                    Role::Client => Greeting::Preface,
                    Role::Server => Greeting::Nothing,
                },
                size_update: SizeUpdate::Unneeded,
                acknowledged: false,
                closing: false,
                peer_closing: false,
            },
            active: None,
        }
    }

    /// Writes the preface and the settings.
    pub(crate) fn start(&self, turn: &mut Turn<'_>) {
        if self.role == Role::Client {
            turn.out.frames().extend_from_slice(super::frame::PREFACE);
        }
        turn.config.write(self.role, turn.out.frames());
    }

    fn active(&mut self) -> &mut Active<T> {
        self.active.get_or_insert_default()
    }

    /// What happened next.
    pub(crate) fn next_event(&mut self) -> Option<Event<T>> {
        self.active.as_mut()?.events.pop()
    }

    /// A stream that is open.
    pub(crate) fn stream(&mut self, id: u32) -> Option<&mut Stream<T>> {
        self.active.as_mut()?.stream(id)
    }

    /// How many streams are open.
    pub(crate) fn open_streams(&self) -> usize {
        self.active.as_ref().map_or(0, |active| active.streams.len())
    }

    /// The streams that are open.
    pub(crate) fn ids(&self) -> Vec<u32> {
        let streams = self.active.iter().flat_map(|active| &active.streams);
        streams.map(|stream| stream.id).collect()
    }

    /// Drops what is not needed while nothing is open. To be called before the shell waits.
    pub(crate) fn rest(&mut self) {
        if let Some(active) = &self.active
            && active.streams.is_empty()
            && active.events.is_empty()
            && !active.is_within_frame()
        {
            if let Some(notices) = &active.notices {
                self.recv_window.release(notices.take_consumed());
            }
            self.active = None;
        }
    }

    /// Since when a frame or a header block is incomplete. DATA does not count: what it can hold is limited by its window.
    pub(crate) fn incomplete_since(&self) -> Option<Tick> {
        let active = self.active.as_ref()?;
        match &active.block {
            Some(block) => Some(block.since),
            None => (!active.partial.is_empty()).then_some(active.since),
        }
    }

    /// Whether there is an event.
    pub(crate) fn has_events(&self) -> bool {
        self.active.as_ref().is_some_and(|active| !active.events.is_empty())
    }

    /// How many events wait.
    pub(crate) fn events(&self) -> usize {
        self.active.as_ref().map_or(0, |active| active.events.len())
    }

    /// Whether the peer's preface and settings have come.
    pub(crate) fn is_greeted(&self) -> bool {
        self.progress.greeting == Greeting::Settings
    }

    /// Whether the peer has acknowledged this side's settings.
    pub(crate) fn is_acknowledged(&self) -> bool {
        self.progress.acknowledged
    }

    /// Whether the peer takes no new streams.
    pub(crate) fn peer_is_closing(&self) -> bool {
        self.progress.peer_closing
    }

    /// Whether this side may ever open another stream. [`can_open`](Self::can_open) says whether it may now.
    pub(crate) fn takes_streams(&self) -> bool {
        let used_up = self.last + 1 >= LAST_OWN;
        !self.progress.peer_closing && !self.progress.closing && !used_up
    }

    /// Whether `id` was never used.
    fn is_idle(&self, id: u32) -> bool {
        // Streams that come after the end was announced are as good as closed.
        id.is_multiple_of(2) || (id > self.last && !self.progress.closing)
    }
}

#[cfg(test)]
mod tests;
