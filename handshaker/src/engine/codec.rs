//! TLS's presentation language: big-endian integers and vectors with a length in bytes before them.

use crate::error::Error;

/// Reads one message from front to back.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    /// The message, for errors.
    message: &'static str,
}

impl<'a> Reader<'a> {
    pub(super) fn new(message: &'static str, bytes: &'a [u8]) -> Self {
        Self { bytes, message }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes not yet read.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let Some((taken, rest)) = self.bytes.split_at_checked(count) else {
            return Err(self.error("ends too early"));
        };
        self.bytes = rest;
        Ok(taken)
    }

    pub(super) fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.bytes)
    }

    /// [`rest`](Self::rest) of a reader that is not needed any more.
    pub(super) fn into_rest(self) -> &'a [u8] {
        self.bytes
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(super) fn u8(&mut self) -> Result<u8, Error> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(super) fn u16(&mut self) -> Result<u16, Error> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_be_bytes(self.array()?))
    }

    /// A vector with one byte of length.
    pub(super) fn vector8(&mut self) -> Result<Self, Error> {
        let length = self.u8()?;
        Ok(Self { bytes: self.take(length.into())?, message: self.message })
    }

    /// A vector with two bytes of length.
    pub(super) fn vector16(&mut self) -> Result<Self, Error> {
        let length = self.u16()?;
        Ok(Self { bytes: self.take(length.into())?, message: self.message })
    }

    /// Reads elements until nothing is left: at least one, at most `max`.
    pub(super) fn list<T>(
        mut self,
        max: usize,
        mut element: impl FnMut(&mut Self) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut list = Vec::new();
        while !self.is_empty() {
            if list.len() == max {
                return Err(self.error("has a list with too many elements"));
            }
            list.push(element(&mut self)?);
        }
        if list.is_empty() {
            return Err(self.error("has an empty list"));
        }
        Ok(list)
    }

    /// Nothing may be left.
    pub(super) fn finish(self) -> Result<(), Error> {
        if self.is_empty() { Ok(()) } else { Err(self.error("has trailing bytes")) }
    }

    /// The message is not encoded as it should be: `what` is wrong with it.
    pub(super) fn error(&self, what: &str) -> Error {
        Error::decode(format!("{} {what}", self.message))
    }
}

/// Writes a vector with one byte of length. Everything that goes in is bounded by the limits of the protocol.
pub(super) fn vector8(out: &mut Vec<u8>, content: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.push(0);
    content(out);
    let length = u8::try_from(out.len() - at - 1);
    out[at] = length.expect("the protocol's limits keep short vectors under 256 bytes");
}

/// Writes a vector with two bytes of length, see [`vector8`].
pub(super) fn vector16(out: &mut Vec<u8>, content: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; 2]);
    content(out);
    let length =
        u16::try_from(out.len() - at - 2).expect("the protocol's limits keep vectors under 64 KiB");
    out[at..at + 2].copy_from_slice(&length.to_be_bytes());
}

pub(super) fn put_u16(out: &mut Vec<u8>, value: u16) {
    out.extend_from_slice(&value.to_be_bytes());
}

pub(super) fn put_u32(out: &mut Vec<u8>, value: u32) {
    out.extend_from_slice(&value.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_nest() {
        let mut out = Vec::new();
        vector16(&mut out, |out| {
            put_u16(out, 0x0102);
            vector8(out, |out| out.extend_from_slice(b"abc"));
            put_u32(out, 7);
        });
        assert_eq!(out, b"\x00\x0a\x01\x02\x03abc\x00\x00\x00\x07");

        let mut reader = Reader::new("it", &out);
        let mut inner = reader.vector16().unwrap();
        reader.finish().unwrap();
        assert_eq!(inner.u16().unwrap(), 0x0102);
        assert_eq!(inner.vector8().unwrap().rest(), b"abc");
        assert_eq!(inner.u32().unwrap(), 7);
        inner.finish().unwrap();
    }

    #[test]
    fn nothing_is_read_past_the_end() {
        assert_eq!(Reader::new("it", &[1]).u16(), Err(Error::decode("it ends too early")));
        assert!(Reader::new("it", &[2, 0]).vector8().is_err());
        assert!(Reader::new("it", &[0, 2, 0]).vector16().is_err());
        assert!(Reader::new("it", &[0]).finish().is_err());
        assert!(Reader::new("it", &[0xff, 0xff]).vector16().is_err());
    }

    #[test]
    fn lists_have_bounds() {
        let list = |bytes, max| Reader::new("it", bytes).list(max, Reader::u8);
        assert!(list(&[], 3).is_err());
        assert_eq!(list(&[1, 2, 3], 3).unwrap(), [1, 2, 3]);
        assert!(list(&[1, 2, 3, 4], 3).is_err());
    }
}
