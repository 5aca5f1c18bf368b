//! Receiving: from the socket's readiness to plaintext, and back to holding nothing.

mod close;
mod fill;
mod open;

use std::io;
use std::sync::Arc;

use alts_handshaker::{LateAlert, Role};

use super::channel::{Channel, Direction, Rare};
use super::stall::{RecordSource, Stall};
use super::window::Window;
use crate::error::Error;
use crate::pool::{BufferPool, PooledBuf, Ticket};
use crate::record::Counter;
use fill::Turn;

/// Empty records skipped in a row before other tasks get a turn. They cost an AES-GCM opening each and carry nothing.
const EMPTY_RECORDS_BEFORE_YIELD: u32 = 64;
/// Records opened for one call: as many as fit a buffer of 32 KiB if each has 8 bytes. A buffer that has grown may be full of
/// empty ones.
const MAX_RECORDS_PER_CALL: u32 = 1024;
/// Part of a record up to this length waits in an allocation of exactly its size, not in a pooled buffer.
const MAX_EXACT_PARTIAL: usize = 4 << 10;

/// The receiving direction: what it keeps at all times.
#[derive(Debug)]
pub(crate) struct Receiving {
    /// The number of the next record that arrives.
    counter: Counter,
    state: State,
    turn: Turn,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// At its end, which the network reported.
    Ended,
    /// At its end, which the peer announced with a record.
    EndedAuthenticated,
}

/// What the receiving direction holds in rare states.
#[derive(Debug, Default)]
pub(crate) struct Arrived {
    /// Part of a record, exactly as long as what has arrived.
    partial: Box<[u8]>,
    /// The ticket of a read that waits for a buffer.
    ticket: Option<Ticket>,
    /// For how long part of a record has been in a pooled buffer.
    stall: Option<Box<Stall>>,
    /// Why nothing can be received any more.
    failure: Option<Box<Error>>,
    /// A client's, until the first record, or the ticket before it, shows that the server accepted it.
    late_alert: Option<Box<AwaitedAlert>>,
}

/// What a client keeps until the server has accepted it.
#[derive(Debug)]
struct AwaitedAlert {
    alert: Box<dyn LateAlert>,
    /// The reader's task, since a writer that fails looks for the alert in its place.
    #[cfg(feature = "tokio")]
    reader: Option<std::task::Waker>,
}

impl AwaitedAlert {
    /// The length of the frame that begins with `header`, if it may come in place of the first record.
    fn frame_len(&self, header: [u8; 8]) -> Option<usize> {
        self.alert.frame_len(header).or_else(|| self.alert.ticket_len(header))
    }
}

impl Receiving {
    pub(super) fn new(role: Role) -> Self {
        Self { counter: Counter::new(role.peer()), state: State::Open, turn: Turn::FRESH }
    }

    #[cfg(test)]
    pub(super) fn set_counter(&mut self, counter: Counter) {
        self.counter = counter;
    }

    /// How many records were received.
    #[inline]
    pub(super) fn records(&self) -> u64 {
        self.counter.records()
    }

    /// Whether the direction is at its end.
    fn has_ended(&self) -> bool {
        self.state != State::Open
    }
}

impl Arrived {
    /// For a client whose server may still refuse it.
    pub(super) fn awaiting_alert(alert: Box<dyn LateAlert>) -> Self {
        let late_alert = AwaitedAlert {
            alert,
            #[cfg(feature = "tokio")]
            reader: None,
        };
        Self { late_alert: Some(Box::new(late_alert)), ..Self::default() }
    }

    #[cfg(test)]
    pub(super) fn partial_len(&self) -> usize {
        self.partial.len()
    }

    #[cfg(test)]
    pub(super) fn stall(&self) -> Option<&Stall> {
        self.stall.as_deref()
    }
}

impl Direction for Receiving {
    type Rare = Arrived;
}

impl Rare for Arrived {
    fn is_empty(&self) -> bool {
        self.partial.is_empty()
            && self.ticket.is_none()
            && self.stall.is_none()
            && self.failure.is_none()
            && self.late_alert.is_none()
    }
}

impl<S: Direction> Channel<Receiving, S> {
    /// Uses what the peer sent right after the handshake: few bytes exactly, more in the buffer they came in.
    pub(crate) fn preload(&mut self, received: PooledBuf) {
        if received.len() > MAX_EXACT_PARTIAL {
            self.moving().window = Some(Window::over(received));
        } else {
            self.held().arrived.partial = (*received).into();
        }
    }

    pub(crate) fn peer_closed_authenticated(&self) -> bool {
        self.receiving.state == State::EndedAuthenticated
    }

    /// When a partial record in a pooled buffer will have stalled.
    pub(crate) fn stall_deadline(&self) -> Option<std::time::Instant> {
        let stall = self.held.as_ref()?.arrived.stall.as_ref()?;
        stall.deadline(self.terms.options.stall_limit)
    }

    /// Gives up to `room` bytes of plaintext to `take`, in one or more pieces, and returns how many bytes that was. 0 is the
    /// end of the stream, unless there is no room.
    pub(crate) fn read(
        &mut self,
        source: &mut impl RecordSource,
        room: usize,
        take: impl FnMut(&[u8]),
    ) -> io::Result<usize> {
        if room == 0 {
            return Ok(0);
        }
        let before = self.receiving.records();
        let read = self.read_some(source, room, take);
        self.tidy();
        self.note_received(before, *read.as_ref().unwrap_or(&0));
        read
    }

    /// Reads plaintext into a buffer from `pool`. `None` is the end of the stream.
    pub(crate) fn read_on_ready(
        &mut self,
        source: &mut impl RecordSource,
        pool: &BufferPool,
        ticket: &mut Option<Ticket>,
    ) -> io::Result<Option<PooledBuf>> {
        if let Some(held) = &mut self.held {
            // The ticket of a `read` that was given up. A buffer granted to it would be missing here.
            held.arrived.ticket = None;
        }
        let before = self.receiving.records();
        let read = self.read_buffer(source, pool, ticket);
        self.tidy();
        self.note_received(before, len_of(&read));
        read
    }

    /// Waits until a read has a result. May be spurious.
    #[cfg(feature = "tokio")]
    pub(crate) fn readable(&mut self, source: &mut impl RecordSource) -> io::Result<()> {
        if self.failure().is_some() || self.receiving.has_ended() || self.has_received() {
            return Ok(());
        }
        let readable = self.wait(source);
        self.tidy();
        readable
    }

    /// Returns what sending failed with, unless the server has sent a reason: a client that writes first would otherwise learn
    /// only that the connection is broken.
    pub(crate) fn or_refusal<T>(
        &mut self,
        source: &mut impl RecordSource,
        sent: io::Result<T>,
    ) -> io::Result<T> {
        let failed = matches!(&sent, Err(error) if error.kind() != io::ErrorKind::WouldBlock);
        if !failed || !self.awaits_alert() {
            return sent;
        }
        let terms = Arc::clone(&self.terms);
        let refusal = self.receive(source, &terms.pool, &mut None).err();
        self.tidy();
        let told = refusal.filter(|error| matches!(Error::of(error), Some(Error::Handshake(_))));
        told.map_or(sent, Err)
    }

    /// Notes the task that waits for the socket, where a writer may look at the socket in its place.
    #[cfg(feature = "tokio")]
    #[inline]
    pub(super) fn reader_waits(&mut self, waker: &std::task::Waker) {
        if let Some(held) = &mut self.held
            && let Some(late_alert) = &mut held.arrived.late_alert
        {
            match &mut late_alert.reader {
                Some(reader) => reader.clone_from(waker),
                none => *none = Some(waker.clone()),
            }
        }
    }

    /// The task that waits for the socket, where it is known.
    #[cfg(feature = "tokio")]
    pub(super) fn waiting_reader(&self) -> Option<&std::task::Waker> {
        self.held.as_ref()?.arrived.late_alert.as_ref()?.reader.as_ref()
    }

    fn read_some(
        &mut self,
        source: &mut impl RecordSource,
        room: usize,
        mut take: impl FnMut(&[u8]),
    ) -> io::Result<usize> {
        if !self.has_plaintext() && !self.receive_by_itself(source)? {
            return Ok(0);
        }
        let mut copied = 0;
        for _ in 0..MAX_RECORDS_PER_CALL {
            let Some(window) = self.window() else { break };
            let plaintext = window.plaintext();
            let count = plaintext.len().min(room - copied);
            take(&plaintext[..count]);
            window.consume(count);
            copied += count;
            // More whole records may be here already. The next call reports what is wrong with them.
            if copied == room || !matches!(self.open_next(), Ok(true)) {
                break;
            }
        }
        Ok(copied)
    }

    fn read_buffer(
        &mut self,
        source: &mut impl RecordSource,
        pool: &BufferPool,
        ticket: &mut Option<Ticket>,
    ) -> io::Result<Option<PooledBuf>> {
        if !self.receive(source, pool, ticket)? {
            return Ok(None);
        }
        for _ in 0..MAX_RECORDS_PER_CALL {
            if !matches!(self.open_next(), Ok(true)) {
                break;
            }
        }
        let incomplete = self.move_incomplete_out(source, pool, ticket)?;
        let Some(moving) = &mut self.moving else { return Ok(None) };
        let window = std::mem::replace(&mut moving.window, incomplete);
        Ok(window.map(Window::into_plaintext))
    }

    /// [`receive`](Self::receive) with the stream's own pool and ticket.
    fn receive_by_itself(&mut self, source: &mut impl RecordSource) -> io::Result<bool> {
        // Kept apart for the call, which changes the channel.
        let terms = Arc::clone(&self.terms);
        let mut ticket = self.held.as_mut().and_then(|held| held.arrived.ticket.take());
        let received = self.receive(source, &terms.pool, &mut ticket);
        if ticket.is_some() {
            self.held().arrived.ticket = ticket;
        }
        received
    }

    /// Brings plaintext into the window. `false` is the end of the stream.
    ///
    /// The order matters: plaintext first, then whole records, then the socket. Otherwise a read waits for bytes that have
    /// arrived already.
    fn receive(
        &mut self,
        source: &mut impl RecordSource,
        pool: &BufferPool,
        ticket: &mut Option<Ticket>,
    ) -> io::Result<bool> {
        let mut empty_records = 0;
        loop {
            if self.has_plaintext() {
                return Ok(true);
            }
            if let Some(error) = self.failure() {
                return Err(error.clone().into());
            }
            if self.receiving.has_ended() {
                return Ok(false);
            }
            if self.open_next()? {
                empty_records += 1;
                if empty_records % EMPTY_RECORDS_BEFORE_YIELD == 0 {
                    return Err(match source.yield_now() {
                        true => io::ErrorKind::WouldBlock.into(),
                        false => io::ErrorKind::ResourceBusy.into(),
                    });
                }
            } else if !self.receiving.has_ended() {
                self.fill(source, pool, ticket)?;
            }
        }
    }

    /// Makes `error` the end of the receiving direction; it repeats from now on.
    fn fail(&mut self, error: impl Into<Error>) -> io::Error {
        let error = error.into();
        // What was opened before is authentic, and is delivered first.
        match self.window() {
            Some(window) if !window.plaintext().is_empty() => window.clear_sealed(),
            _ => self.moving = None,
        }
        let failure = Some(Box::new(error.clone()));
        let ticket = self.held().arrived.ticket.take();
        self.held().arrived = Arrived { ticket, failure, ..Arrived::default() };
        error.into()
    }

    #[inline]
    fn failure(&self) -> Option<&Error> {
        self.held.as_ref()?.arrived.failure.as_deref()
    }

    fn awaits_ticket(&self) -> bool {
        let late_alert = self.held.as_ref().and_then(|held| held.arrived.late_alert.as_ref());
        late_alert.is_some_and(|awaited| awaited.alert.awaits_ticket())
    }

    fn awaits_alert(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.arrived.late_alert.is_some())
    }

    #[inline]
    fn window(&mut self) -> Option<&mut Window> {
        self.moving.as_mut()?.window.as_mut()
    }

    #[inline]
    fn has_plaintext(&self) -> bool {
        let window = self.moving.as_ref().and_then(|moving| moving.window.as_ref());
        window.is_some_and(|window| !window.plaintext().is_empty())
    }
}

#[inline]
fn len_of(read: &io::Result<Option<PooledBuf>>) -> usize {
    match read {
        Ok(Some(buf)) => buf.len(),
        _ => 0,
    }
}
