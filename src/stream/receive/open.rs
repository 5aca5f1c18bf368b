//! From received bytes to plaintext, without the socket.

use std::io;

use alts_handshaker::RecordProtocol;

use super::{Receiving, State};
use crate::error::{Error, Truncation};
use crate::record::{HEADER_LEN, Head, RECORD_TYPE, RecordError, open_record};
use crate::stream::channel::{Channel, Direction, MAX_PLAIN_RECORDS};
use crate::stream::window::Window;

impl<S: Direction> Channel<Receiving, S> {
    /// Opens the next record, if all of it has arrived. An empty one is the peer's close if that was negotiated; otherwise it
    /// is skipped, and the result is `true` as well.
    #[inline]
    pub(super) fn open_next(&mut self) -> io::Result<bool> {
        // Each message asks three times, and mostly there is nothing.
        let is_drained = |window: &mut Window| window.sealed().is_empty();
        if self.window().is_none_or(is_drained) { Ok(false) } else { self.open_received() }
    }

    #[inline(never)]
    fn open_received(&mut self) -> io::Result<bool> {
        if self.awaits_ticket() {
            return self.take_first_frame();
        }
        let protocol = self.keys.protocol();
        let Some(moving) = self.moving.as_mut() else { return Ok(false) };
        let (key, Some(window)) = moving.opening() else { return Ok(false) };
        let record = match window.next_record() {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(false),
            Err(error) => return self.refuse(error),
        };
        let counter = &mut self.receiving.counter;
        if protocol == RecordProtocol::Aes128Gcm && counter.records() >= MAX_PLAIN_RECORDS {
            return Err(self.fail(RecordError::KeyExhausted));
        }
        let opened = window.open_next(record, |buffer, record, to| {
            open_record(&mut self.keys, counter, key, buffer, record, to)
        });
        let count = match opened {
            Ok(count) => count,
            Err(error) => return Err(self.fail(error)),
        };
        let trailing = !window.sealed().is_empty();
        if let Some(held) = &mut self.held {
            held.arrived.late_alert = None;
            // What is left is part of another record.
            held.arrived.stall = None;
        }
        if count == 0 && self.terms.negotiated.close_notify {
            if trailing {
                return Err(self.fail(RecordError::AfterClose));
            }
            self.receiving.state = State::EndedAuthenticated;
            return Ok(false);
        }
        Ok(true)
    }

    /// The server announced a ticket: that comes first, or its alert.
    fn take_first_frame(&mut self) -> io::Result<bool> {
        let sealed = self.window().map_or(&[][..], |window| window.sealed());
        match Head::parse(sealed) {
            Ok(Head::Record { .. }) if sealed.len() >= HEADER_LEN => {
                Err(self.fail(RecordError::WrongType { found: RECORD_TYPE }))
            }
            Ok(_) => Ok(false),
            Err(error) => self.refuse(error),
        }
    }

    /// Handles a frame that is not a record. In place of the first record a client may find the server's alert about its
    /// certificate, or the ticket that the server announced. `Ok(false)` if more of it has to arrive, `Ok(true)` after the ticket.
    fn refuse(&mut self, error: RecordError) -> io::Result<bool> {
        let alert = self.held.as_mut().and_then(|held| held.arrived.late_alert.take());
        let Some(alert) = alert else { return Err(self.fail(error)) };
        let sealed = self.window().map_or(&[][..], |window| window.sealed());
        let ticket_len = sealed.first_chunk().and_then(|header| alert.alert.ticket_len(*header));
        if let Some(frame_len) = ticket_len
            && sealed.len() >= frame_len
        {
            return match alert.alert.take_ticket(&sealed[..frame_len]) {
                Ok(()) => {
                    if let Some(window) = self.window() {
                        window.skip(frame_len);
                    }
                    Ok(true)
                }
                Err(error) => Err(self.fail(error)),
            };
        }
        let alert_len = sealed.first_chunk().and_then(|header| alert.alert.frame_len(*header));
        match alert_len.or(ticket_len) {
            Some(frame_len) if sealed.len() < frame_len => {
                self.held().arrived.late_alert = Some(alert);
                Ok(false)
            }
            Some(frame_len) => match alert.alert.open(&sealed[..frame_len]) {
                Ok((code, reason)) => {
                    let alert = alts_handshaker::Error::Alert { code, reason, sealed: true };
                    Err(self.fail(alert))
                }
                Err(_) => Err(self.fail(error)),
            },
            None => Err(self.fail(error)),
        }
    }

    /// The socket reported the end.
    pub(super) fn end_of_stream(&mut self) -> io::Result<()> {
        let partial = self.held.as_ref().is_some_and(|held| !held.arrived.partial.is_empty())
            || self.window().is_some_and(|window| !window.sealed().is_empty());
        if self.awaits_ticket() {
            return Err(self.fail(Error::Truncated { at: Truncation::Handshake }));
        }
        if partial {
            return Err(self.fail(Error::Truncated { at: Truncation::Record }));
        }
        if self.terms.negotiated.close_notify {
            return Err(self.fail(Error::Truncated { at: Truncation::MissingClose }));
        }
        self.receiving.state = State::Ended;
        Ok(())
    }

    /// Whether plaintext or a whole record has arrived.
    #[cfg(feature = "tokio")]
    pub(super) fn has_received(&self) -> bool {
        let window = self.moving.as_ref().and_then(|moving| moving.window.as_ref());
        window.is_some_and(|window| {
            !window.plaintext().is_empty() || self.is_decided(window.sealed())
        }) || self.partial_is_whole()
    }

    /// Part of a record can be whole records when it came with the end of the handshake.
    #[inline]
    pub(super) fn partial_is_whole(&self) -> bool {
        self.held.as_ref().is_some_and(|held| self.is_decided(&held.arrived.partial))
    }

    /// Whether `sealed` begins with a whole record, or with bytes that cannot become one.
    fn is_decided(&self, sealed: &[u8]) -> bool {
        match Head::parse(sealed) {
            Ok(Head::Record { wire_len }) => {
                wire_len <= sealed.len() || (self.awaits_ticket() && sealed.len() >= HEADER_LEN)
            }
            Ok(Head::Unknown) => false,
            Err(_) => {
                let awaited = self.held.as_ref().and_then(|held| held.arrived.late_alert.as_ref());
                let frame_len = awaited
                    .zip(sealed.first_chunk())
                    .and_then(|(awaited, header)| awaited.frame_len(*header));
                frame_len.is_none_or(|frame_len| frame_len <= sealed.len())
            }
        }
    }
}
