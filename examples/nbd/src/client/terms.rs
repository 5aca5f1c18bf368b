//! What a handshake has agreed on.

use super::error::Usage;
use crate::wire::PORTABLE_PAYLOAD;
use crate::wire::flags::{CommandFlags, TransmissionFlags};
use crate::wire::option_reply::{BlockSize, ExportInfo};
use crate::wire::request::Command;

/// An export as the server describes it, and what was agreed on.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Terms {
    /// The name that was asked for.
    pub name: String,
    /// The name by which the server knows the export, if it told.
    pub canonical_name: Option<String>,
    /// A text for people, if the server told one.
    pub description: Option<String>,
    /// Size and flags.
    pub info: ExportInfo,
    /// Sizes that requests have to keep to, if the server told them.
    pub told_block_size: Option<BlockSize>,
    /// Replies to reads come in chunks.
    pub structured: bool,
    /// The id of `base:allocation`, if the server tells what is allocated.
    pub allocation: Option<u32>,
}

impl Terms {
    /// Bytes of the export.
    pub fn size(&self) -> u64 {
        self.info.size
    }

    /// Whether the server says that it is capable of this.
    pub fn offers(&self, flags: TransmissionFlags) -> bool {
        self.info.flags.contains(flags)
    }

    /// Whether writes are refused.
    pub fn is_read_only(&self) -> bool {
        self.offers(TransmissionFlags::READ_ONLY)
    }

    /// Sizes that requests have to keep to.
    pub fn block_size(&self) -> BlockSize {
        self.told_block_size.unwrap_or(BlockSize::DEFAULT)
    }

    /// The most bytes of data in one request or its reply.
    pub fn most_data(&self) -> u32 {
        self.block_size().maximum.min(PORTABLE_PAYLOAD)
    }

    /// Checks a request before it is sent.
    pub(super) fn check(
        &self,
        command: Command,
        flags: CommandFlags,
        offset: u64,
        len: u64,
    ) -> Result<(), Usage> {
        type Offer = TransmissionFlags;
        let needs = |offer, what| match self.offers(offer) {
            true => Ok(()),
            false => Err(Usage::NotOffered(what)),
        };
        if command.writes() && self.is_read_only() {
            return Err(Usage::ReadOnly);
        }
        match command {
            Command::Flush => needs(Offer::FLUSH, "flush")?,
            Command::Trim => needs(Offer::TRIM, "trim")?,
            Command::WriteZeroes => needs(Offer::WRITE_ZEROES, "writing zeroes")?,
            Command::BlockStatus if self.allocation.is_none() => {
                return Err(Usage::NotOffered("base:allocation"));
            }
            _ => {}
        }
        for (flag, offer, what) in [
            (CommandFlags::FUA, Offer::FUA, "FUA"),
            (CommandFlags::DF, Offer::DF, "DF"),
            (CommandFlags::FAST_ZERO, Offer::FAST_ZERO, "FAST_ZERO"),
        ] {
            if flags.contains(flag) {
                needs(offer, what)?;
            }
        }
        if !flags.without(command.flags()).is_empty() {
            return Err(Usage::NotOffered("this flag with this command"));
        }
        if command == Command::Flush {
            return Ok(());
        }
        let end = offset.checked_add(len).filter(|&end| end <= self.size());
        end.ok_or(Usage::BeyondEnd(self.size()))?;
        let block = self.block_size().minimum;
        if !(offset | len).is_multiple_of(block.into()) {
            return Err(Usage::Misaligned(block));
        }
        let most = match command {
            Command::Read | Command::Write => self.most_data(),
            _ => u32::MAX,
        };
        if len > most.into() { Err(Usage::TooLong(most.into())) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(flags: TransmissionFlags) -> Terms {
        Terms {
            name: String::new(),
            canonical_name: None,
            description: None,
            info: ExportInfo { size: 1 << 30, flags },
            told_block_size: Some(BlockSize::new(512, 4096, 1 << 20).unwrap()),
            structured: true,
            allocation: None,
        }
    }

    #[test]
    fn what_is_not_offered_is_not_sent() {
        let none = terms(TransmissionFlags::HAS_FLAGS);
        let all = terms(TransmissionFlags::ALL.without(TransmissionFlags::READ_ONLY));
        let no = CommandFlags::NONE;
        for (command, flags) in [
            (Command::Flush, no),
            (Command::Trim, no),
            (Command::WriteZeroes, no),
            (Command::Write, CommandFlags::FUA),
            (Command::Read, CommandFlags::DF),
        ] {
            assert!(matches!(none.check(command, flags, 0, 512), Err(Usage::NotOffered(_))));
            assert_eq!(all.check(command, flags, 0, 512), Ok(()));
        }
        assert!(all.check(Command::BlockStatus, no, 0, 512).is_err(), "no context");
        assert!(all.check(Command::Read, CommandFlags::NO_HOLE, 0, 512).is_err());
        let read_only = terms(TransmissionFlags::ALL);
        for command in [Command::Write, Command::Trim, Command::WriteZeroes] {
            assert_eq!(read_only.check(command, no, 0, 512), Err(Usage::ReadOnly));
        }
    }

    #[test]
    fn ranges() {
        let terms = terms(TransmissionFlags::ALL.without(TransmissionFlags::READ_ONLY));
        let check = |command, offset, len| terms.check(command, CommandFlags::NONE, offset, len);
        let size = terms.size();
        assert_eq!(check(Command::Read, size - 512, 512), Ok(()));
        for (offset, len) in
            [(size, 512), (size - 512, 1024), (u64::MAX - 511, 512), (u64::MAX, u64::MAX)]
        {
            assert_eq!(check(Command::Read, offset, len), Err(Usage::BeyondEnd(size)));
        }
        assert_eq!(check(Command::Write, 1, 512), Err(Usage::Misaligned(512)));
        assert_eq!(check(Command::Write, 0, 513), Err(Usage::Misaligned(512)));
        assert_eq!(check(Command::Write, 0, (1 << 20) + 512), Err(Usage::TooLong(1 << 20)));
        assert_eq!(check(Command::WriteZeroes, 0, size), Ok(()));
    }
}
