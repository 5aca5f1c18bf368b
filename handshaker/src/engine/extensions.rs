//! Extensions: how later versions add to messages.

use super::codec::{Reader, put_u16, vector16};
use super::protocol::{EXTENSION_CLOSE_NOTIFY, EXTENSION_CRITICAL, EXTENSION_RESUMPTION};
use crate::alert::AlertCode;
use crate::error::Error;

/// The data that resumption has in one message.
pub(super) trait Form<'a>: Sized {
    fn load(reader: Reader<'a>) -> Result<Self, Error>;

    fn encode(&self, out: &mut Vec<u8>);
}

/// `extensions<u16>: {u16 type, data<u16>}*`, strictly ascending by type; the critical bit is part of the type. `R` is the
/// form that resumption has in the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Extensions<'a, R> {
    resumption: Option<R>,
    others: Vec<(u16, &'a [u8])>,
}

impl<R> Default for Extensions<'_, R> {
    fn default() -> Self {
        Self { resumption: None, others: Vec::new() }
    }
}

/// What was offered to the side that answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Offered {
    pub(super) close_notify: bool,
    pub(super) resumption: bool,
}

impl<'a, R: Form<'a>> Extensions<'a, R> {
    /// The extensions that this side knows.
    pub(super) fn ours(close_notify: bool, resumption: Option<R>) -> Self {
        let others =
            if close_notify { vec![(EXTENSION_CLOSE_NOTIFY, &[][..])] } else { Vec::new() };
        Self { resumption, others }
    }

    pub(super) fn load(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut reader = reader.vector16()?;
        let mut extensions = Self::default();
        let mut last = None;
        while !reader.is_empty() {
            let kind = reader.u16()?;
            let data = reader.vector16()?;
            if last.is_some_and(|last| last >= kind) {
                return Err(reader.error("has extensions out of order"));
            }
            last = Some(kind);
            // Critical types come last, so their plain twins are already there.
            let plain = kind & !EXTENSION_CRITICAL;
            if kind != plain && extensions.has(plain) {
                return Err(Error::illegal(format!("extension {plain:#06x} occurs twice")));
            }
            match kind {
                EXTENSION_RESUMPTION => extensions.resumption = Some(R::load(data)?),
                EXTENSION_CLOSE_NOTIFY if !data.is_empty() => {
                    return Err(reader.error("has a close_notify extension that is not empty"));
                }
                _ => extensions.others.push((kind, data.into_rest())),
            }
        }
        Ok(extensions)
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let split = self.others.partition_point(|&(kind, _)| kind < EXTENSION_RESUMPTION);
        let (before, after) = self.others.split_at(split);
        let plain = |out: &mut Vec<u8>, others: &[(u16, &[u8])]| {
            for &(kind, data) in others {
                put_u16(out, kind);
                vector16(out, |out| out.extend_from_slice(data));
            }
        };
        vector16(out, |out| {
            plain(out, before);
            if let Some(resumption) = &self.resumption {
                put_u16(out, EXTENSION_RESUMPTION);
                vector16(out, |out| resumption.encode(out));
            }
            plain(out, after);
        });
    }

    fn has(&self, kind: u16) -> bool {
        match kind {
            EXTENSION_RESUMPTION => self.resumption.is_some(),
            // They are in order.
            _ => self.others.binary_search_by_key(&kind, |&(other, _)| other).is_ok(),
        }
    }

    pub(super) fn close_notify(&self) -> bool {
        self.has(EXTENSION_CLOSE_NOTIFY)
    }

    pub(super) fn resumption(&self) -> Option<&R> {
        self.resumption.as_ref()
    }

    /// Of an offer: what is unknown is skipped, unless the peer says that it must not be.
    pub(super) fn check_offer(&self) -> Result<(), Error> {
        match self.others.iter().find(|&&(kind, _)| kind & EXTENSION_CRITICAL != 0) {
            Some(&(kind, _)) => Err(unsupported(kind)),
            None => Ok(()),
        }
    }

    /// Of an answer: it may hold only what was offered.
    pub(super) fn check_answer(&self, offered: Offered) -> Result<(), Error> {
        self.check_offer()?;
        let mut kinds = self.others.iter().map(|&(kind, _)| kind);
        let surplus = kinds
            .find(|&kind| kind != EXTENSION_CLOSE_NOTIFY || !offered.close_notify)
            .or((self.resumption.is_some() && !offered.resumption).then_some(EXTENSION_RESUMPTION));
        match surplus {
            Some(kind) => Err(Error::illegal(format!("extension {kind:#06x} was not offered"))),
            None => Ok(()),
        }
    }
}

/// Not a fault of the peer's, which may be of a later version.
fn unsupported(kind: u16) -> Error {
    Error::incompatible(
        AlertCode::UnsupportedExtension,
        format!("critical extension {kind:#06x} is unknown"),
    )
}

#[cfg(test)]
mod tests {
    use super::super::resumption::Yes;
    use super::*;

    fn load(bytes: &[u8]) -> Result<Extensions<'_, Yes>, AlertCode> {
        let mut reader = Reader::new("it", bytes);
        let extensions = Extensions::load(&mut reader).map_err(|error| error.alert().unwrap())?;
        reader.finish().unwrap();
        Ok(extensions)
    }

    fn of(kinds: &[u16]) -> Extensions<'static, Yes> {
        let mut extensions = Extensions::default();
        for &kind in kinds {
            match kind {
                EXTENSION_RESUMPTION => extensions.resumption = Some(Yes),
                kind => extensions.others.push((kind, &b"x"[..usize::from(kind != 1)])),
            }
        }
        extensions
    }

    #[test]
    fn round_trip() {
        for ours in [of(&[]), of(&[1]), of(&[9]), of(&[0x10]), of(&[1, 9, 0x10, 0x11, 0x8009 + 1])]
        {
            let mut out = Vec::new();
            ours.encode(&mut out);
            assert_eq!(load(&out).unwrap(), ours);
        }
        assert_eq!(Extensions::ours(true, None), of(&[1]));
        assert_eq!(Extensions::ours(false, Some(Yes)), of(&[0x10]));
    }

    #[test]
    fn order_and_twins() {
        assert!(load(&[0, 8, 0, 1, 0, 0, 0, 2, 0, 0]).is_ok());
        for plain in [1, 0x10] {
            let twice = |one: [u8; 2], other: [u8; 2]| {
                load(&[0, 8, one[0], one[1], 0, 0, other[0], other[1], 0, 0]).map(|_| ())
            };
            assert_eq!(twice([0, plain + 1], [0, plain]), Err(AlertCode::DecodeError));
            assert_eq!(twice([0, plain], [0, plain]), Err(AlertCode::DecodeError));
            assert_eq!(twice([0, plain], [0x80, plain]), Err(AlertCode::IllegalParameter));
            assert_eq!(twice([0, plain], [0x80, plain + 1]), Ok(()));
            assert_eq!(twice([0x80, plain], [0, plain + 1]), Err(AlertCode::DecodeError));
        }
    }

    #[test]
    fn close_notify_and_resumption_are_empty() {
        assert!(load(&[0, 4, 0, 1, 0, 0]).unwrap().close_notify());
        assert_eq!(load(&[0, 5, 0, 1, 0, 1, 0]), Err(AlertCode::DecodeError));
        assert_eq!(load(&[0, 4, 0, 0x10, 0, 0]).unwrap().resumption(), Some(&Yes));
        assert_eq!(load(&[0, 5, 0, 0x10, 0, 1, 0]), Err(AlertCode::DecodeError));
    }

    #[test]
    fn what_is_unknown() {
        let code = |result: Result<(), Error>| result.map_err(|error| error.alert().unwrap());
        let all = Offered { close_notify: true, resumption: true };
        let plain = of(&[1, 0x7fff]);
        assert_eq!(code(plain.check_offer()), Ok(()));
        assert_eq!(code(plain.check_answer(all)), Err(AlertCode::IllegalParameter));
        for unknown in [0x8002, 0x8010] {
            let critical = of(&[1, unknown]);
            assert_eq!(code(critical.check_offer()), Err(AlertCode::UnsupportedExtension));
            assert_eq!(code(critical.check_answer(all)), Err(AlertCode::UnsupportedExtension));
            assert!(matches!(critical.check_offer(), Err(Error::Incompatible { .. })));
        }
        let (close_notify, resumption) = (of(&[1]), of(&[0x10]));
        let illegal = Err(AlertCode::IllegalParameter);
        assert_eq!(code(close_notify.check_answer(all)), Ok(()));
        assert_eq!(code(resumption.check_answer(all)), Ok(()));
        assert_eq!(
            code(close_notify.check_answer(Offered { close_notify: false, ..all })),
            illegal
        );
        assert_eq!(code(resumption.check_answer(Offered { resumption: false, ..all })), illegal);
    }
}
