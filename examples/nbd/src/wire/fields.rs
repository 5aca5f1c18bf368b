//! Fields one after another in a slice.

use super::{MAX_STRING, Malformed};

/// What is left of a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn bytes(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Malformed::Length)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(Malformed::Length)?;
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    /// A string of `len` bytes.
    pub(super) fn string(&mut self, len: usize) -> Result<&'a str, Malformed> {
        self.bytes(len).and_then(text)
    }

    /// A string whose length, a `u32`, comes first.
    pub(super) fn long_string(&mut self) -> Result<&'a str, Malformed> {
        let len = self.u32()?;
        self.string(usize::try_from(len).map_err(|_| Malformed::Length)?)
    }

    /// All that is left.
    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }

    pub(super) fn end(self) -> Result<(), Malformed> {
        self.0.is_empty().then_some(()).ok_or(Malformed::Length)
    }
}

/// Checks a string of the protocol.
pub(super) fn text(bytes: &[u8]) -> Result<&str, Malformed> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.len() <= MAX_STRING && !text.contains('\0') => Ok(text),
        _ => Err(Malformed::String),
    }
}

/// Splits an array of the size of a fixed message into its fields. The sizes are constants, so it cannot fail.
macro_rules! split {
    ($bytes:expr => $($name:ident : $type:ty),+) => {
        let rest: &[u8] = $bytes;
        $(
            let (field, rest) = rest.split_at(size_of::<$type>());
            let $name = <$type>::from_be_bytes(field.try_into().expect("just split to this size"));
        )+
        debug_assert!(rest.is_empty());
    };
}

/// Joins fields into the array of a fixed message.
macro_rules! join {
    ($($field:expr),+ => $len:expr) => {{
        let mut bytes = [0_u8; $len];
        let mut at = 0;
        $(
            let field = $field.to_be_bytes();
            bytes[at..at + field.len()].copy_from_slice(&field);
            at += field.len();
        )+
        debug_assert_eq!(at, $len);
        bytes
    }};
}

pub(super) use {join, split};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_end_where_the_message_does() {
        let mut fields = Fields::new(&[0, 1, 0, 0, 0, 2, b'a', b'b', 9]);
        assert_eq!(fields.u16(), Ok(1));
        assert_eq!(fields.long_string(), Ok("ab"));
        assert_eq!(fields.u16(), Err(Malformed::Length));
        assert_eq!(fields.u64(), Err(Malformed::Length));
        assert_eq!(fields.end(), Err(Malformed::Length));
        assert_eq!(fields.rest(), [9]);
        assert_eq!(Fields::new(&[0xff; 8]).long_string(), Err(Malformed::Length));
    }

    #[test]
    fn strings() {
        assert_eq!(text("a\u{20ac}".as_bytes()), Ok("a\u{20ac}"));
        assert_eq!(text(&[b'x'; MAX_STRING]).map(str::len), Ok(MAX_STRING));
        assert_eq!(text(&[b'x'; MAX_STRING + 1]), Err(Malformed::String));
        assert_eq!(text(b"a\0b"), Err(Malformed::String));
        assert_eq!(text(&[0xff]), Err(Malformed::String));
    }
}
