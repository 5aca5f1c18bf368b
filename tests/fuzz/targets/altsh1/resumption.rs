//! Sections 5.3 and 7: what resumption adds to messages, read a second time.

use super::code::{DECODE_ERROR, ILLEGAL_PARAMETER};
use super::messages::{Body, Out};

/// Extension `0x0010` of a `ClientInit`.
pub(crate) struct Offer<'a> {
    pub(crate) want: bool,
    pub(crate) ticket: &'a [u8],
    /// 32 bytes with a ticket, none without.
    pub(crate) binder: &'a [u8],
}

impl<'a> Offer<'a> {
    pub(crate) fn read(data: &'a [u8]) -> Result<Self, u16> {
        let body = &mut Body::new(data);
        let flags = body.number(1)?;
        if flags > 1 {
            return Err(ILLEGAL_PARAMETER);
        }
        let (ticket, binder) = (ticket(body)?, body.vector(1)?);
        body.end()?;
        match (flags, ticket.len(), binder.len()) {
            (0, 0, 0) => Err(ILLEGAL_PARAMETER),
            (_, 0, 0) | (_, 1.., 32) => Ok(Self { want: flags == 1, ticket, binder }),
            _ => Err(DECODE_ERROR),
        }
    }
}

/// A lifetime with a ticket, or neither.
pub(crate) struct NewTicket<'a> {
    pub(crate) lifetime: u32,
    pub(crate) ticket: &'a [u8],
}

impl<'a> NewTicket<'a> {
    /// `fault` is that of a lifetime that does not fit.
    fn read(body: &mut Body<'a>, fault: u16) -> Result<Self, u16> {
        let new = Self { lifetime: body.number(4)?, ticket: ticket(body)? };
        let end = body.end().is_ok();
        let fits = match new.ticket.is_empty() {
            true => new.lifetime == 0,
            false => (1..=86_400).contains(&new.lifetime),
        };
        match (fault, end, fits) {
            // As an extension it ends there.
            (ILLEGAL_PARAMETER, false, _) => Err(DECODE_ERROR),
            (_, _, true) => Ok(new),
            _ => Err(fault),
        }
    }

    /// The plaintext of a `Ticket` frame.
    pub(crate) fn read_frame(plaintext: &'a [u8]) -> Result<Self, u16> {
        let body = &mut Body::new(plaintext);
        let new = Self::read(body, DECODE_ERROR)?;
        body.padding()?;
        Ok(new)
    }
}

fn ticket<'a>(body: &mut Body<'a>) -> Result<&'a [u8], u16> {
    let ticket = body.vector(2)?;
    if ticket.len() > 1_024 { Err(DECODE_ERROR) } else { Ok(ticket) }
}

/// The `ServerFinished` of a resumed handshake, of which only what resumption adds is looked at.
pub(crate) struct ShortServerFinished<'a> {
    pub(crate) new: Option<NewTicket<'a>>,
    pub(crate) statement: &'a [u8],
    pub(crate) mac: &'a [u8],
}

impl<'a> ShortServerFinished<'a> {
    pub(crate) fn read(plaintext: &'a [u8]) -> Result<Self, u16> {
        let body = &mut Body::new(plaintext);
        body.vector(1)?;
        body.vector(1)?;
        // RPC versions and the largest record.
        body.take(20)?;
        body.vector(1)?;
        let extensions = &mut Body::new(body.vector(2)?);
        let mut new = None;
        while extensions.end().is_err() {
            let kind = extensions.number(2)?;
            let data = extensions.vector(2)?;
            if kind == 0x10 {
                new = Some(NewTicket::read(&mut Body::new(data), ILLEGAL_PARAMETER)?);
            }
        }
        let statement = &plaintext[..body.at()];
        let mac = body.take(32)?;
        body.padding()?;
        Ok(Self { new, statement, mac })
    }
}

/// Writes what [`NewTicket`] reads.
pub(crate) fn new_ticket(lifetime: u32, ticket: &[u8]) -> Vec<u8> {
    let mut out = Out::default();
    out.number(4, lifetime).vector(2, ticket);
    out.0
}
