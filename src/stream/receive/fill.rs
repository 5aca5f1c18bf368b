//! From the socket to received bytes: when to read, into which memory, and what to keep of it while waiting for the peer.

use std::io;
use std::sync::Arc;

use super::{MAX_EXACT_PARTIAL, Receiving};
use crate::error::Error;
use crate::pool::{BufferPool, Ticket};
use crate::record::Head;
use crate::stream::channel::{Channel, Direction};
use crate::stream::stall::{RecordSource, Stall};
use crate::stream::window::{LEAD_IN, Window};

/// Socket reads in a row before other tasks get a turn. A 64-byte ping beside busy streams waits for this many buffers of each.
const READS_BEFORE_YIELD: u8 = 2;

/// Socket reads since the reader last waited, so that other tasks get a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Turn(u8);

impl Turn {
    /// A reader waits for the socket, or was dropped while it did.
    const AWAITED: Self = Self(0);
    /// No reader waits, and nothing was read in this turn.
    pub(super) const FRESH: Self = Self(1);

    /// The socket is readable.
    fn begin(&mut self) {
        self.0 = self.0.max(Self::FRESH.0);
    }

    fn has_read(&mut self) {
        self.0 = self.0.saturating_add(1);
    }

    fn is_over(self) -> bool {
        self.0 >= Self::FRESH.0 + READS_BEFORE_YIELD
    }

    /// Whether a task may have registered its waker with the socket.
    pub(super) fn is_awaited(self) -> bool {
        self == Self::AWAITED
    }
}

impl<S: Direction> Channel<Receiving, S> {
    /// Waits for the socket, then reads once, and notes the end of the stream.
    pub(super) fn fill(
        &mut self,
        source: &mut impl RecordSource,
        pool: &BufferPool,
        ticket: &mut Option<Ticket>,
    ) -> io::Result<()> {
        // Records that arrived with the end of the handshake need a window, but nothing from the socket.
        let preloaded = self.partial_is_whole();
        if !preloaded {
            self.wait(source)?;
            // Only now: a socket that has nothing more to say is waited for, not yielded for.
            if self.receiving.turn.is_over() {
                self.receiving.turn = Turn::FRESH;
                if source.yield_now() {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
            }
        }
        if let Err(error) = self.make_room(source, pool, ticket) {
            if error.kind() == io::ErrorKind::WouldBlock {
                self.park(source, false)?;
            }
            return Err(error);
        }
        if preloaded {
            return Ok(());
        }
        let read = match self.window() {
            Some(window) => window.fill(|buf| source.read(buf)),
            None => Ok(0),
        };
        let count = self.or_park(source, read)?;
        self.receiving.turn.has_read();
        if count == 0 { self.end_of_stream() } else { Ok(()) }
    }

    /// Waits until the socket is worth a read.
    pub(super) fn wait(&mut self, source: &mut impl RecordSource) -> io::Result<()> {
        let readable = source.readable();
        self.or_park(source, readable)?;
        self.receiving.turn.begin();
        Ok(())
    }

    /// Provides a window with room for more bytes: a fresh one, the same one with its bytes moved to the front, or a larger
    /// one. It grows with what has arrived, not with what the peer claims.
    fn make_room(
        &mut self,
        source: &mut impl RecordSource,
        pool: &BufferPool,
        ticket: &mut Option<Ticket>,
    ) -> io::Result<()> {
        let standard = pool.buffer_size();
        let Some(window) = self.window() else {
            let buf = source.take(pool, ticket, standard).map_err(of_stream)?;
            let mut window = Window::new(buf);
            if let Some(held) = &mut self.held {
                window.append(&held.arrived.partial);
                held.arrived.partial = Box::default();
            }
            self.moving().window = Some(window);
            return Ok(());
        };
        let record = match Head::parse(window.sealed()) {
            Ok(Head::Record { wire_len }) => wire_len,
            _ => 0,
        };
        let whole = window.room_for_record();
        if record > whole
            && window.capacity() < standard
            && let Ok(buf) = pool.take(standard)
        {
            // The pool has room for larger reads, and no other request waits for it.
            window.move_to(buf);
        } else if window.sealed().len() >= whole {
            // More than that is only there if it came with the end of the handshake, at the very front of a buffer.
            let size = (2 * window.capacity()).min(LEAD_IN + record);
            let buf = source.grow(pool, ticket, window.buffer(), size).map_err(of_stream)?;
            window.move_to(buf);
        } else if window.sealed().is_empty() || window.room() < whole / 2 {
            window.compact();
        }
        Ok(())
    }

    /// The reader waits now. The window is dropped, except for part of a record in it, which moves to the smallest memory that
    /// holds it. If the reader waits for the peer (`idle`), a large part may not stay forever while others wait for buffers;
    /// otherwise it waits for memory, and the peer is not to blame.
    fn park(&mut self, source: &mut impl RecordSource, idle: bool) -> io::Result<()> {
        self.receiving.turn = Turn::AWAITED;
        let Some(moving) = self.moving.as_mut() else { return Ok(()) };
        let Some(partial) = &mut moving.window else { return Ok(()) };
        let arrived = partial.sealed().len();
        if arrived == 0 {
            return Ok(());
        }
        if arrived <= MAX_EXACT_PARTIAL {
            let exact: Box<[u8]> = partial.sealed().into();
            moving.window = None;
            let held = self.held();
            held.arrived.partial = exact;
            held.arrived.stall = None;
            return Ok(());
        }
        let terms = Arc::clone(&self.terms);
        let smallest = BufferPool::capacity_for(LEAD_IN + arrived);
        let in_the_way = smallest.is_some_and(|capacity| capacity < partial.capacity())
            || terms.pool.is_overdraft(partial.buffer());
        if in_the_way && let Ok(buf) = terms.pool.take(LEAD_IN + arrived) {
            partial.move_to(buf);
        }
        moving.forget_keys();
        let Some(partial) = &moving.window else { return Ok(()) };
        let held = self.held.get_or_insert_default();
        let stall = held.arrived.stall.get_or_insert_with(|| Box::new(Stall::begin()));
        if !idle {
            stall.pause();
        } else if stall.is_over(partial.buffer(), terms.options.stall_limit, source.waker()) {
            return Err(self.fail(Error::Stalled));
        }
        Ok(())
    }

    /// Moves the bytes of an incomplete record into a window of their own, or into an exact allocation, so that the window can
    /// be handed up.
    pub(super) fn move_incomplete_out(
        &mut self,
        source: &mut impl RecordSource,
        pool: &BufferPool,
        ticket: &mut Option<Ticket>,
    ) -> io::Result<Option<Window>> {
        let Some(window) = self.window() else { return Ok(None) };
        let len = window.sealed().len();
        if len > MAX_EXACT_PARTIAL {
            let buf =
                source.grow(pool, ticket, window.buffer(), LEAD_IN + len).map_err(of_stream)?;
            let mut incomplete = Window::new(buf);
            incomplete.append(window.sealed());
            return Ok(Some(incomplete));
        }
        if len > 0 {
            let exact = window.sealed().into();
            self.held().arrived.partial = exact;
        }
        Ok(None)
    }

    /// Parks if the socket has nothing now. Other errors are final: some sockets report the end of the stream when they are
    /// read again, which would look like a clean end.
    fn or_park<T>(
        &mut self,
        source: &mut impl RecordSource,
        result: io::Result<T>,
    ) -> io::Result<T> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.park(source, true)?;
                Err(error)
            }
            Err(error) => Err(self.fail(error)),
            Ok(value) => Ok(value),
        }
    }
}

/// Makes the pool's error one of this crate's streams.
fn of_stream(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => error,
        _ => Error::from(error).into(),
    }
}
