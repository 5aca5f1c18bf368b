//! Receiving: from the socket's readiness to plaintext, and back to holding nothing.

use std::io;
use std::sync::Arc;

use alts_handshaker::RecordProtocol;

use super::channel::{Channel, MAX_EXACT_PARTIAL, MAX_PLAIN_RECORDS, Reading};
use super::stall::RecordSource;
use super::window::{LEAD_IN, Window};
use crate::error::{Error, Truncation};
use crate::pool::{BufferPool, PooledBuf, Ticket};
use crate::record::{Head, RecordError, open_record};

/// Socket reads in a row before other tasks get a turn. A 64-byte ping beside busy streams waits for this many buffers of each.
const READS_BEFORE_YIELD: u8 = 2;
/// Empty records skipped in a row before other tasks get a turn. They cost us an AES-GCM opening each and carry nothing.
const EMPTY_RECORDS_BEFORE_YIELD: u32 = 64;
/// Records opened for one call: as many as fit a buffer of 32 KiB if each has 8 bytes. A buffer that has grown may be full of empty ones.
const MAX_RECORDS_PER_CALL: u32 = 1024;

/// Makes the pool's error one of this crate's streams.
fn of_stream(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::WouldBlock => error,
        _ => Error::from(error).into(),
    }
}

/// What waiting for the socket came to.
enum Filled {
    Bytes,
    EndOfStream,
}

impl Channel {
    /// Gives up to `room` bytes of plaintext to `take`, in one or more pieces, and says how many it were. 0 is the end of the
    /// stream, unless there is no room.
    pub(crate) fn read(
        &mut self,
        source: &mut impl RecordSource,
        room: usize,
        mut take: impl FnMut(&[u8]),
    ) -> io::Result<usize> {
        if room == 0 {
            return Ok(0);
        }
        if self.window().is_none_or(|window| window.plaintext().is_empty()) {
            // The stream's own pool and place, kept apart for the call, which changes the channel.
            let shared = Arc::clone(&self.shared);
            let mut place = self.held.as_mut().and_then(|held| held.place.take());
            let received = self.receive(source, &shared.pool, &mut place);
            if place.is_some() {
                self.held().place = place;
            }
            if !received? {
                return Ok(0);
            }
        }
        let mut copied = 0;
        for _ in 0..MAX_RECORDS_PER_CALL {
            let Some(window) = self.window() else { break };
            let plaintext = window.plaintext();
            let count = plaintext.len().min(room - copied);
            take(&plaintext[..count]);
            window.consume(count);
            copied += count;
            // More whole records may be here already. What is wrong with them is for the next call to tell.
            if copied == room || !matches!(self.open_next(), Ok(true)) {
                break;
            }
        }
        self.drop_drained_window();
        Ok(copied)
    }

    /// Reads plaintext into a buffer from `pool`. `None` is the end of the stream.
    pub(crate) fn read_on_ready(
        &mut self,
        source: &mut impl RecordSource,
        pool: &BufferPool,
        place: &mut Option<Ticket>,
    ) -> io::Result<Option<PooledBuf>> {
        if let Some(held) = &mut self.held {
            // The place of a `read` that was given up; what is granted to it would be missing here.
            held.place = None;
        }
        if !self.receive(source, pool, place)? {
            return Ok(None);
        }
        for _ in 0..MAX_RECORDS_PER_CALL {
            if !matches!(self.open_next(), Ok(true)) {
                break;
            }
        }
        let rest = self.move_rest_out(source, pool, place)?;
        let Some(moving) = &mut self.moving else { return Ok(None) };
        let window = std::mem::replace(&mut moving.window, rest);
        self.tidy();
        Ok(window.map(Window::into_plaintext))
    }

    /// What sending failed with, unless the server has said why: a client that writes first would otherwise learn only that
    /// the connection is broken.
    pub(crate) fn or_refusal<T>(
        &mut self,
        source: &mut impl RecordSource,
        sent: io::Result<T>,
    ) -> io::Result<T> {
        let failed = matches!(&sent, Err(error) if error.kind() != io::ErrorKind::WouldBlock);
        if !failed || self.held.as_ref().is_none_or(|held| held.late_alert.is_none()) {
            return sent;
        }
        let shared = Arc::clone(&self.shared);
        let refusal = self.receive(source, &shared.pool, &mut None).err();
        let told = refusal.filter(|error| matches!(Error::of(error), Some(Error::Handshake(_))));
        told.map_or(sent, Err)
    }

    /// Waits until a read has something to say. May be wrong about it.
    #[cfg(feature = "tokio")]
    pub(crate) fn readable(&mut self, source: &mut impl RecordSource) -> io::Result<()> {
        let told = self.failure().is_some()
            || matches!(self.reading, Reading::Ended | Reading::EndedAuthenticated)
            || self.has_received();
        if told {
            return Ok(());
        }
        let result = source.readable();
        if would_block(&result) {
            self.park(source, true)?;
        }
        self.or_fail(result)
    }

    /// Plaintext or a whole record is here.
    #[cfg(feature = "tokio")]
    fn has_received(&self) -> bool {
        let window = self.moving.as_ref().and_then(|moving| moving.window.as_ref());
        window.is_some_and(|window| {
            !window.plaintext().is_empty() || self.is_decided(window.sealed())
        }) || self.partial_is_whole()
    }

    /// Part of a record can be whole records when it came with the end of the handshake.
    #[inline]
    fn partial_is_whole(&self) -> bool {
        self.held.as_ref().is_some_and(|held| self.is_decided(&held.partial))
    }

    /// Whether `sealed` begins with a whole record, or with what is none and cannot become one.
    fn is_decided(&self, sealed: &[u8]) -> bool {
        match Head::parse(sealed) {
            Ok(Head::Record { wire_len }) => wire_len <= sealed.len(),
            Ok(Head::Unknown) => false,
            Err(_) => {
                let alert = self.held.as_ref().and_then(|held| held.late_alert.as_deref());
                let frame_len = alert.zip(sealed.first_chunk().copied());
                let frame_len = frame_len.and_then(|(alert, header)| alert.frame_len(header));
                frame_len.is_none_or(|frame_len| frame_len <= sealed.len())
            }
        }
    }

    /// Sees to it that there is plaintext in the window. `false` is the end of the stream.
    ///
    /// The order matters: plaintext first, then whole records, then the socket. Otherwise a read waits for bytes that are
    /// here already.
    fn receive(
        &mut self,
        source: &mut impl RecordSource,
        pool: &BufferPool,
        place: &mut Option<Ticket>,
    ) -> io::Result<bool> {
        let mut empty_records = 0;
        loop {
            if self.window().is_some_and(|window| !window.plaintext().is_empty()) {
                return Ok(true);
            }
            if let Some(error) = self.failure() {
                return Err(error.clone().into());
            }
            if matches!(self.reading, Reading::Ended | Reading::EndedAuthenticated) {
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
                continue;
            }
            if matches!(self.reading, Reading::Ended | Reading::EndedAuthenticated) {
                continue;
            }
            self.drop_drained_window();
            match self.fill(source, pool, place) {
                Ok(Filled::Bytes) => {}
                Ok(Filled::EndOfStream) => self.end_of_stream()?,
                Err(error) => {
                    self.tidy();
                    return Err(error);
                }
            }
        }
    }

    /// Opens the next record, if all of it is here. An empty one is the peer's close if that was agreed on; otherwise it
    /// is skipped, and the result is `true` as well.
    #[inline]
    fn open_next(&mut self) -> io::Result<bool> {
        // Each message asks three times, and mostly there is nothing.
        let is_drained = |window: &mut Window| window.sealed().is_empty();
        if self.window().is_none_or(is_drained) { Ok(false) } else { self.open_received() }
    }

    fn open_received(&mut self) -> io::Result<bool> {
        let protocol = self.keys.protocol();
        let Some(moving) = self.moving.as_mut() else { return Ok(false) };
        let (key, Some(window)) = moving.opening() else { return Ok(false) };
        let record = match window.next_record() {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(false),
            Err(error) => return self.refuse(error),
        };
        if protocol == RecordProtocol::Aes128Gcm && self.opened.records() >= MAX_PLAIN_RECORDS {
            return Err(self.fail(RecordError::KeyExhausted));
        }
        let opened = window.open_next(record, |buffer, record, to| {
            open_record(&mut self.keys, &mut self.opened, key, buffer, record, to)
        });
        let count = match opened {
            Ok(count) => count,
            Err(error) => return Err(self.fail(error)),
        };
        let trailing = !window.sealed().is_empty();
        if let Some(held) = &mut self.held {
            held.late_alert = None;
        }
        if count == 0 && self.shared.negotiated.close_notify {
            if trailing {
                return Err(self.fail(RecordError::AfterClose));
            }
            self.reading = Reading::EndedAuthenticated;
            self.drop_drained_window();
            self.tidy();
            return Ok(false);
        }
        Ok(true)
    }

    /// A frame that is no record. In the place of the first one a client may find the server's alert about its certificate.
    /// `Ok` if it is an alert of which more has to arrive.
    fn refuse(&mut self, error: RecordError) -> io::Result<bool> {
        let alert = self.held.as_mut().and_then(|held| held.late_alert.take());
        let Some(key) = alert else { return Err(self.fail(error)) };
        let sealed = self.window().map_or(&[][..], |window| window.sealed());
        match sealed.first_chunk().copied().and_then(|header| key.frame_len(header)) {
            Some(frame_len) if sealed.len() < frame_len => {
                self.held().late_alert = Some(key);
                Ok(false)
            }
            Some(frame_len) => match key.open(&sealed[..frame_len]) {
                Ok((code, reason)) => {
                    let alert = alts_handshaker::Error::Alert { code, reason, sealed: true };
                    Err(self.fail(alert))
                }
                Err(_) => Err(self.fail(error)),
            },
            None => Err(self.fail(error)),
        }
    }

    /// Waits for the socket, then reads once.
    fn fill(
        &mut self,
        source: &mut impl RecordSource,
        pool: &BufferPool,
        place: &mut Option<Ticket>,
    ) -> io::Result<Filled> {
        // What came with the end of the handshake needs a window, but nothing from the socket.
        let preloaded = self.partial_is_whole();
        if !preloaded {
            let readable = source.readable();
            if would_block(&readable) {
                self.park(source, true)?;
            }
            self.or_fail(readable)?;
            // Only now: a socket that has nothing more to say is waited for, not yielded for.
            if self.reads >= READS_BEFORE_YIELD {
                self.reads = 0;
                if source.yield_now() {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
            }
        }
        if let Err(error) = self.make_room(source, pool, place) {
            if error.kind() == io::ErrorKind::WouldBlock {
                self.park(source, false)?;
            }
            return Err(error);
        }
        if preloaded {
            return Ok(Filled::Bytes);
        }
        let result = match self.window() {
            Some(window) => window.fill(|buf| source.read(buf)),
            None => Ok(0),
        };
        if would_block(&result) {
            self.park(source, true)?;
        }
        let count = self.or_fail(result)?;
        self.reads = self.reads.saturating_add(1);
        if let Some(held) = &mut self.held {
            held.stall = None;
            self.tidy();
        }
        Ok(if count == 0 { Filled::EndOfStream } else { Filled::Bytes })
    }

    /// Sees to a window with room for more bytes: a fresh one, the same one with its bytes moved to the front, or a larger
    /// one. It grows with what has arrived, not with what the peer claims.
    fn make_room(
        &mut self,
        source: &mut impl RecordSource,
        pool: &BufferPool,
        place: &mut Option<Ticket>,
    ) -> io::Result<()> {
        let standard = pool.buffer_size();
        let Some(window) = self.window() else {
            let buf = source.take(pool, place, standard).map_err(of_stream)?;
            let mut window = Window::new(buf);
            if let Some(held) = &mut self.held {
                window.append(&held.partial);
                held.partial = Box::default();
            }
            self.moving().window = Some(window);
            return Ok(());
        };
        let record = match Head::parse(window.sealed()) {
            Ok(Head::Record { wire_len }) => wire_len,
            _ => 0,
        };
        let whole = window.room_for_record();
        // More than that is only there if it came with the end of the handshake, at the very front of a buffer.
        let wanted = if window.sealed().len() >= whole {
            2 * window.capacity()
        } else if record > whole && window.capacity() < standard {
            standard
        } else {
            0
        };
        if wanted > 0 {
            let size = wanted.min((LEAD_IN + record).max(standard));
            let buf = source.grow(pool, place, window.buffer(), size).map_err(of_stream)?;
            window.move_to(buf);
        } else if window.room() < whole / 2 {
            window.compact();
        }
        Ok(())
    }

    /// The reader waits now. Expanded keys go to the thread. The window goes, but for the part of a record in it: that moves to
    /// the smallest place that holds what has arrived. If it is the peer that keeps us waiting (`idle`), a large part may not
    /// stay for ever while others wait for buffers.
    fn park(&mut self, source: &mut impl RecordSource, idle: bool) -> io::Result<()> {
        self.reads = 0;
        let Some(moving) = self.moving.as_mut() else { return Ok(()) };
        let partial = match &mut moving.window {
            Some(window) if !window.sealed().is_empty() => window,
            _ => {
                self.rest();
                return Ok(());
            }
        };
        let arrived = partial.sealed().len();
        if arrived <= MAX_EXACT_PARTIAL {
            let exact: Box<[u8]> = partial.sealed().into();
            self.rest();
            let held = self.held();
            held.partial = exact;
            held.stall = None;
            return Ok(());
        }
        let shared = Arc::clone(&self.shared);
        let smallest = BufferPool::capacity_for(LEAD_IN + arrived);
        if smallest.is_some_and(|capacity| capacity < partial.capacity())
            && let Ok(buf) = shared.pool.take(LEAD_IN + arrived)
        {
            partial.move_to(buf);
        }
        moving.forget_keys();
        if idle {
            let mut stall = self.held().stall.take();
            if source.stalled(&mut stall, shared.options.stall_limit, &shared.pool) {
                return Err(self.fail(Error::Stalled));
            }
            self.held().stall = stall;
        }
        Ok(())
    }

    /// The bytes of an incomplete record go elsewhere, so that the window can be handed up: into a window of their own, or into
    /// an exact allocation.
    fn move_rest_out(
        &mut self,
        source: &mut impl RecordSource,
        pool: &BufferPool,
        place: &mut Option<Ticket>,
    ) -> io::Result<Option<Window>> {
        let Some(window) = self.window() else { return Ok(None) };
        let len = window.sealed().len();
        if len > MAX_EXACT_PARTIAL {
            let buf =
                source.grow(pool, place, window.buffer(), LEAD_IN + len).map_err(of_stream)?;
            let mut rest = Window::new(buf);
            rest.append(window.sealed());
            return Ok(Some(rest));
        }
        if len > 0 {
            let exact = window.sealed().into();
            self.held().partial = exact;
        }
        Ok(None)
    }

    /// The socket reported the end.
    fn end_of_stream(&mut self) -> io::Result<()> {
        let partial = self.held.as_ref().is_some_and(|held| !held.partial.is_empty())
            || self.window().is_some_and(|window| !window.sealed().is_empty());
        if partial {
            return Err(self.fail(Error::Truncated { at: Truncation::Record }));
        }
        if self.shared.negotiated.close_notify {
            return Err(self.fail(Error::Truncated { at: Truncation::MissingClose }));
        }
        self.reading = Reading::Ended;
        self.drop_drained_window();
        self.tidy();
        Ok(())
    }

    /// What the socket fails with is final too. Asked again, some answer that the stream has ended, which would look like a
    /// clean end.
    fn or_fail<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        match result {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(self.fail(error)),
            result => result,
        }
    }

    #[inline]
    fn window(&mut self) -> Option<&mut Window> {
        self.moving.as_mut()?.window.as_mut()
    }

    /// Gives the buffer back when there is nothing in it, and the expanded keys to the thread.
    #[inline]
    fn drop_drained_window(&mut self) {
        if self.window().is_some_and(|window| window.is_empty()) {
            self.rest();
        }
    }
}

fn would_block<T>(result: &io::Result<T>) -> bool {
    matches!(result, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}
