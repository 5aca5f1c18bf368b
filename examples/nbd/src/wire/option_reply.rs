//! Replies to options.

use super::errno::Errno;
use super::fields::{Fields, join, split, text};
use super::flags::TransmissionFlags;
use super::{MAX_STRING, Malformed};

/// What begins every reply to an option.
pub const REPLY_MAGIC: u64 = 0x0003_e889_0455_65a9;

/// The bit of errors.
const ERROR: u32 = 1 << 31;

/// What kind of reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReplyType {
    /// The last reply of an option that succeeded.
    Ack,
    /// An export: see [`decode_server`].
    Server,
    /// An information: see [`Info`].
    Info,
    /// A metadata context: see [`decode_context`].
    MetaContext,
    /// The option failed.
    Error(OptionError),
    /// A number without meaning here, that is not an error's.
    Unknown(u32),
}

/// Why an option failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OptionError {
    /// The server does not know the option.
    Unsupported,
    /// The server does not want to.
    Policy,
    /// The option's data are wrong, or it comes at the wrong time.
    Invalid,
    /// The server's system cannot.
    Platform,
    /// TLS has to be begun before.
    TlsRequired,
    /// There is no such export.
    UnknownExport,
    /// The server is shutting down.
    Shutdown,
    /// The client has to obey the block size, and has not asked for it.
    BlockSizeRequired,
    /// The request exceeds a limit.
    TooBig,
    /// Another error, with its number.
    Other(u32),
}

impl OptionError {
    fn code(self) -> u32 {
        ERROR
            | match self {
                Self::Unsupported => 1,
                Self::Policy => 2,
                Self::Invalid => 3,
                Self::Platform => 4,
                Self::TlsRequired => 5,
                Self::UnknownExport => 6,
                Self::Shutdown => 7,
                Self::BlockSizeRequired => 8,
                Self::TooBig => 9,
                Self::Other(code) => code,
            }
    }
}

impl std::fmt::Display for OptionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unsupported => f.write_str("the server does not know this option"),
            Self::Policy => f.write_str("the server does not allow it"),
            Self::Invalid => f.write_str("the server calls the option invalid"),
            Self::Platform => f.write_str("the server's system is not capable of it"),
            Self::TlsRequired => f.write_str("the server insists on TLS"),
            Self::UnknownExport => f.write_str("the server has no such export"),
            Self::Shutdown => f.write_str("the server is shutting down"),
            Self::BlockSizeRequired => f.write_str("the server insists on its block size"),
            Self::TooBig => f.write_str("the option exceeds a limit of the server"),
            Self::Other(code) => write!(f, "the server reports the unknown error {code:#x}"),
        }
    }
}

impl ReplyType {
    /// The number on the wire.
    pub fn code(self) -> u32 {
        match self {
            Self::Ack => 1,
            Self::Server => 2,
            Self::Info => 3,
            Self::MetaContext => 4,
            Self::Error(error) => error.code(),
            Self::Unknown(code) => code,
        }
    }

    /// The kind of that number.
    pub fn from_code(code: u32) -> Self {
        match code {
            1 => Self::Ack,
            2 => Self::Server,
            3 => Self::Info,
            4 => Self::MetaContext,
            code if code & ERROR == 0 => Self::Unknown(code),
            code => Self::Error(match code & !ERROR {
                1 => OptionError::Unsupported,
                2 => OptionError::Policy,
                3 => OptionError::Invalid,
                4 => OptionError::Platform,
                5 => OptionError::TlsRequired,
                6 => OptionError::UnknownExport,
                7 => OptionError::Shutdown,
                8 => OptionError::BlockSizeRequired,
                9 => OptionError::TooBig,
                _ => OptionError::Other(code),
            }),
        }
    }
}

/// What precedes the data of a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionReplyHeader {
    /// The option that is answered.
    pub option: u32,
    /// What kind of reply.
    pub reply: ReplyType,
    /// How many bytes of data follow.
    pub len: u32,
}

impl OptionReplyHeader {
    /// Bytes on the wire.
    pub const LEN: usize = 20;

    /// Encodes the header.
    pub fn encode(self) -> [u8; Self::LEN] {
        join!(REPLY_MAGIC, self.option, self.reply.code(), self.len => Self::LEN)
    }

    /// Decodes the header.
    ///
    /// # Errors
    /// [`Malformed::Magic`]: the server is out of step, or speaks the plain newstyle handshake.
    pub fn decode(bytes: &[u8; Self::LEN]) -> Result<Self, Malformed> {
        split!(bytes => magic: u64, option: u32, reply: u32, len: u32);
        match magic {
            REPLY_MAGIC => Ok(Self { option, reply: ReplyType::from_code(reply), len }),
            other => Err(Malformed::Magic(other)),
        }
    }
}

/// Appends a whole reply.
pub fn put_reply(out: &mut Vec<u8>, option: u32, reply: ReplyType, data: &[u8]) {
    let header = OptionReplyHeader { option, reply, len: data.len() as u32 };
    out.extend(header.encode());
    out.extend_from_slice(data);
}

/// Encodes the data of [`ReplyType::Server`].
pub fn encode_server(name: &str, description: &str) -> Vec<u8> {
    let mut data = Vec::with_capacity(4 + name.len() + description.len());
    data.extend((name.len() as u32).to_be_bytes());
    data.extend_from_slice(name.as_bytes());
    data.extend_from_slice(description.as_bytes());
    data
}

/// The name and the description of an export, from the data of [`ReplyType::Server`].
pub fn decode_server(data: &[u8]) -> Result<(&str, &str), Malformed> {
    let mut fields = Fields::new(data);
    let name = fields.long_string()?;
    Ok((name, text(fields.rest())?))
}

/// Encodes the data of [`ReplyType::MetaContext`].
pub fn encode_context(id: u32, name: &str) -> Vec<u8> {
    [&id.to_be_bytes(), name.as_bytes()].concat()
}

/// The id and the name of a metadata context, from the data of [`ReplyType::MetaContext`]. The id may be any number.
pub fn decode_context(data: &[u8]) -> Result<(u32, &str), Malformed> {
    let mut fields = Fields::new(data);
    Ok((fields.u32()?, text(fields.rest())?))
}

/// The text of an error. What is not a string of the protocol is left out: an error is an error all the same.
pub fn decode_message(data: &[u8]) -> &str {
    text(data).unwrap_or_default()
}

/// The numbers of informations.
pub mod info {
    /// Size and flags. Sent whether asked for or not.
    pub const EXPORT: u16 = 0;
    /// The name by which the server knows the export.
    pub const NAME: u16 = 1;
    /// A text for people.
    pub const DESCRIPTION: u16 = 2;
    /// Sizes of blocks and payloads.
    pub const BLOCK_SIZE: u16 = 3;
}

/// An information about an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Info<'a> {
    /// [`info::EXPORT`].
    Export(ExportInfo),
    /// [`info::NAME`].
    Name(&'a str),
    /// [`info::DESCRIPTION`].
    Description(&'a str),
    /// [`info::BLOCK_SIZE`].
    BlockSize(BlockSize),
    /// Any other number: a client ignores it.
    Unknown(u16),
}

impl<'a> Info<'a> {
    /// Encodes the data of [`ReplyType::Info`].
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Export(export) => [&[0, 0], &export.encode()[..]].concat(),
            Self::Name(name) => [&info::NAME.to_be_bytes(), name.as_bytes()].concat(),
            Self::Description(text) => [&info::DESCRIPTION.to_be_bytes(), text.as_bytes()].concat(),
            Self::BlockSize(sizes) => join!(
                info::BLOCK_SIZE, sizes.minimum, sizes.preferred, sizes.maximum => 14
            )
            .to_vec(),
            Self::Unknown(number) => number.to_be_bytes().to_vec(),
        }
    }

    /// Decodes the data of [`ReplyType::Info`].
    ///
    /// # Errors
    /// A length that does not fit, a string that is none, or block sizes that contradict themselves.
    pub fn decode(data: &'a [u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::new(data);
        Ok(match fields.u16()? {
            info::EXPORT => {
                let size = fields.u64()?;
                let flags = TransmissionFlags(fields.u16()?);
                fields.end()?;
                Self::Export(ExportInfo { size, flags })
            }
            info::NAME => Self::Name(text(fields.rest())?),
            info::DESCRIPTION => Self::Description(text(fields.rest())?),
            info::BLOCK_SIZE => {
                let (minimum, preferred, maximum) = (fields.u32()?, fields.u32()?, fields.u32()?);
                fields.end()?;
                Self::BlockSize(BlockSize::new(minimum, preferred, maximum)?)
            }
            other => Self::Unknown(other),
        })
    }
}

/// Size and flags of an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExportInfo {
    /// Bytes.
    pub size: u64,
    /// What can be done.
    pub flags: TransmissionFlags,
}

impl ExportInfo {
    /// Bytes on the wire. `EXPORT_NAME` is answered by these alone, or by these and [`EXPORT_NAME_PADDING`] zeroes.
    pub const LEN: usize = 10;

    /// Encodes both.
    pub fn encode(self) -> [u8; Self::LEN] {
        join!(self.size, self.flags.0 => Self::LEN)
    }

    /// Decodes both.
    pub fn decode(bytes: &[u8; Self::LEN]) -> Self {
        split!(bytes => size: u64, flags: u16);
        Self { size, flags: TransmissionFlags(flags) }
    }
}

/// Zero bytes after the answer to `EXPORT_NAME`, unless both sides do without.
pub const EXPORT_NAME_PADDING: usize = 124;

/// Sizes that requests have to keep to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSize {
    /// Offsets and lengths are multiples of this: a power of two, at most 64 KiB.
    pub minimum: u32,
    /// Offsets and lengths should be multiples of this: a power of two, at least 512.
    pub preferred: u32,
    /// The largest payload, in bytes; `u32::MAX` for no limit.
    pub maximum: u32,
}

impl BlockSize {
    /// What holds where a server says nothing.
    pub const DEFAULT: Self =
        Self { minimum: 1, preferred: 4096, maximum: super::PORTABLE_PAYLOAD };

    /// Checks the three against the protocol's rules.
    ///
    /// # Errors
    /// [`Malformed::Field`], with which of them is not allowed.
    pub fn new(minimum: u32, preferred: u32, maximum: u32) -> Result<Self, Malformed> {
        if !minimum.is_power_of_two() || minimum > 1 << 16 {
            return Err(Malformed::Field("minimum block size"));
        }
        if !preferred.is_power_of_two() || preferred < minimum.max(512) {
            return Err(Malformed::Field("preferred block size"));
        }
        if maximum < preferred || (maximum != u32::MAX && !maximum.is_multiple_of(minimum)) {
            return Err(Malformed::Field("maximum payload"));
        }
        Ok(Self { minimum, preferred, maximum })
    }

    /// Fails unless both are multiples of the minimum.
    pub fn check_alignment(self, offset: u64, len: u32) -> Result<(), Errno> {
        match (offset | u64::from(len)) & u64::from(self.minimum - 1) {
            0 => Ok(()),
            _ => Err(Errno::Inval),
        }
    }
}

/// Cuts a text to what the protocol takes for a string.
pub fn fitting_text(text: &str) -> &str {
    let end = text.find('\0').unwrap_or(text.len()).min(MAX_STRING);
    let end = (0..=end).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_and_types() {
        let header = OptionReplyHeader { option: 7, reply: ReplyType::Info, len: 12 };
        let bytes = header.encode();
        assert_eq!(bytes[..8], [0, 3, 0xe8, 0x89, 4, 0x55, 0x65, 0xa9]);
        assert_eq!(bytes[8..], [0, 0, 0, 7, 0, 0, 0, 3, 0, 0, 0, 12]);
        assert_eq!(OptionReplyHeader::decode(&bytes), Ok(header));
        assert!(matches!(OptionReplyHeader::decode(&[0; 20]), Err(Malformed::Magic(0))));
        for code in (0..20).chain((0..20).map(|code| ERROR | code)).chain([u32::MAX]) {
            let reply = ReplyType::from_code(code);
            assert_eq!(reply.code(), code);
            assert_eq!(matches!(reply, ReplyType::Error(_)), code & ERROR != 0);
        }
        assert_eq!(ReplyType::Error(OptionError::TooBig).code(), 0x8000_0009);
    }

    #[test]
    fn entries() {
        assert_eq!(decode_server(&encode_server("disk", "a test")), Ok(("disk", "a test")));
        assert_eq!(decode_server(b"\0\0\0\x09disk"), Err(Malformed::Length));
        assert_eq!(decode_server(b"\0\0\0"), Err(Malformed::Length));
        assert_eq!(
            decode_context(&encode_context(0, "base:allocation")),
            Ok((0, "base:allocation"))
        );
        assert_eq!(decode_context(b"\0\0\0"), Err(Malformed::Length));
        assert_eq!(decode_message(b"no"), "no");
        assert_eq!(decode_message(&[0xff]), "");
    }

    #[test]
    fn informations() {
        let export = ExportInfo { size: 131_072, flags: TransmissionFlags(0xded) };
        let all = [
            Info::Export(export),
            Info::Name("disk"),
            Info::Name(""),
            Info::Description("a test"),
            Info::BlockSize(BlockSize::DEFAULT),
            Info::Unknown(9),
        ];
        for info in all {
            assert_eq!(Info::decode(&info.encode()), Ok(info));
        }
        assert_eq!(Info::Export(export).encode(), [0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0xd, 0xed]);
        assert_eq!(ExportInfo::decode(&export.encode()), export);
        assert_eq!(Info::decode(b"\0"), Err(Malformed::Length));
        for len in [11, 13] {
            assert_eq!(Info::decode(&vec![0; len]), Err(Malformed::Length));
        }
        assert_eq!(Info::decode(b"\0\x01\xff"), Err(Malformed::String));
    }

    #[test]
    fn block_sizes_that_contradict_themselves() {
        for (minimum, preferred, maximum) in
            [(1, 512, 512), (512, 512, 1 << 20), (1 << 16, 1 << 16, u32::MAX), (1, 4096, 5000)]
        {
            assert!(BlockSize::new(minimum, preferred, maximum).is_ok());
        }
        for (minimum, preferred, maximum) in [
            (0, 4096, 1 << 20),
            (3, 4096, 1 << 20),
            (1 << 17, 1 << 17, 1 << 20),
            (1, 256, 1 << 20),
            (1, 5000, 1 << 20),
            (4096, 512, 1 << 20),
            (1, 4096, 512),
            (512, 4096, 5000),
        ] {
            assert!(BlockSize::new(minimum, preferred, maximum).is_err());
        }
        let sizes = BlockSize::new(512, 4096, 1 << 20).unwrap();
        assert_eq!(sizes.check_alignment(1024, 512), Ok(()));
        assert_eq!(sizes.check_alignment(1023, 512), Err(Errno::Inval));
        assert_eq!(sizes.check_alignment(1024, 511), Err(Errno::Inval));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        assert_eq!(fitting_text("short"), "short");
        assert_eq!(fitting_text("a\0b"), "a");
        let long = "\u{20ac}".repeat(2000);
        assert_eq!(fitting_text(&long).len(), 4095);
    }
}
