//! The header of a frame: 12 bytes, big endian, and for Data a body behind it.
//!
//! ```text
//!  0        1        2                 4                                   8                                   12
//!  │version │  type  │      flags      │             stream id             │              length               │
//!  │   0    │ 0 to 3 │ SYN ACK FIN RST │          0 is the session         │  body, credit, value, code        │
//! ```
//!
//! Each type of frame is a variant of its own, so that only those that can carry SYN have flags at all.

use super::error::Violation;

/// Bytes of a header.
pub(super) const LEN: usize = 12;

const DATA: u8 = 0;
const WINDOW_UPDATE: u8 = 1;
const PING: u8 = 2;
const GO_AWAY: u8 = 3;

/// SYN, ACK, FIN and RST of a frame that belongs to a stream. Bits that have no meaning are dropped.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Flags(u8);

impl Flags {
    pub(super) const NONE: Self = Self(0);
    pub(super) const SYN: Self = Self(1);
    pub(super) const ACK: Self = Self(2);
    pub(super) const FIN: Self = Self(4);
    pub(super) const RST: Self = Self(8);

    pub(super) fn has(self, flag: Self) -> bool {
        self.0 & flag.0 != 0
    }

    #[must_use]
    pub(super) fn with(self, flag: Self) -> Self {
        Self(self.0 | flag.0)
    }
}

/// A frame's header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Header {
    /// A body of `len` bytes follows.
    Data { stream: u32, flags: Flags, len: u32 },
    /// The receiver of this may send `delta` bytes more; with RST it is a code, and grants nothing.
    WindowUpdate { stream: u32, flags: Flags, delta: u32 },
    /// Asks for the same value back.
    Ping { value: u32 },
    /// Answers [`Ping`](Self::Ping).
    Pong { value: u32 },
    /// No new streams: 0 is a normal end, 1 a fault of the receiver, 2 one of the sender.
    GoAway { code: u32 },
}

impl Header {
    pub(super) fn decode(bytes: [u8; LEN]) -> Result<Self, Violation> {
        let [version, kind, _, flags, s0, s1, s2, s3, l0, l1, l2, l3] = bytes;
        if version != 0 {
            return Err(Violation::Version(version));
        }
        let flags = Flags(flags & 0xf);
        let (stream, length) =
            (u32::from_be_bytes([s0, s1, s2, s3]), u32::from_be_bytes([l0, l1, l2, l3]));
        match kind {
            DATA => Ok(Self::Data { stream, flags, len: length }),
            WINDOW_UPDATE => Ok(Self::WindowUpdate { stream, flags, delta: length }),
            PING if flags.has(Flags::SYN) => Ok(Self::Ping { value: length }),
            PING => Ok(Self::Pong { value: length }),
            GO_AWAY => Ok(Self::GoAway { code: length }),
            _ => Err(Violation::Type(kind)),
        }
    }

    pub(super) fn encode(self) -> [u8; LEN] {
        let (kind, flags, stream, length) = match self {
            Self::Data { stream, flags, len } => (DATA, flags, stream, len),
            Self::WindowUpdate { stream, flags, delta } => (WINDOW_UPDATE, flags, stream, delta),
            Self::Ping { value } => (PING, Flags::SYN, 0, value),
            Self::Pong { value } => (PING, Flags::ACK, 0, value),
            Self::GoAway { code } => (GO_AWAY, Flags::NONE, 0, code),
        };
        let mut bytes = [0; LEN];
        bytes[1] = kind;
        bytes[3] = flags.0;
        bytes[4..8].copy_from_slice(&stream.to_be_bytes());
        bytes[8..].copy_from_slice(&length.to_be_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: u128) -> [u8; LEN] {
        hex.to_be_bytes()[4..].try_into().unwrap()
    }

    #[test]
    fn headers_are_those_that_peers_send() {
        let syn_fin = Flags::SYN.with(Flags::FIN);
        for (hex, header) in [
            (
                0x0000_0001_0000_0001_0000_0005,
                Header::Data { stream: 1, flags: Flags::SYN, len: 5 },
            ),
            (
                0x0000_0005_0000_0003_ffff_ffff,
                Header::Data { stream: 3, flags: syn_fin, len: u32::MAX },
            ),
            (
                0x0001_0002_0000_0001_000c_0000,
                Header::WindowUpdate { stream: 1, flags: Flags::ACK, delta: 0xc_0000 },
            ),
            (
                0x0001_0008_ffff_fffe_0000_0007,
                Header::WindowUpdate { stream: 0xffff_fffe, flags: Flags::RST, delta: 7 },
            ),
            (0x0002_0001_0000_0000_0000_0002, Header::Ping { value: 2 }),
            (0x0002_0002_0000_0000_0000_0002, Header::Pong { value: 2 }),
            (0x0003_0000_0000_0000_0000_0001, Header::GoAway { code: 1 }),
        ] {
            assert_eq!(Header::decode(bytes(hex)), Ok(header));
            assert_eq!(header.encode(), bytes(hex));
        }
    }

    #[test]
    fn what_has_no_meaning_is_ignored() {
        let unassigned = bytes(0x0000_fff0_0000_0001_0000_0005);
        assert_eq!(
            Header::decode(unassigned),
            Ok(Header::Data { stream: 1, flags: Flags::NONE, len: 5 })
        );
        // A ping on a stream, and one with both flags, are asked all the same; one with none answers nothing.
        assert_eq!(
            Header::decode(bytes(0x0002_0003_0000_0009_0000_0002)),
            Ok(Header::Ping { value: 2 })
        );
        assert_eq!(
            Header::decode(bytes(0x0002_0000_0000_0000_0000_0002)),
            Ok(Header::Pong { value: 2 })
        );
    }

    #[test]
    fn another_version_and_an_unknown_type_are_refused() {
        assert_eq!(Header::decode(bytes(0x0100 << 80)), Err(Violation::Version(1)));
        assert_eq!(Header::decode(bytes(0x0004 << 80)), Err(Violation::Type(4)));
        assert_eq!(Header::decode([0xff; LEN]), Err(Violation::Version(0xff)));
    }
}
