//! The server's side of transmission, as far as it needs no I/O: which requests are right.

use crate::negotiation::Agreed;
use crate::wire::flags::CommandFlags;
use crate::wire::request::{Command, Request};
use crate::wire::{Errno, PORTABLE_PAYLOAD};

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What the client is told.
    pub error: Errno,
    /// A text for people.
    pub text: &'static str,
}

/// Checks a request against what was agreed on. The payload of a write has to be read in any case.
///
/// # Errors
/// The first of: an unknown command, a flag that is not allowed, a write to a read-only export, a range that is not within the
/// export or not aligned, a payload that is too large, block status without a context. Offset and length of `FLUSH` do not
/// matter. A request of length 0 is right, except for block status, which would have nothing to answer.
pub fn check(request: &Request, agreed: &Agreed) -> Result<(), Fault> {
    let fault = |error, text| Err(Fault { error, text });
    let (command, export) = (request.command, &agreed.export);
    if matches!(command, Command::Unknown(_)) {
        return fault(Errno::Inval, "unknown command");
    }
    let allowed = command.flags();
    let allowed = match agreed.structured {
        true => allowed,
        false => allowed.without(CommandFlags::DF),
    };
    let allowed = match export.capabilities().fast_zero {
        true => allowed,
        false => allowed.without(CommandFlags::FAST_ZERO),
    };
    if !request.flags.without(allowed).is_empty() {
        return fault(Errno::Inval, "a flag is not allowed for this command");
    }
    if command.writes() && export.is_read_only() {
        return fault(Errno::Perm, "the export is read-only");
    }
    if matches!(command, Command::Flush | Command::Disconnect) {
        return Ok(());
    }
    if request.end_within(export.size()).is_none() {
        let writes = matches!(command, Command::Write | Command::WriteZeroes);
        let error = if writes { Errno::NoSpc } else { Errno::Inval };
        return fault(error, "the range ends beyond the export");
    }
    let block_size = export.block_size();
    if block_size.check_alignment(request.offset, request.len).is_err() {
        return fault(Errno::Inval, "the range does not consist of whole blocks");
    }
    let most = block_size.maximum.min(PORTABLE_PAYLOAD);
    match command {
        // What is answered in chunks may have any length.
        Command::Read if request.len > most && request.flags.contains(CommandFlags::DF) => {
            fault(Errno::Overflow, "too much for one chunk")
        }
        Command::Read if request.len > most && !agreed.structured => {
            fault(Errno::Inval, "too much for one reply")
        }
        Command::Write if request.len > most => fault(Errno::Inval, "too much for one request"),
        Command::BlockStatus if !agreed.allocation => {
            fault(Errno::Inval, "no metadata context was selected")
        }
        Command::BlockStatus if request.len == 0 => fault(Errno::Inval, "an empty range"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::backend::{Backend, Capabilities, MemoryBackend};
    use crate::export::Export;

    const SIZE: u64 = 1 << 26;

    fn agreed(export: Export) -> Agreed {
        Agreed { export: Arc::new(export), structured: true, allocation: true }
    }

    fn memory() -> Export {
        Export::new("disk", Arc::new(MemoryBackend::new(SIZE))).unwrap()
    }

    fn request(command: Command, flags: u16, offset: u64, len: u32) -> Request {
        Request { flags: CommandFlags(flags), command, cookie: 1, offset, len }
    }

    #[track_caller]
    fn error(agreed: &Agreed, request: Request) -> Option<Errno> {
        check(&request, agreed).err().map(|fault| fault.error)
    }

    const ALL: [Command; 7] = [
        Command::Read,
        Command::Write,
        Command::Flush,
        Command::Trim,
        Command::Cache,
        Command::WriteZeroes,
        Command::BlockStatus,
    ];

    #[test]
    fn flags_of_other_commands_are_refused_and_fua_never() {
        let agreed = agreed(memory());
        for command in ALL {
            for bit in 0..16 {
                let flags = 1 << bit;
                let right = match command {
                    Command::Read => [1, 4].contains(&flags),
                    Command::WriteZeroes => [1, 2, 16].contains(&flags),
                    Command::BlockStatus => [1, 8].contains(&flags),
                    _ => flags == 1,
                };
                let found = error(&agreed, request(command, flags, 0, 512));
                assert_eq!(found.is_none(), right, "{command:?} {flags:#x}");
                assert!(right || found == Some(Errno::Inval));
            }
        }
        let plain = Agreed { structured: false, ..agreed };
        assert_eq!(error(&plain, request(Command::Read, 4, 0, 512)), Some(Errno::Inval));
    }

    #[test]
    fn ends_of_ranges() {
        let agreed = agreed(memory());
        for command in ALL {
            let beyond = match command {
                Command::Flush => None,
                Command::Write | Command::WriteZeroes => Some(Errno::NoSpc),
                _ => Some(Errno::Inval),
            };
            assert_eq!(error(&agreed, request(command, 0, SIZE - 512, 512)), None);
            for (offset, len) in
                [(SIZE, 1), (SIZE - 511, 512), (u64::MAX, 1), (u64::MAX, u32::MAX), (1 << 63, 512)]
            {
                assert_eq!(error(&agreed, request(command, 0, offset, len)), beyond, "{command:?}");
            }
        }
    }

    #[test]
    fn writes_to_a_read_only_export() {
        let agreed = agreed(memory().read_only());
        for command in ALL {
            let expected = command.writes().then_some(Errno::Perm);
            assert_eq!(error(&agreed, request(command, 0, 0, 512)), expected);
        }
    }

    #[test]
    fn unknown_commands() {
        let agreed = agreed(memory());
        for code in [8, 9, 100, u16::MAX] {
            let found = error(&agreed, request(Command::from_code(code), 0, 0, 512));
            assert_eq!(found, Some(Errno::Inval));
        }
    }

    #[test]
    fn payloads() {
        let structured = agreed(memory());
        let simple = Agreed { structured: false, ..structured.clone() };
        let most = PORTABLE_PAYLOAD;
        for (agreed, command, flags, expected) in [
            (&structured, Command::Read, 0, None),
            (&structured, Command::Read, 4, Some(Errno::Overflow)),
            (&simple, Command::Read, 0, Some(Errno::Inval)),
            (&structured, Command::Write, 0, Some(Errno::Inval)),
            (&structured, Command::Trim, 0, None),
            (&structured, Command::WriteZeroes, 0, None),
            (&structured, Command::Cache, 0, None),
            (&structured, Command::BlockStatus, 0, None),
        ] {
            assert_eq!(error(agreed, request(command, flags, 0, most)), None);
            assert_eq!(error(agreed, request(command, flags, 0, most + 1)), expected);
        }
    }

    #[test]
    fn block_status_needs_a_context_and_a_range() {
        let with = agreed(memory());
        assert_eq!(error(&with, request(Command::BlockStatus, 0, 0, 0)), Some(Errno::Inval));
        let without = Agreed { allocation: false, ..with };
        assert_eq!(error(&without, request(Command::BlockStatus, 0, 0, 512)), Some(Errno::Inval));
    }

    struct Sectors;

    impl Backend for Sectors {
        fn size(&self) -> u64 {
            SIZE + 100
        }

        fn read(&self, _offset: u64, _buf: &mut [u8]) -> std::io::Result<()> {
            Ok(())
        }

        fn capabilities(&self) -> Capabilities {
            Capabilities { write: true, minimum_block: 512, ..Capabilities::default() }
        }
    }

    #[test]
    fn blocks() {
        let export = Export::new("sectors", Arc::new(Sectors)).unwrap();
        assert_eq!(export.size(), SIZE);
        let agreed = agreed(export);
        for command in ALL {
            let expected = (command != Command::Flush).then_some(Errno::Inval);
            assert_eq!(error(&agreed, request(command, 0, 512, 512)), None);
            assert_eq!(error(&agreed, request(command, 0, 511, 512)), expected);
            assert_eq!(error(&agreed, request(command, 0, 512, 511)), expected);
        }
        let fast = error(&agreed, request(Command::WriteZeroes, 16, 0, 512));
        assert_eq!(fast, Some(Errno::Inval), "it was not announced");
    }
}
