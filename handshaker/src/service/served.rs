//! A handshake until its caller may go on with records.
//!
//! Callers take the result as the end of the handshake, and their record layers know nothing but records. So a client that asked for a
//! ticket keeps its result back until the ticket has come, which a server sends behind a full handshake.

use std::time::SystemTime;

use crate::alert::AlertCode;
use crate::engine::Handshake;
use crate::error::Error;
use crate::session::{HandshakeResult, LateAlert, Step};

/// Of every frame.
const HEADER_LEN: usize = 8;

#[derive(Debug)]
pub(super) struct ServedHandshake {
    handshake: Handshake,
    held: Option<Held>,
}

/// A result that is held back, and what has arrived of the frame that it waits for.
#[derive(Debug)]
struct Held {
    result: HandshakeResult,
    awaited: Box<dyn LateAlert>,
    /// At most one frame, whose length was judged by its header.
    frame: Vec<u8>,
}

impl ServedHandshake {
    pub(super) fn new(handshake: Handshake) -> Self {
        Self { handshake, held: None }
    }

    /// As [`Handshake::step`], with a result only when the next byte of the peer is one of a record.
    pub(super) fn step(
        &mut self,
        received: &[u8],
        now: SystemTime,
        out: &mut Vec<u8>,
    ) -> Result<Step, Error> {
        let mut rest = received;
        if self.held.is_none() {
            let Step { consumed, result } = self.handshake.step(received, now, out)?;
            rest = &received[consumed..];
            let Some(mut result) = result else { return Ok(Step { consumed, result: None }) };
            match result.late_alert.take_if(|late| late.awaits_ticket()) {
                Some(awaited) => self.held = Some(Held { result, awaited, frame: Vec::new() }),
                None => return Ok(Step { consumed, result: Some(result) }),
            }
        }
        let result = self.release(&mut rest)?;
        Ok(Step { consumed: received.len() - rest.len(), result })
    }

    /// Takes what is still missing of the frame, and gives the result if it is the ticket.
    fn release(&mut self, rest: &mut &[u8]) -> Result<Option<HandshakeResult>, Error> {
        let Some(held) = &mut self.held else { return Ok(None) };
        held.fill(rest, HEADER_LEN);
        let Some(header) = held.frame.first_chunk().copied() else { return Ok(None) };
        let ticket_len = held.awaited.ticket_len(header);
        let frame_len = ticket_len.or_else(|| held.awaited.frame_len(header)).ok_or_else(|| {
            Error::peer(
                AlertCode::UnexpectedMessage,
                "neither the ticket that the server announced nor an alert",
            )
        })?;
        held.fill(rest, frame_len);
        if held.frame.len() < frame_len {
            return Ok(None);
        }
        let Some(Held { result, awaited, frame }) = self.held.take() else { return Ok(None) };
        if ticket_len.is_none() {
            let (code, reason) = awaited.open(&frame)?;
            return Err(Error::Alert { code, reason, sealed: true });
        }
        awaited.take_ticket(&frame)?;
        Ok(Some(result))
    }
}

impl Held {
    /// Takes from `rest` until there are so many bytes.
    fn fill(&mut self, rest: &mut &[u8], len: usize) {
        let missing = len.saturating_sub(self.frame.len());
        let (taken, left) = rest.split_at(missing.min(rest.len()));
        self.frame.extend_from_slice(taken);
        *rest = left;
    }
}
