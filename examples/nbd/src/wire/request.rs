//! Requests.

use super::Malformed;
use super::fields::{join, split};
use super::flags::CommandFlags;

/// What begins every request.
pub const REQUEST_MAGIC: u32 = 0x2560_9513;

/// The numbers of commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Command {
    /// Reads.
    Read,
    /// Writes; the only command with a payload.
    Write,
    /// Ends the connection. Not answered.
    Disconnect,
    /// Makes stable what was answered before.
    Flush,
    /// Tells that the contents are no longer needed.
    Trim,
    /// Tells that the contents will be read soon.
    Cache,
    /// Has a range read as zeroes.
    WriteZeroes,
    /// Asks what is allocated.
    BlockStatus,
    /// Any other number, without a payload.
    Unknown(u16),
}

impl Command {
    /// The number on the wire.
    pub const fn code(self) -> u16 {
        match self {
            Self::Read => 0,
            Self::Write => 1,
            Self::Disconnect => 2,
            Self::Flush => 3,
            Self::Trim => 4,
            Self::Cache => 5,
            Self::WriteZeroes => 6,
            Self::BlockStatus => 7,
            Self::Unknown(code) => code,
        }
    }

    /// The command of that number.
    pub const fn from_code(code: u16) -> Self {
        match code {
            0 => Self::Read,
            1 => Self::Write,
            2 => Self::Disconnect,
            3 => Self::Flush,
            4 => Self::Trim,
            5 => Self::Cache,
            6 => Self::WriteZeroes,
            7 => Self::BlockStatus,
            code => Self::Unknown(code),
        }
    }

    /// The flags that mean something for this command, where the export is capable of them. FUA is accepted with all.
    pub const fn flags(self) -> CommandFlags {
        match self {
            Self::Read => CommandFlags::DF.union(CommandFlags::FUA),
            Self::WriteZeroes => {
                CommandFlags::FUA.union(CommandFlags::NO_HOLE).union(CommandFlags::FAST_ZERO)
            }
            Self::BlockStatus => CommandFlags::REQ_ONE.union(CommandFlags::FUA),
            _ => CommandFlags::FUA,
        }
    }

    /// Whether it changes what is stored.
    pub const fn writes(self) -> bool {
        matches!(self, Self::Write | Self::Trim | Self::WriteZeroes)
    }
}

/// A request, without the payload of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request {
    /// How.
    pub flags: CommandFlags,
    /// What.
    pub command: Command,
    /// What the reply has to repeat. It means nothing to a server.
    pub cookie: u64,
    /// Where, in bytes.
    pub offset: u64,
    /// How many bytes.
    pub len: u32,
}

impl Request {
    /// Bytes on the wire.
    pub const LEN: usize = 28;

    /// Encodes the request.
    pub fn encode(self) -> [u8; Self::LEN] {
        let command = self.command.code();
        join!(REQUEST_MAGIC, self.flags.0, command, self.cookie, self.offset, self.len => Self::LEN)
    }

    /// Decodes a request. Flags and command may be unknown.
    ///
    /// # Errors
    /// [`Malformed::Magic`]: the client is out of step, and the connection has to be closed.
    pub fn decode(bytes: &[u8; Self::LEN]) -> Result<Self, Malformed> {
        split!(bytes => magic: u32, flags: u16, command: u16, cookie: u64, offset: u64, len: u32);
        if magic != REQUEST_MAGIC {
            return Err(Malformed::Magic(magic.into()));
        }
        let (flags, command) = (CommandFlags(flags), Command::from_code(command));
        Ok(Self { flags, command, cookie, offset, len })
    }

    /// How many bytes of payload follow the request.
    pub fn payload_len(&self) -> u32 {
        if self.command == Command::Write { self.len } else { 0 }
    }

    /// Where the range ends, if it ends within `size` bytes.
    pub fn end_within(&self, size: u64) -> Option<u64> {
        self.offset.checked_add(self.len.into()).filter(|&end| end <= size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests() {
        let request = Request {
            flags: CommandFlags::FUA,
            command: Command::Write,
            cookie: 0x0102_0304_0506_0708,
            offset: 16,
            len: 32,
        };
        let bytes = request.encode();
        assert_eq!(
            bytes,
            [
                0x25, 0x60, 0x95, 0x13, 0, 1, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0, 0, 0, 0,
                16, 0, 0, 0, 32
            ]
        );
        assert_eq!(Request::decode(&bytes), Ok(request));
        assert_eq!(Request::decode(&[0; 28]), Err(Malformed::Magic(0)));
        assert_eq!(request.payload_len(), 32);
        for code in 0..20 {
            let command = Command::from_code(code);
            assert_eq!(command.code(), code);
            let other = Request { command, ..request };
            assert_eq!(other.payload_len() != 0, code == 1, "only a write has a payload");
        }
    }

    #[test]
    fn ends_do_not_wrap() {
        let at = |offset, len| Request {
            flags: CommandFlags::NONE,
            command: Command::Read,
            cookie: 0,
            offset,
            len,
        };
        assert_eq!(at(512, 512).end_within(1024), Some(1024));
        assert_eq!(at(513, 512).end_within(1024), None);
        assert_eq!(at(u64::MAX, 1).end_within(u64::MAX), None);
        assert_eq!(at(u64::MAX - 1, u32::MAX).end_within(1024), None);
        assert_eq!(at(u64::MAX, 0).end_within(u64::MAX), Some(u64::MAX));
    }
}
