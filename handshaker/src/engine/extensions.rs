//! Extensions: how later versions add to messages.

use super::codec::{Reader, put_u16, vector16};
use super::protocol::{EXTENSION_CLOSE_NOTIFY, EXTENSION_CRITICAL};
use crate::alert::AlertCode;
use crate::error::Error;

/// `extensions<u16>: {u16 type, data<u16>}*`, strictly ascending by type; the critical bit is part of the type.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Extensions<'a>(Vec<(u16, &'a [u8])>);

impl<'a> Extensions<'a> {
    /// The extensions that this side knows: one.
    pub(super) fn ours(close_notify: bool) -> Self {
        Self(if close_notify { vec![(EXTENSION_CLOSE_NOTIFY, &[])] } else { Vec::new() })
    }

    pub(super) fn load(reader: &mut Reader<'a>) -> Result<Self, Error> {
        let mut reader = reader.vector16()?;
        let mut extensions: Vec<(u16, &[u8])> = Vec::new();
        while !reader.is_empty() {
            let kind = reader.u16()?;
            let data = reader.vector16()?.rest();
            if extensions.last().is_some_and(|&(last, _)| last >= kind) {
                return Err(reader.error("has extensions out of order"));
            }
            // Critical types come last, so their plain twins are already in the list, which is sorted.
            let plain = kind & !EXTENSION_CRITICAL;
            if kind != plain && extensions.binary_search_by_key(&plain, |&(other, _)| other).is_ok()
            {
                return Err(Error::illegal(format!("extension {plain:#06x} occurs twice")));
            }
            if kind == EXTENSION_CLOSE_NOTIFY && !data.is_empty() {
                return Err(reader.error("has a close_notify extension that is not empty"));
            }
            extensions.push((kind, data));
        }
        Ok(Self(extensions))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        vector16(out, |out| {
            for &(kind, data) in &self.0 {
                put_u16(out, kind);
                vector16(out, |out| out.extend_from_slice(data));
            }
        });
    }

    pub(super) fn close_notify(&self) -> bool {
        self.0.iter().any(|&(kind, _)| kind == EXTENSION_CLOSE_NOTIFY)
    }

    /// Of an offer: what is unknown is skipped, unless the peer says that it must not be.
    pub(super) fn check_offer(&self) -> Result<(), Error> {
        match self.0.iter().find(|&&(kind, _)| kind & EXTENSION_CRITICAL != 0) {
            Some(&(kind, _)) => Err(unsupported(kind)),
            None => Ok(()),
        }
    }

    /// Of an answer: it may hold only what was offered.
    pub(super) fn check_answer(&self, close_notify_offered: bool) -> Result<(), Error> {
        self.check_offer()?;
        let offered = |kind| kind == EXTENSION_CLOSE_NOTIFY && close_notify_offered;
        match self.0.iter().find(|&&(kind, _)| !offered(kind)) {
            Some((kind, _)) => {
                Err(Error::illegal(format!("extension {kind:#06x} was not offered")))
            }
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
    use super::*;

    fn load(bytes: &[u8]) -> Result<Extensions<'_>, AlertCode> {
        let mut reader = Reader::new("it", bytes);
        let extensions = Extensions::load(&mut reader).map_err(|error| error.alert().unwrap())?;
        reader.finish().unwrap();
        Ok(extensions)
    }

    #[test]
    fn round_trip() {
        for ours in [Extensions::ours(true), Extensions::ours(false), Extensions(vec![(9, b"x")])] {
            let mut out = Vec::new();
            ours.encode(&mut out);
            assert_eq!(load(&out).unwrap(), ours);
        }
    }

    #[test]
    fn order_and_twins() {
        assert!(load(&[0, 8, 0, 1, 0, 0, 0, 2, 0, 0]).is_ok());
        assert_eq!(load(&[0, 8, 0, 2, 0, 0, 0, 1, 0, 0]), Err(AlertCode::DecodeError));
        assert_eq!(load(&[0, 8, 0, 1, 0, 0, 0, 1, 0, 0]), Err(AlertCode::DecodeError));
        assert_eq!(load(&[0, 8, 0, 1, 0, 0, 0x80, 1, 0, 0]), Err(AlertCode::IllegalParameter));
        assert!(load(&[0, 8, 0, 1, 0, 0, 0x80, 2, 0, 0]).is_ok());
        assert_eq!(load(&[0, 8, 0x80, 1, 0, 0, 0, 2, 0, 0]), Err(AlertCode::DecodeError));
    }

    #[test]
    fn close_notify_is_empty() {
        assert!(load(&[0, 4, 0, 1, 0, 0]).unwrap().close_notify());
        assert_eq!(load(&[0, 5, 0, 1, 0, 1, 0]), Err(AlertCode::DecodeError));
    }

    #[test]
    fn what_is_unknown() {
        let code = |result: Result<(), Error>| result.map_err(|error| error.alert().unwrap());
        let plain = Extensions(vec![(1, &[]), (0x7fff, &[])]);
        assert_eq!(code(plain.check_offer()), Ok(()));
        assert_eq!(code(plain.check_answer(true)), Err(AlertCode::IllegalParameter));
        let critical = Extensions(vec![(1, &[]), (0x8002, &[])]);
        assert_eq!(code(critical.check_offer()), Err(AlertCode::UnsupportedExtension));
        assert_eq!(code(critical.check_answer(true)), Err(AlertCode::UnsupportedExtension));
        assert!(matches!(critical.check_offer(), Err(Error::Incompatible { .. })));
        assert_eq!(code(Extensions::ours(true).check_answer(true)), Ok(()));
        assert_eq!(
            code(Extensions::ours(true).check_answer(false)),
            Err(AlertCode::IllegalParameter)
        );
    }
}
