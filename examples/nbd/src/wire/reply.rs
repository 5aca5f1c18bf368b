//! Replies: simple ones, and chunks of structured ones.

use super::errno::Errno;
use super::fields::{Fields, join, split, text};
use super::flags::AllocationFlags;
use super::option_reply::fitting_text;
use super::{MAX_EXTENTS, Malformed};

/// What begins a simple reply.
pub const SIMPLE_MAGIC: u32 = 0x6744_6698;
/// What begins a chunk.
pub const CHUNK_MAGIC: u32 = 0x668e_33ef;

/// The flag of a reply's last chunk.
const DONE: u16 = 1;

/// A simple reply, without the data of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimpleReply {
    /// What went wrong.
    pub error: Option<Errno>,
    /// That of the request.
    pub cookie: u64,
}

impl SimpleReply {
    /// Bytes on the wire.
    pub const LEN: usize = 16;

    /// Encodes the reply.
    pub fn encode(self) -> [u8; Self::LEN] {
        join!(SIMPLE_MAGIC, self.error.map_or(0, Errno::code), self.cookie => Self::LEN)
    }
}

/// What precedes the contents of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkHeader {
    /// Whether it is the reply's last.
    pub done: bool,
    /// What is in it.
    pub kind: ChunkType,
    /// That of the request.
    pub cookie: u64,
    /// How many bytes follow.
    pub len: u32,
}

impl ChunkHeader {
    /// Bytes on the wire.
    pub const LEN: usize = 20;

    /// Encodes the header.
    pub fn encode(self) -> [u8; Self::LEN] {
        let flags = if self.done { DONE } else { 0 };
        join!(CHUNK_MAGIC, flags, self.kind.code(), self.cookie, self.len => Self::LEN)
    }
}

/// What begins any reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplyHeader {
    /// A simple reply. The data of a read follow it.
    Simple(SimpleReply),
    /// A chunk, with what it contains behind it.
    Chunk(ChunkHeader),
}

impl ReplyHeader {
    /// How many bytes the header has that begins with this magic number.
    ///
    /// # Errors
    /// [`Malformed::Magic`]: the server is out of step, and the connection has to be closed.
    pub fn len_of(magic: [u8; 4]) -> Result<usize, Malformed> {
        match u32::from_be_bytes(magic) {
            SIMPLE_MAGIC => Ok(SimpleReply::LEN),
            CHUNK_MAGIC => Ok(ChunkHeader::LEN),
            other => Err(Malformed::Magic(other.into())),
        }
    }

    /// Decodes a header, of the length that [`len_of`](Self::len_of) tells.
    ///
    /// # Errors
    /// As there, and [`Malformed::Field`] for flags that are not known.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::new(bytes);
        let header = match fields.u32()? {
            SIMPLE_MAGIC => {
                let (error, cookie) = (fields.u32()?, fields.u64()?);
                let error = (error != 0).then(|| Errno::from_code(error));
                Self::Simple(SimpleReply { error, cookie })
            }
            CHUNK_MAGIC => {
                let (flags, kind) = (fields.u16()?, fields.u16()?);
                let (cookie, len) = (fields.u64()?, fields.u32()?);
                if flags & !DONE != 0 {
                    return Err(Malformed::Field("flags of a chunk"));
                }
                let kind = ChunkType::from_code(kind);
                Self::Chunk(ChunkHeader { done: flags == DONE, kind, cookie, len })
            }
            other => return Err(Malformed::Magic(other.into())),
        };
        fields.end()?;
        Ok(header)
    }
}

/// What a chunk contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChunkType {
    /// Nothing.
    None,
    /// Data, behind their offset.
    OffsetData,
    /// A range of zeroes.
    OffsetHole,
    /// Extents of one metadata context.
    BlockStatus,
    /// An error.
    Error,
    /// An error, and where it happened.
    ErrorOffset,
    /// An unknown kind of error, which begins like [`Error`](Self::Error).
    OtherError(u16),
    /// Anything else: a client has to disconnect.
    Unknown(u16),
}

/// The bit of errors.
const ERROR: u16 = 1 << 15;

impl ChunkType {
    /// The number on the wire.
    pub const fn code(self) -> u16 {
        match self {
            Self::None => 0,
            Self::OffsetData => 1,
            Self::OffsetHole => 2,
            Self::BlockStatus => 5,
            Self::Error => ERROR | 1,
            Self::ErrorOffset => ERROR | 2,
            Self::OtherError(code) | Self::Unknown(code) => code,
        }
    }

    /// The kind of that number.
    pub const fn from_code(code: u16) -> Self {
        match code {
            0 => Self::None,
            1 => Self::OffsetData,
            2 => Self::OffsetHole,
            5 => Self::BlockStatus,
            0x8001 => Self::Error,
            0x8002 => Self::ErrorOffset,
            code if code & ERROR != 0 => Self::OtherError(code),
            code => Self::Unknown(code),
        }
    }
}

/// Bytes that precede the data of [`ChunkType::OffsetData`]: the chunk's header and the offset.
pub const DATA_PREFIX: usize = ChunkHeader::LEN + 8;

/// Encodes what precedes `len` bytes of data from `offset`.
pub fn encode_data_prefix(done: bool, cookie: u64, offset: u64, len: u32) -> [u8; DATA_PREFIX] {
    let header = ChunkHeader { done, kind: ChunkType::OffsetData, cookie, len: len + 8 };
    let mut bytes = [0; DATA_PREFIX];
    bytes[..ChunkHeader::LEN].copy_from_slice(&header.encode());
    bytes[ChunkHeader::LEN..].copy_from_slice(&offset.to_be_bytes());
    bytes
}

/// Encodes a whole chunk [`ChunkType::None`], the end of a reply.
pub fn encode_none(cookie: u64) -> [u8; ChunkHeader::LEN] {
    ChunkHeader { done: true, kind: ChunkType::None, cookie, len: 0 }.encode()
}

/// Encodes a whole chunk [`ChunkType::OffsetHole`].
pub fn encode_hole(done: bool, cookie: u64, offset: u64, len: u32) -> [u8; DATA_PREFIX + 4] {
    let header = ChunkHeader { done, kind: ChunkType::OffsetHole, cookie, len: 12 };
    let mut bytes = [0; DATA_PREFIX + 4];
    bytes[..ChunkHeader::LEN].copy_from_slice(&header.encode());
    bytes[ChunkHeader::LEN..].copy_from_slice(&join!(offset, len => 12));
    bytes
}

/// The offset and the length of a hole, from the contents of [`ChunkType::OffsetHole`].
pub fn decode_hole(contents: &[u8]) -> Result<(u64, u32), Malformed> {
    let mut fields = Fields::new(contents);
    let hole = (fields.u64()?, fields.u32()?);
    fields.end()?;
    match hole.1 {
        0 => Err(Malformed::Field("length of a hole")),
        _ => Ok(hole),
    }
}

/// An error that ends a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorChunk<'a> {
    /// Which.
    pub error: Errno,
    /// A text for people.
    pub message: &'a str,
    /// Where it happened, if that is told: what lies before is right.
    pub offset: Option<u64>,
}

impl<'a> ErrorChunk<'a> {
    /// Encodes a whole chunk, the reply's last. A message that is too long is cut.
    pub fn encode(&self, cookie: u64) -> Vec<u8> {
        let message = fitting_text(self.message);
        let kind = if self.offset.is_some() { ChunkType::ErrorOffset } else { ChunkType::Error };
        let offset = self.offset.map(u64::to_be_bytes);
        let offset = offset.as_ref().map_or(&[][..], |offset| offset);
        let len = (6 + message.len() + offset.len()) as u32;
        let mut bytes = ChunkHeader { done: true, kind, cookie, len }.encode().to_vec();
        bytes.extend(self.error.code().to_be_bytes());
        bytes.extend((message.len() as u16).to_be_bytes());
        bytes.extend_from_slice(message.as_bytes());
        bytes.extend_from_slice(offset);
        bytes
    }

    /// Decodes the contents of a chunk of this kind.
    pub fn decode(kind: ChunkType, contents: &'a [u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::new(contents);
        let error = match fields.u32()? {
            0 => return Err(Malformed::Field("error number 0 of a chunk")),
            code => Errno::from_code(code),
        };
        let len = fields.u16()?;
        let message = text(fields.bytes(len.into())?)?;
        let offset = match kind {
            ChunkType::ErrorOffset => Some(fields.u64()?),
            _ => None,
        };
        if !matches!(kind, ChunkType::OtherError(_)) {
            fields.end()?;
        }
        Ok(Self { error, message, offset })
    }
}

/// A range of one metadata context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Bytes, never 0.
    pub len: u32,
    /// What the context says of it.
    pub flags: AllocationFlags,
}

/// Encodes a whole chunk [`ChunkType::BlockStatus`].
pub fn encode_block_status(done: bool, cookie: u64, context: u32, extents: &[Extent]) -> Vec<u8> {
    let len = (4 + extents.len() * 8) as u32;
    let header = ChunkHeader { done, kind: ChunkType::BlockStatus, cookie, len };
    let mut bytes = Vec::with_capacity(ChunkHeader::LEN + len as usize);
    bytes.extend(header.encode());
    bytes.extend(context.to_be_bytes());
    for extent in extents {
        bytes.extend(extent.len.to_be_bytes());
        bytes.extend(extent.flags.0.to_be_bytes());
    }
    bytes
}

/// The context's id and the extents, from the contents of [`ChunkType::BlockStatus`].
///
/// # Errors
/// No extent, more than [`MAX_EXTENTS`], an empty one, or a rest.
pub fn decode_block_status(contents: &[u8]) -> Result<(u32, Vec<Extent>), Malformed> {
    let mut fields = Fields::new(contents);
    let context = fields.u32()?;
    let (extents, rest) = fields.rest().as_chunks::<8>();
    if extents.is_empty() || extents.len() > MAX_EXTENTS || !rest.is_empty() {
        return Err(Malformed::Length);
    }
    let extents = extents.iter().map(|extent| {
        split!(extent => len: u32, flags: u32);
        match len {
            0 => Err(Malformed::Field("length of an extent")),
            _ => Ok(Extent { len, flags: AllocationFlags(flags) }),
        }
    });
    Ok((context, extents.collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn simple_replies() {
        for error in [None, Some(Errno::NoSpc)] {
            let reply = SimpleReply { error, cookie: 6 };
            let bytes = reply.encode();
            assert_eq!(ReplyHeader::decode(&bytes), Ok(ReplyHeader::Simple(reply)));
            assert_eq!(ReplyHeader::len_of([0x67, 0x44, 0x66, 0x98]), Ok(bytes.len()));
        }
        assert!(matches!(ReplyHeader::len_of([0; 4]), Err(Malformed::Magic(0))));
        assert!(matches!(ReplyHeader::decode(&[0; 16]), Err(Malformed::Magic(0))));
    }

    #[test]
    fn chunk_headers() {
        let header = ChunkHeader { done: true, kind: ChunkType::OffsetData, cookie: 1, len: 13 };
        let bytes = header.encode();
        assert_eq!(bytes[..8], [0x66, 0x8e, 0x33, 0xef, 0, 1, 0, 1]);
        assert_eq!(ReplyHeader::decode(&bytes), Ok(ReplyHeader::Chunk(header)));
        let mut bad = bytes;
        bad[5] = 2;
        assert!(matches!(ReplyHeader::decode(&bad), Err(Malformed::Field(_))));
        assert_eq!(ReplyHeader::decode(&bytes[..19]), Err(Malformed::Length));
        for code in (0..10).chain(0x8000..0x8010).chain([u16::MAX]) {
            assert_eq!(ChunkType::from_code(code).code(), code);
        }
    }

    #[test]
    fn data_and_holes() {
        let prefix = encode_data_prefix(false, 3, 65_536, 4096);
        let Ok(ReplyHeader::Chunk(header)) = ReplyHeader::decode(&prefix[..20]) else { panic!() };
        assert_eq!((header.kind, header.len, header.done), (ChunkType::OffsetData, 4104, false));
        assert_eq!(prefix[20..], 65_536_u64.to_be_bytes());

        let hole = encode_hole(true, 3, 4096, 8192);
        assert_eq!(decode_hole(&hole[20..]), Ok((4096, 8192)));
        assert_eq!(decode_hole(&hole[20..31]), Err(Malformed::Length));
        assert!(matches!(decode_hole(&[0; 12]), Err(Malformed::Field(_))));
        assert_eq!(decode_hole(&[1; 13]), Err(Malformed::Length));
    }

    #[test]
    fn errors() {
        for offset in [None, Some(77)] {
            let chunk = ErrorChunk { error: Errno::Io, message: "the disk", offset };
            let bytes = chunk.encode(9);
            let Ok(ReplyHeader::Chunk(header)) = ReplyHeader::decode(&bytes[..20]) else {
                panic!()
            };
            assert!(header.done);
            assert_eq!(header.len as usize, bytes.len() - 20);
            assert_eq!(ErrorChunk::decode(header.kind, &bytes[20..]), Ok(chunk));
            for len in 20..bytes.len() {
                assert!(ErrorChunk::decode(header.kind, &bytes[20..len]).is_err());
            }
            let longer = [&bytes[20..], &[0]].concat();
            assert!(ErrorChunk::decode(header.kind, &longer).is_err());
        }
        assert!(ErrorChunk::decode(ChunkType::Error, &[0; 6]).is_err());
        let other = ErrorChunk::decode(ChunkType::OtherError(0x8123), b"\0\0\0\x05\0\0rest");
        assert_eq!(other.map(|chunk| chunk.error), Ok(Errno::Io));
    }

    #[test]
    fn extents() {
        let extents = [
            Extent { len: 65_536, flags: AllocationFlags::NONE },
            Extent { len: 65_536, flags: AllocationFlags::ALL },
        ];
        let bytes = encode_block_status(true, 7, 1, &extents);
        assert_eq!(decode_block_status(&bytes[20..]), Ok((1, extents.to_vec())));
        for len in 20..bytes.len() - 1 {
            let decoded = decode_block_status(&bytes[20..len]);
            assert_eq!(decoded.is_ok(), len == 32, "{len}");
        }
        assert!(decode_block_status(&[0; 12]).is_err());
    }
}
