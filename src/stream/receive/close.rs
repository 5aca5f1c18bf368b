//! Closing a stream whose peer may have closed before: the peer's closing record is taken out of the socket.

use std::io;

use super::{Receiving, State};
use crate::ready::Source;
use crate::record::{HEADER_LEN, Head, OVERHEAD, open_record};
use crate::stream::channel::{Channel, Direction};
use crate::stream::moving::Moving;

impl<S: Direction> Channel<Receiving, S> {
    /// Takes the peer's closing record out of the socket, if it is next and has arrived, and before it the ticket of a server whose
    /// client has read nothing. A TCP socket that is dropped over
    /// unread bytes resets the connection, and what the peer has not received by then is lost. Without ALTS, the peer's end
    /// leaves nothing to read.
    ///
    /// It reads the bytes of the ticket, the 24 bytes of such a record, and no more. If they are something else, they wait for the next read as any part
    /// of a record does. A task that waits in a read does this itself, and its waker stays with the socket.
    pub(in crate::stream) fn take_close(&mut self, source: &mut impl Source) {
        let idle = !self.receiving.turn.is_awaited() && !self.has_plaintext();
        let awaits_ticket = self.awaits_ticket();
        if !idle || !(self.terms.negotiated.close_notify || awaits_ticket) {
            return;
        }
        let before = self.receiving.records();
        // An error is stored, and reported by the next read.
        let _ = self.take_ticket_and_close(source, awaits_ticket);
        self.tidy();
        self.note_received(before, 0);
    }

    fn take_ticket_and_close(
        &mut self,
        source: &mut impl Source,
        awaits_ticket: bool,
    ) -> io::Result<()> {
        if awaits_ticket && self.window().is_some() {
            self.open_next()?;
        } else if awaits_ticket && self.failure().is_none() && !self.receiving.has_ended() {
            self.read_ticket(source)?;
        }
        if self.awaits_ticket() || !self.terms.negotiated.close_notify {
            return Ok(());
        }
        if self.window().is_some() {
            self.open_next()?;
        } else if self.failure().is_none() && !self.receiving.has_ended() {
            self.read_close(source)?;
        }
        Ok(())
    }

    /// Reads the first frame, if it is the ticket. What else is there, or part of it, waits for the next read.
    fn read_ticket(&mut self, source: &mut impl Source) -> io::Result<()> {
        let mut frame = self.held().arrived.partial.to_vec();
        loop {
            let arrived = frame.len();
            let header = frame.first_chunk().copied();
            let wanted = match (header, &self.held().arrived.late_alert) {
                (None, _) => HEADER_LEN,
                (Some(header), Some(awaited)) => awaited.alert.ticket_len(header).unwrap_or(0),
                (Some(_), None) => 0,
            };
            if arrived >= wanted {
                // More came with the handshake's end, or it is no ticket.
                break;
            }
            frame.resize(wanted, 0);
            let read = source.readable().and_then(|()| source.read(&mut frame[arrived..]));
            frame.truncate(arrived + *read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => break,
                Ok(_) => (),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(self.fail(error)),
            }
        }
        let held = self.held();
        held.arrived.partial = Box::default();
        let header = frame.first_chunk().copied();
        let awaited = held.arrived.late_alert.as_ref();
        let ticket_len = awaited.zip(header).and_then(|(it, header)| it.alert.ticket_len(header));
        match ticket_len.filter(|len| *len <= frame.len()) {
            Some(len) => {
                let rest = frame[len..].into();
                let Some(awaited) = held.arrived.late_alert.take() else { return Ok(()) };
                held.arrived.partial = rest;
                awaited.alert.take_ticket(&frame[..len]).map_err(|error| self.fail(error))
            }
            None => {
                held.arrived.partial = frame.into();
                Ok(())
            }
        }
    }

    fn read_close(&mut self, source: &mut impl Source) -> io::Result<()> {
        let mut record = [0; OVERHEAD];
        let partial = self.held.as_ref().map_or(&[][..], |held| &held.arrived.partial);
        let mut arrived = partial.len();
        let Some(begun) = record.get_mut(..arrived) else { return Ok(()) };
        begun.copy_from_slice(partial);
        while arrived < OVERHEAD {
            let read = source.readable().and_then(|()| source.read(&mut record[arrived..]));
            match read {
                // The next read finds the end again.
                Ok(0) => break,
                Ok(count) => arrived += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(self.fail(error)),
            }
        }
        if Head::parse(&record[..arrived]) != Ok(Head::Record { wire_len: arrived }) {
            if arrived > 0 {
                self.held().arrived.partial = record[..arrived].into();
            }
            return Ok(());
        }
        let aead = self.terms.options.aead;
        let moving = self.moving.get_or_insert_with(|| Moving::resume(&self.keys, aead));
        let counter = &mut self.receiving.counter;
        let (key, _) = moving.opening();
        match open_record(&mut self.keys, counter, key, &mut record, 0..OVERHEAD, HEADER_LEN) {
            Ok(_) => {
                if let Some(held) = &mut self.held {
                    held.arrived.partial = Box::default();
                    held.arrived.late_alert = None;
                }
                self.receiving.state = State::EndedAuthenticated;
                Ok(())
            }
            Err(error) => Err(self.fail(error)),
        }
    }
}
