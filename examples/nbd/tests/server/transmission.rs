//! What requests do.

use std::sync::Arc;

use alts_nbd::backend::{Backend, MemoryBackend};
use alts_nbd::export::Strategy;
use alts_nbd::wire::Errno;
use alts_nbd::wire::flags::CommandFlags;
use alts_nbd::wire::request::Command;

use super::raw::{Client, MIB, exports, pattern, pattern_exports, server, until};

const NONE: CommandFlags = CommandFlags::NONE;

#[tokio::test]
async fn reads_and_writes_of_all_sizes() {
    for strategy in [Strategy::default(), Strategy::Chunked { piece: 4096 }, Strategy::Whole] {
        let memory = Arc::new(MemoryBackend::new(8 * MIB as u64));
        let (server, exports) = (server(16 * MIB), exports(memory, strategy));
        let mut structured = Client::ready(&server, &exports).await;
        let mut simple = Client::simple(&server, &exports).await;
        for (offset, len) in
            [(0, 1), (1, 511), (4095, 2), (4096, 4096), (5, 256 << 10), (77, (3 << 20) + 1)]
        {
            let data = pattern(offset, len);
            let (through, at) = (CommandFlags::FUA, offset as u64);
            assert_eq!(structured.write(through, at, &data).await.code(), None);
            assert!(simple.read(at, len).await == data);
            assert!(structured.read(at, len).await == data);
            let reply = structured.call(Command::Read, CommandFlags::DF, at, len).await;
            assert_eq!(reply.parts.len(), 1, "one chunk");
            assert!(reply.data(at, len) == data);
        }
        structured.disconnect().await;
        simple.disconnect().await;
    }
}

#[tokio::test]
async fn everything_else_is_done() {
    let memory = Arc::new(MemoryBackend::new(8 * MIB as u64));
    let (server, exports) =
        (server(4 * MIB), exports(Arc::clone(&memory) as _, Strategy::default()));
    let mut client = Client::ready(&server, &exports).await;
    client.write(NONE, 0, &vec![7; 4 * MIB]).await;
    for (command, flags) in [
        (Command::Flush, NONE),
        (Command::Cache, NONE),
        (Command::Flush, CommandFlags::FUA),
        (Command::WriteZeroes, CommandFlags::NO_HOLE | CommandFlags::FUA),
    ] {
        assert_eq!(client.call(command, flags, 0, MIB).await.code(), None);
    }
    assert_eq!(memory.allocated(), 4 * MIB as u64, "no hole was allowed");
    assert_eq!(client.read(0, MIB).await, vec![0; MIB]);
    let fast = CommandFlags::FAST_ZERO;
    assert_eq!(client.call(Command::WriteZeroes, fast, 0, MIB).await.code(), None);
    assert_eq!(memory.allocated(), 3 * MIB as u64);
    let status = client.call(Command::BlockStatus, NONE, 0, 2 * MIB).await;
    assert_eq!(status.extents, [(MIB as u32, 3), (MIB as u32, 0)]);
    let one = client.call(Command::BlockStatus, CommandFlags::REQ_ONE, 1, 2 * MIB).await;
    assert_eq!(one.extents, [(MIB as u32 - 1, 3)]);
    assert_eq!(client.call(Command::Trim, NONE, 0, 4 * MIB).await.code(), None);
    assert_eq!(memory.allocated(), 0);
    client.disconnect().await;
}

#[tokio::test]
async fn empty_requests_do_nothing() {
    let (server, exports) = (server(4 * MIB), pattern_exports(MIB));
    for mut client in
        [Client::ready(&server, &exports).await, Client::simple(&server, &exports).await]
    {
        for command in [Command::Read, Command::Trim, Command::Cache, Command::WriteZeroes] {
            assert_eq!(client.call(command, NONE, MIB as u64, 0).await.code(), None);
        }
        assert_eq!(client.write(NONE, 0, b"").await.code(), None);
        assert_eq!(client.read(0, 512).await, pattern(0, 512));
        client.disconnect().await;
    }
}

#[tokio::test]
async fn a_refused_write_leaves_the_connection_in_step() {
    let (server, exports) = (server(4 * MIB), pattern_exports(4 * MIB));
    let end = 4 * MIB as u64;
    let read_only = {
        let mut exports = alts_nbd::export::Exports::new();
        let memory = Arc::new(MemoryBackend::new(end));
        let export = alts_nbd::export::Export::new("disk", memory).unwrap();
        exports.add(export.read_only()).unwrap();
        exports
    };
    let payload = vec![0x25; 100_000];
    for (exports, flags, offset, expected) in [
        (&exports, 0, end - 10, Errno::NoSpc),
        (&exports, 0, u64::MAX, Errno::NoSpc),
        (&exports, 0x8000, 0, Errno::Inval),
        (&exports, 4, 0, Errno::Inval),
        (&read_only, 0, 0, Errno::Perm),
    ] {
        let mut client = Client::ready(&server, exports).await;
        let reply = client.write(CommandFlags(flags), offset, &payload).await;
        assert_eq!(reply.code(), Some(expected));
        client.assert_alive().await;
        client.disconnect().await;
    }
}

#[tokio::test]
async fn other_commands_have_no_payload_whatever_their_length() {
    let (server, exports) = (server(4 * MIB), pattern_exports(MIB));
    let mut client = Client::ready(&server, &exports).await;
    for code in [4, 5, 6, 7, 8, 9, 1000] {
        // Beyond the end, and unknown: the next bytes are a request all the same.
        let reply = client.call(Command::from_code(code), NONE, 0, 2 * MIB).await;
        assert!(reply.code().is_some());
        client.assert_alive().await;
    }
    client.disconnect().await;
}

#[tokio::test]
async fn replies_come_when_they_are_ready() {
    /// Reads at odd offsets wait until one at an even offset has been served.
    struct Gate(MemoryBackend, std::sync::Barrier);

    impl Backend for Gate {
        fn size(&self) -> u64 {
            self.0.size()
        }

        fn read(&self, offset: u64, buf: &mut [u8]) -> std::io::Result<()> {
            if offset == 1 {
                self.1.wait();
            }
            self.0.read(offset, buf)
        }

        fn flush(&self) -> std::io::Result<()> {
            self.1.wait();
            Ok(())
        }
    }

    let gate = Gate(MemoryBackend::new(MIB as u64), std::sync::Barrier::new(2));
    let (server, exports) = (server(4 * MIB), exports(Arc::new(gate), Strategy::default()));
    let mut client = Client::ready(&server, &exports).await;
    let slow = client.request(Command::Read, NONE, 1, 512).await;
    let quick = client.request(Command::Read, NONE, 2, 512).await;
    assert_eq!(client.reply(512).await.cookie, quick.cookie);
    let flush = client.request(Command::Flush, NONE, 0, 0).await;
    let mut cookies = [client.reply(0).await.cookie, client.reply(0).await.cookie];
    cookies.sort_unstable();
    assert_eq!(cookies, [slow.cookie, flush.cookie]);
    client.disconnect().await;
}

#[tokio::test]
async fn all_that_was_asked_before_disc_is_answered_and_nothing_after_it() {
    let (server, exports) = (server(4 * MIB), pattern_exports(4 * MIB));
    let mut client = Client::ready(&server, &exports).await;
    for _ in 0..64 {
        client.request(Command::Read, NONE, 0, 64 << 10).await;
    }
    client.request(Command::Disconnect, NONE, 0, 0).await;
    client.request(Command::Read, NONE, 0, 512).await;
    client.send(b"and this is no request at all").await;
    for _ in 0..64 {
        assert!(client.reply(0).await.data(0, 64 << 10) == pattern(0, 64 << 10));
    }
    assert!(client.is_closed().await);
    drop(client);
    until(|| server.figures().open == 0).await;
    assert_eq!(server.figures().requests, 64);
}

#[tokio::test]
async fn a_client_may_close_between_requests_and_half_close_after_disc() {
    let (server, exports) = (server(4 * MIB), pattern_exports(MIB));
    let mut client = Client::ready(&server, &exports).await;
    client.assert_alive().await;
    drop((client.reader, client.writer));
    assert!(client.served.await.unwrap().is_ok(), "no fault");

    let mut client = Client::ready(&server, &exports).await;
    client.request(Command::Read, NONE, 0, MIB).await;
    client.request(Command::Disconnect, NONE, 0, 0).await;
    drop(client.writer);
    let mut data = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut client.reader, &mut data).await.unwrap();
    assert!(data.len() > MIB, "the reply came");
}

#[tokio::test]
async fn a_write_is_seen_by_other_connections_once_it_is_answered() {
    let (server, exports) = (server(4 * MIB), pattern_exports(MIB));
    let mut one = Client::ready(&server, &exports).await;
    let mut other = Client::ready(&server, &exports).await;
    for turn in 0..100_u64 {
        one.write(NONE, turn, &[turn as u8; 1000]).await;
        assert_eq!(other.read(turn, 1000).await, [turn as u8; 1000]);
    }
    one.disconnect().await;
    other.disconnect().await;
}

#[tokio::test]
async fn the_same_cookie_twice_hurts_nobody() {
    let (server, exports) = (server(4 * MIB), pattern_exports(MIB));
    let mut client = Client::ready(&server, &exports).await;
    let request = client.request(Command::Read, NONE, 0, 512).await;
    client.send(&request.encode()).await;
    for _ in 0..2 {
        let reply = client.reply(512).await;
        assert_eq!(reply.cookie, request.cookie);
        assert_eq!(reply.data(0, 512), pattern(0, 512));
    }
    client.disconnect().await;
}
