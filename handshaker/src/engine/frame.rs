//! `u32le length (4 + body) | u32le type | body`, as ALTS frames its records.

use super::protocol::{
    FrameKind, HEADER_LEN, MAX_ALERT, MAX_CLIENT_INIT, MAX_FRAME, MAX_TICKET_FRAME, TAG_LEN,
};
use super::seal::MessageKey;
use crate::alert::AlertCode;
use crate::error::Error;

impl FrameKind {
    pub(super) const ALL: [Self; 7] = [
        Self::ClientInit,
        Self::ServerInit,
        Self::ServerFinished,
        Self::ClientFinished,
        Self::Ticket,
        Self::SealedAlert,
        Self::Alert,
    ];

    /// All 32 bits count.
    fn from_word(word: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u32 == word)
    }

    /// The longest frame of this kind, header included.
    pub(super) fn max_len(self) -> usize {
        match self {
            Self::ClientInit => MAX_CLIENT_INIT,
            Self::ServerInit | Self::ServerFinished | Self::ClientFinished => MAX_FRAME,
            Self::Ticket => MAX_TICKET_FRAME,
            Self::SealedAlert => MAX_ALERT,
            Self::Alert => MAX_ALERT - TAG_LEN,
        }
    }
}

/// What the first 8 bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) kind: FrameKind,
    /// Bytes of the whole frame, this header included.
    pub(super) frame_len: usize,
}

impl Header {
    /// Everything that can be refused from 8 bytes is, except kinds that do not fit the state.
    pub(super) fn load(bytes: [u8; HEADER_LEN]) -> Result<Self, Error> {
        let [l0, l1, l2, l3, t0, t1, t2, t3] = bytes;
        let length = u32::from_le_bytes([l0, l1, l2, l3]);
        let word = u32::from_le_bytes([t0, t1, t2, t3]);
        if length < 4 {
            return Err(Error::decode(format!("a frame says it has {length} bytes")));
        }
        // Compared as u64: the sum does not fit 32 bits for the largest lengths.
        let frame_len = u64::from(length) + 4;
        if frame_len > MAX_FRAME as u64 {
            return Err(too_large(frame_len));
        }
        let Some(kind) = FrameKind::from_word(word) else {
            return Err(Error::peer(
                AlertCode::UnexpectedMessage,
                format!("a frame of the unknown type {word:#x}"),
            ));
        };
        if frame_len > kind.max_len() as u64 {
            return Err(too_large(frame_len));
        }
        Ok(Self { kind, frame_len: frame_len as usize })
    }

    fn encode(self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..4].copy_from_slice(&((self.frame_len - 4) as u32).to_le_bytes());
        bytes[4..].copy_from_slice(&(self.kind as u32).to_le_bytes());
        bytes
    }
}

fn too_large(frame_len: u64) -> Error {
    Error::peer(AlertCode::TooLarge, format!("a frame says it has {frame_len} bytes"))
}

/// Follows a stream of frames, to know where they end. Bytes that cannot be frames are followed by nothing but such bytes.
#[cfg(feature = "remote")]
#[derive(Debug, Default)]
pub(crate) struct FrameTracker(At);

#[cfg(feature = "remote")]
#[derive(Debug)]
enum At {
    /// In a header, behind this many bytes of it.
    Header([u8; HEADER_LEN], usize),
    /// In a body, of which this many bytes are missing.
    Body(usize),
    NoFrame,
}

#[cfg(feature = "remote")]
impl Default for At {
    fn default() -> Self {
        Self::Header([0; HEADER_LEN], 0)
    }
}

#[cfg(feature = "remote")]
impl FrameTracker {
    /// Goes on by `bytes`. Whether a frame ended in them, or they cannot be frames: what is of use to whoever takes frames.
    pub(crate) fn advance(&mut self, mut bytes: &[u8]) -> bool {
        let mut ended = false;
        while !bytes.is_empty() {
            self.0 = match self.0 {
                At::NoFrame => return true,
                At::Header(mut header, have) => {
                    let count = bytes.len().min(HEADER_LEN - have);
                    let (some, rest) = bytes.split_at(count);
                    header[have..have + count].copy_from_slice(some);
                    bytes = rest;
                    match (have + count, Header::load(header)) {
                        (HEADER_LEN, Ok(header)) => At::Body(header.frame_len - HEADER_LEN),
                        (have, _) if can_be_a_header(&header[..have]) => At::Header(header, have),
                        _ => At::NoFrame,
                    }
                }
                At::Body(missing) => {
                    let count = bytes.len().min(missing);
                    bytes = &bytes[count..];
                    At::Body(missing - count)
                }
            };
            match self.0 {
                At::Body(0) => (ended, self.0) = (true, At::default()),
                At::NoFrame => ended = true,
                At::Header(..) | At::Body(_) => (),
            }
        }
        ended
    }
}

/// Whether fewer bytes than a header's may become one.
#[cfg(feature = "remote")]
fn can_be_a_header(bytes: &[u8]) -> bool {
    bytes.len() < HEADER_LEN
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            0 => true,
            1 => usize::from(*byte) <= MAX_FRAME >> 8,
            4 => FrameKind::ALL.into_iter().any(|kind| kind as u32 == u32::from(*byte)),
            _ => *byte == 0,
        })
}

/// Whether `bytes` begin with a client's whole first message.
#[cfg(feature = "remote")]
pub(crate) fn begins_with_an_offer(bytes: &[u8]) -> bool {
    let header = bytes.first_chunk().and_then(|header| Header::load(*header).ok());
    header.is_some_and(|header| {
        header.kind == FrameKind::ClientInit && bytes.len() >= header.frame_len
    })
}

/// A whole frame that arrived.
pub(super) struct Frame {
    kind: FrameKind,
    bytes: Vec<u8>,
}

impl Frame {
    /// `bytes` are all of the frame, as its checked header says.
    pub(super) fn new(kind: FrameKind, bytes: Vec<u8>) -> Self {
        Self { kind, bytes }
    }

    pub(super) fn kind(&self) -> FrameKind {
        self.kind
    }

    /// Header and body: what the transcript takes of clear messages.
    pub(super) fn whole(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn body(&self) -> &[u8] {
        &self.bytes[HEADER_LEN..]
    }

    /// The plaintext of a sealed frame.
    pub(super) fn open(&mut self, key: &MessageKey) -> Result<&[u8], Error> {
        let (header, sealed) = self.bytes.split_at_mut(HEADER_LEN);
        match key.open(header, sealed) {
            Ok(plaintext) => Ok(plaintext),
            Err(_) => Err(Error::decrypt(format!("{:?} does not open", self.kind))),
        }
    }
}

/// Room for a first message with a ticket of usual length: growing up to it step by step would copy it many times.
const USUAL_LEN: usize = 512;

/// Appends a frame in plaintext. The limits of the protocol bound what `body` writes.
pub(super) fn write(out: &mut Vec<u8>, kind: FrameKind, body: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.reserve(USUAL_LEN);
    out.extend_from_slice(&[0; HEADER_LEN]);
    body(out);
    let header = Header { kind, frame_len: out.len() - start };
    out[start..start + HEADER_LEN].copy_from_slice(&header.encode());
}

/// Appends a sealed frame.
pub(super) fn write_sealed(out: &mut Vec<u8>, kind: FrameKind, key: MessageKey, plaintext: &[u8]) {
    let start = out.len();
    let header = Header { kind, frame_len: HEADER_LEN + plaintext.len() + TAG_LEN };
    out.reserve(header.frame_len);
    out.extend_from_slice(&header.encode());
    out.extend_from_slice(plaintext);
    key.seal(out, start);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(length: u32, word: u32) -> Result<Header, AlertCode> {
        let mut bytes = [0; HEADER_LEN];
        bytes[..4].copy_from_slice(&length.to_le_bytes());
        bytes[4..].copy_from_slice(&word.to_le_bytes());
        Header::load(bytes).map_err(|error| error.alert().unwrap())
    }

    #[test]
    fn lengths() {
        for length in 0..4 {
            assert_eq!(load(length, 0x41), Err(AlertCode::DecodeError));
        }
        let header = Header { kind: FrameKind::ClientInit, frame_len: 8 };
        assert_eq!(load(4, 0x41), Ok(header));
        assert_eq!(load(4_092, 0x41).unwrap().frame_len, 4_096);
        assert_eq!(load(4_093, 0x41), Err(AlertCode::TooLarge));
        for word in [0x42, 0x43, 0x44] {
            assert_eq!(load(32_764, word).unwrap().frame_len, 32_768);
            assert_eq!(load(32_765, word), Err(AlertCode::TooLarge));
        }
        assert_eq!(load(1_556, 0x45).unwrap().frame_len, 1_560);
        assert_eq!(load(1_557, 0x45), Err(AlertCode::TooLarge));
        assert_eq!(load(4 + 2 + 1 + 120, 0x4f).unwrap().frame_len, 131);
        assert_eq!(load(4 + 2 + 1 + 121, 0x4f), Err(AlertCode::TooLarge));
        assert_eq!(load(4 + 2 + 1 + 120 + 16, 0x4e).unwrap().frame_len, 147);
        assert_eq!(load(4 + 2 + 1 + 121 + 16, 0x4e), Err(AlertCode::TooLarge));
        for length in [0x7fff_ffff, u32::MAX - 4, u32::MAX - 3, u32::MAX] {
            assert_eq!(load(length, 0x42), Err(AlertCode::TooLarge));
        }
    }

    #[test]
    fn the_whole_type_word_counts() {
        for word in [0, 6, 0x40, 0x46, 0x4d, 0x50, 0x141, 0x4100_0000, u32::MAX] {
            assert_eq!(load(64, word), Err(AlertCode::UnexpectedMessage), "{word:#x}");
        }
    }

    /// However the bytes are cut, the same frames end, where they end.
    #[cfg(feature = "remote")]
    #[test]
    fn frames_are_followed_across_cuts() {
        let mut stream = Vec::new();
        let mut ends = Vec::new();
        // A frame of nothing but a header, one whose body reads like a header, and one of many bytes.
        let bodies: [&[u8]; 3] = [b"", &[4, 0, 0, 0, 0x42, 0, 0, 0, 9], &[0; 700]];
        for body in bodies {
            write(&mut stream, FrameKind::ServerInit, |out| out.extend_from_slice(body));
            ends.push(stream.len());
        }
        for one in 0..=stream.len() {
            for two in [one, one + 1, one + 7, one + 8, one + 9, stream.len() - 1] {
                let two = two.clamp(one, stream.len());
                let mut tracker = FrameTracker::default();
                for piece in [0..one, one..two, two..stream.len()] {
                    let ended = ends.iter().any(|end| piece.start < *end && *end <= piece.end);
                    assert_eq!(tracker.advance(&stream[piece.clone()]), ended, "{piece:?}");
                }
            }
        }
    }

    #[cfg(feature = "remote")]
    #[test]
    fn what_cannot_be_a_frame_is_not_waited_for() {
        for bytes in [&b"\0\xff"[..], b"\x08\0\0\0\x01", b"\x03\0\0\0\x41\0\0\0", b"GET / HT"] {
            let mut tracker = FrameTracker::default();
            for byte in &bytes[..bytes.len() - 1] {
                tracker.advance(&[*byte]);
            }
            assert!(tracker.advance(&bytes[bytes.len() - 1..]), "{bytes:?}");
            assert!(tracker.advance(b"x"), "{bytes:?}");
            // Nothing is no news.
            assert!(!tracker.advance(b""), "{bytes:?}");
        }
    }

    #[test]
    fn sealed_frames_open_once_untouched() {
        let mut key = MessageKey::blank();
        key.key_mut().fill(7);
        key.iv_mut().fill(9);
        let mut out = b"before".to_vec();
        write_sealed(&mut out, FrameKind::ServerFinished, key.clone(), b"plaintext");
        let bytes = out.split_off(6);
        assert_eq!(bytes.len(), 8 + 9 + 16);
        let header = Header::load(bytes[..8].try_into().unwrap()).unwrap();
        assert_eq!(header, Header { kind: FrameKind::ServerFinished, frame_len: bytes.len() });
        assert_eq!(Frame::new(header.kind, bytes.clone()).open(&key).unwrap(), b"plaintext");
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            assert!(Frame::new(header.kind, bytes).open(&key).is_err(), "byte {at}");
        }
    }
}
