//! The nine bytes that begin every frame.

use super::{ErrorCode, LARGEST_WINDOW, Violation};

/// The kinds of frames (RFC 9113, section 6).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "their names are RFC 9113's")]
pub enum Kind {
    Data,
    Headers,
    Priority,
    Reset,
    Settings,
    PushPromise,
    Ping,
    GoAway,
    WindowUpdate,
    Continuation,
    /// Of an extension. A receiver ignores what it does not know.
    Unknown(u8),
}

impl Kind {
    /// The kind with this number.
    pub const fn of(number: u8) -> Self {
        match number {
            0 => Self::Data,
            1 => Self::Headers,
            2 => Self::Priority,
            3 => Self::Reset,
            4 => Self::Settings,
            5 => Self::PushPromise,
            6 => Self::Ping,
            7 => Self::GoAway,
            8 => Self::WindowUpdate,
            9 => Self::Continuation,
            other => Self::Unknown(other),
        }
    }

    /// Its number.
    pub const fn number(self) -> u8 {
        match self {
            Self::Data => 0,
            Self::Headers => 1,
            Self::Priority => 2,
            Self::Reset => 3,
            Self::Settings => 4,
            Self::PushPromise => 5,
            Self::Ping => 6,
            Self::GoAway => 7,
            Self::WindowUpdate => 8,
            Self::Continuation => 9,
            Self::Unknown(number) => number,
        }
    }
}

/// The flags of frames. A bit means something only on the kinds that define it.
pub mod flag {
    /// On DATA and HEADERS: the sender's side of the stream ends.
    pub const END_STREAM: u8 = 0x1;
    /// On SETTINGS and PING: an acknowledgment.
    pub const ACK: u8 = 0x1;
    /// On HEADERS and CONTINUATION: the header block ends.
    pub const END_HEADERS: u8 = 0x4;
    /// On DATA and HEADERS: the first byte says how many bytes of padding end the payload.
    pub const PADDED: u8 = 0x8;
    /// On HEADERS: five bytes of priority come before the fields.
    pub const PRIORITY: u8 = 0x20;
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// How many bytes of payload follow: at most 2^24 - 1. [`to_bytes`](Self::to_bytes) leaves higher bits out.
    pub len: u32,
    /// What the payload is.
    pub kind: Kind,
    /// See [`flag`].
    pub flags: u8,
    /// The stream it is about, 0 for the connection. 31 bits; the reserved bit is neither read nor written.
    pub stream: u32,
}

impl Head {
    /// Bytes of a head.
    pub const LEN: usize = 9;

    /// Reads a head. Every nine bytes are one.
    #[inline]
    pub fn parse(bytes: &[u8; Self::LEN]) -> Self {
        let [a, b, c, kind, flags, s0, s1, s2, s3] = *bytes;
        Self {
            len: u32::from_be_bytes([0, a, b, c]),
            kind: Kind::of(kind),
            flags,
            stream: u32::from_be_bytes([s0, s1, s2, s3]) & LARGEST_WINDOW,
        }
    }

    /// The head as it goes over the wire.
    #[inline]
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let [_, a, b, c] = self.len.to_be_bytes();
        let [s0, s1, s2, s3] = (self.stream & LARGEST_WINDOW).to_be_bytes();
        [a, b, c, self.kind.number(), self.flags, s0, s1, s2, s3]
    }

    /// Appends it to `out`.
    #[inline]
    pub fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_bytes());
    }

    /// Whether this flag is set.
    #[inline]
    pub const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// Fails unless the frame is about a stream.
    pub(super) fn on_stream(&self, what: &'static str) -> Result<u32, Violation> {
        if self.stream == 0 { Err(Violation::protocol(what)) } else { Ok(self.stream) }
    }

    /// Fails unless the frame is about the connection.
    pub(super) fn on_connection(&self, what: &'static str) -> Result<(), Violation> {
        if self.stream == 0 { Ok(()) } else { Err(Violation::protocol(what)) }
    }

    /// The payload without its padding. `payload` is the whole of it.
    pub(super) fn unpadded<'p>(&self, payload: &'p [u8]) -> Result<&'p [u8], Violation> {
        if !self.has(flag::PADDED) {
            return Ok(payload);
        }
        let Some((padding, rest)) = payload.split_first() else {
            return Err(Violation::size("a padded frame has no length of its padding"));
        };
        let kept = rest.len().checked_sub(usize::from(*padding));
        let kept = kept.ok_or(Violation::connection(
            ErrorCode::PROTOCOL_ERROR,
            "the padding is longer than the frame",
        ))?;
        Ok(&rest[..kept])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_survives_the_wire() {
        for number in 0..=255 {
            let head = Head {
                len: 0x0001_0203 * u32::from(number % 3),
                kind: Kind::of(number),
                flags: number.rotate_left(3),
                stream: LARGEST_WINDOW - u32::from(number),
            };
            assert_eq!(Head::parse(&head.to_bytes()), head);
        }
    }

    #[test]
    fn the_reserved_bit_is_ignored() {
        let head = Head::parse(&[0, 0, 4, 8, 0, 0x80, 0, 0, 5]);
        assert_eq!(head, Head { len: 4, kind: Kind::WindowUpdate, flags: 0, stream: 5 });
        assert_eq!(head.to_bytes()[5], 0);
    }

    #[test]
    fn padding() {
        let head = Head { len: 0, kind: Kind::Data, flags: flag::PADDED, stream: 1 };
        assert_eq!(head.unpadded(&[2, 7, 8, 0, 0]), Ok(&[7, 8][..]));
        assert_eq!(head.unpadded(&[0]), Ok(&[][..]));
        assert_eq!(head.unpadded(&[2, 0]).unwrap_err().code, ErrorCode::PROTOCOL_ERROR);
        assert_eq!(head.unpadded(&[]).unwrap_err().code, ErrorCode::FRAME_SIZE_ERROR);
    }
}
