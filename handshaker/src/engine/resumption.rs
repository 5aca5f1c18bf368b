//! Resumption on the wire: the forms that extension `0x0010` has in each message, and what a `Ticket` frame holds.

use super::codec::{Reader, put_u32, vector8, vector16};
use super::extensions::Form;
use super::padding;
use super::protocol::{HASH_LEN, MAX_LIFETIME, MAX_TICKET};
use crate::error::Error;

/// The client can take a ticket.
const WANT: u8 = 1;

/// `flags u8 | ticket<u16> | binder<u8>`, in `ClientInit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Offer<'a> {
    pub(super) want: bool,
    pub(super) ticket: Option<OfferedTicket<'a>>,
}

/// A ticket, and what shows that the client has its secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OfferedTicket<'a> {
    pub(super) ticket: &'a [u8],
    pub(super) binder: &'a [u8; HASH_LEN],
}

impl<'a> Form<'a> for Offer<'a> {
    fn load(mut reader: Reader<'a>) -> Result<Self, Error> {
        let flags = reader.u8()?;
        if flags & !WANT != 0 {
            return Err(Error::illegal(format!("unknown flags of resumption: {flags:#04x}")));
        }
        let want = flags & WANT != 0;
        let ticket = load_ticket(&mut reader)?;
        let binder = reader.vector8()?.rest();
        reader.finish()?;
        let ticket = match (ticket, binder) {
            ([], []) if want => None,
            ([], []) => {
                return Err(Error::illegal("resumption neither offers nor wants a ticket"));
            }
            ([], _) => return Err(reader.error("has a binder without a ticket")),
            (ticket, binder) => {
                let binder = binder.try_into().map_err(|_| {
                    reader.error("has a ticket with a binder that is not 32 bytes long")
                })?;
                Some(OfferedTicket { ticket, binder })
            }
        };
        Ok(Self { want, ticket })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(if self.want { WANT } else { 0 });
        let (ticket, binder) = match &self.ticket {
            Some(offered) => (offered.ticket, &offered.binder[..]),
            None => (&[][..], &[][..]),
        };
        vector16(out, |out| out.extend_from_slice(ticket));
        vector8(out, |out| out.extend_from_slice(binder));
    }
}

/// Empty. In `ServerInit`: the ticket is accepted. In the `ServerFinished` of a full handshake: a `Ticket` will follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Yes;

impl<'a> Form<'a> for Yes {
    fn load(reader: Reader<'a>) -> Result<Self, Error> {
        match reader.is_empty() {
            true => Ok(Self),
            false => Err(reader.error("has a resumption extension that is not empty")),
        }
    }

    fn encode(&self, _out: &mut Vec<u8>) {}
}

/// In `ClientFinished`, which nothing is offered to: the extension has no form there, and no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Misplaced;

impl<'a> Form<'a> for Misplaced {
    fn load(_reader: Reader<'a>) -> Result<Self, Error> {
        Ok(Self)
    }

    fn encode(&self, _out: &mut Vec<u8>) {}
}

/// `lifetime u32 | ticket<u16>`, in the `ServerFinished` of a resumed handshake and in a `Ticket` frame. Both are 0 if the
/// server has no ticket to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NewTicket<'a> {
    /// Seconds.
    pub(super) lifetime: u32,
    pub(super) ticket: &'a [u8],
}

impl<'a> NewTicket<'a> {
    pub(super) const NONE: Self = Self { lifetime: 0, ticket: &[] };

    fn load_fields(reader: &mut Reader<'a>) -> Result<Self, Error> {
        Ok(Self { lifetime: reader.u32()?, ticket: load_ticket(reader)? })
    }

    fn is_consistent(&self) -> bool {
        match self.ticket {
            [] => self.lifetime == 0,
            _ => (1..=MAX_LIFETIME).contains(&self.lifetime),
        }
    }

    /// The plaintext of a `Ticket` frame.
    pub(super) fn load_frame(plaintext: &'a [u8]) -> Result<Self, Error> {
        let reader = &mut Reader::new("Ticket", plaintext);
        let ticket = Self::load_fields(reader)?;
        padding::load(reader, plaintext.len())?;
        match ticket.is_consistent() {
            true => Ok(ticket),
            false => Err(reader.error("has a lifetime that does not fit its ticket")),
        }
    }

    pub(super) fn encode_frame(&self, out: &mut Vec<u8>) {
        self.encode(out);
        padding::encode(out);
    }
}

impl<'a> Form<'a> for NewTicket<'a> {
    fn load(mut reader: Reader<'a>) -> Result<Self, Error> {
        let ticket = Self::load_fields(&mut reader)?;
        reader.finish()?;
        match ticket.is_consistent() {
            true => Ok(ticket),
            false => Err(Error::illegal("a ticket has a lifetime that does not fit it")),
        }
    }

    fn encode(&self, out: &mut Vec<u8>) {
        put_u32(out, self.lifetime);
        vector16(out, |out| out.extend_from_slice(self.ticket));
    }
}

fn load_ticket<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Error> {
    let ticket = reader.vector16()?.rest();
    if ticket.len() > MAX_TICKET {
        return Err(reader.error("has a ticket of more than 1,024 bytes"));
    }
    Ok(ticket)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::AlertCode::{self, DecodeError, IllegalParameter};
    use crate::engine::protocol::PADDING_UNIT;

    fn load<'a, F: Form<'a>>(bytes: &'a [u8]) -> Result<F, AlertCode> {
        F::load(Reader::new("it", bytes)).map_err(|error| error.alert().unwrap())
    }

    fn encoded<'a>(form: &impl Form<'a>) -> Vec<u8> {
        let mut out = Vec::new();
        form.encode(&mut out);
        out
    }

    #[test]
    fn offers() {
        let long = [7; MAX_TICKET];
        for want in [true, false] {
            for ticket in [&b"t"[..], &long] {
                let offered = OfferedTicket { ticket, binder: &[9; HASH_LEN] };
                let offer = Offer { want, ticket: Some(offered) };
                assert_eq!(load::<Offer<'_>>(&encoded(&offer)), Ok(offer));
            }
        }
        let want = Offer { want: true, ticket: None };
        assert_eq!(encoded(&want), [1, 0, 0, 0]);
        assert_eq!(load::<Offer<'_>>(&[1, 0, 0, 0]), Ok(want));
    }

    #[test]
    fn offers_that_are_refused() {
        let refused = |bytes: &[u8]| load::<Offer<'_>>(bytes).unwrap_err();
        let with = |ticket: usize, binder: usize| {
            let mut out = vec![1];
            vector16(&mut out, |out| out.resize(3 + ticket, 5));
            vector8(&mut out, |out| out.resize(out.len() + binder, 6));
            out
        };
        assert!(load::<Offer<'_>>(&with(1_024, 32)).is_ok());
        assert_eq!(refused(&with(1_025, 32)), DecodeError);
        for binder in [0, 1, 31, 33, 64] {
            assert_eq!(refused(&with(20, binder)), DecodeError, "{binder}");
        }
        assert_eq!(refused(&with(0, 32)), DecodeError);
        assert_eq!(refused(&with(0, 1)), DecodeError);
        assert_eq!(refused(&[0, 0, 0, 0]), IllegalParameter);
        for flags in [2, 3, 0x80, 0xff] {
            assert_eq!(refused(&[flags, 0, 0, 0]), IllegalParameter);
            // The first fault counts.
            assert_eq!(refused(&[flags, 0]), IllegalParameter);
        }
        let mut trailing = with(20, 32);
        trailing.push(0);
        assert_eq!(refused(&trailing), DecodeError);
        let whole = with(20, 32);
        for at in 0..whole.len() {
            assert_eq!(refused(&whole[..at]), DecodeError, "{at}");
        }
    }

    #[test]
    fn answers_without_content() {
        assert_eq!(load::<Yes>(&[]), Ok(Yes));
        assert_eq!(load::<Yes>(&[0]), Err(DecodeError));
        assert!(encoded(&Yes).is_empty());
    }

    #[test]
    fn new_tickets() {
        for (lifetime, length, expected) in [
            (0, 0, Ok(())),
            (1, 1, Ok(())),
            (86_400, 1_024, Ok(())),
            (0, 1, Err(IllegalParameter)),
            (1, 0, Err(IllegalParameter)),
            (86_401, 1, Err(IllegalParameter)),
            (u32::MAX, 1, Err(IllegalParameter)),
            (1, 1_025, Err(DecodeError)),
        ] {
            let bytes = vec![3; length];
            let ticket = NewTicket { lifetime, ticket: &bytes };
            let message = encoded(&ticket);
            let loaded = load::<NewTicket<'_>>(&message);
            assert_eq!(loaded, expected.map(|()| ticket), "{lifetime}, {length}");

            let mut plaintext = Vec::new();
            ticket.encode_frame(&mut plaintext);
            assert_eq!(plaintext.len() % PADDING_UNIT, 0);
            let loaded = NewTicket::load_frame(&plaintext);
            match expected {
                Ok(()) => assert_eq!(loaded, Ok(ticket)),
                // A frame of its own has one code.
                Err(_) => assert_eq!(loaded.unwrap_err().alert(), Some(DecodeError)),
            }
        }
        let mut trailing = encoded(&NewTicket::NONE);
        trailing.push(0);
        assert_eq!(load::<NewTicket<'_>>(&trailing), Err(DecodeError));
        let mut plaintext = Vec::new();
        NewTicket::NONE.encode_frame(&mut plaintext);
        for at in 0..plaintext.len() {
            assert!(NewTicket::load_frame(&plaintext[..at]).is_err(), "{at}");
            let mut changed = plaintext.clone();
            changed[at] ^= 1;
            assert!(NewTicket::load_frame(&changed).is_err(), "{at}");
        }
    }
}
