//! Memory within the pool's cap, whatever clients do.

use std::sync::Arc;

use alts_nbd::backend::MemoryBackend;
use alts_nbd::export::Strategy;
use alts_nbd::server::Server;
use alts_nbd::wire::flags::CommandFlags;
use alts_nbd::wire::request::Command;
use tokio::net::UnixStream;
use tokio::task::JoinSet;

use super::raw::{Client, MIB, exports, pattern, pattern_exports, pattern_memory, server, until};

const CAP: usize = 4 * MIB;
/// Much more than a socket takes.
const LARGE: usize = 8 * MIB;
const NONE: CommandFlags = CommandFlags::NONE;

/// Nothing was ever beyond the cap, and now nothing is held.
fn assert_within(server: &Server, cap: usize) {
    let stats = server.pool().stats();
    assert!(stats.high_water_bytes <= cap, "{} of {cap}", stats.high_water_bytes);
    assert_eq!(stats.in_use_bytes, 0);
    assert_eq!(stats.beyond_cap_bytes + stats.overdraft_bytes, 0);
}

#[tokio::test]
async fn clients_that_do_not_read_hold_nothing_and_delay_nobody() {
    let (server, exports) = (server(CAP), pattern_exports(LARGE));
    let mut stuck = Vec::new();
    for _ in 0..32 {
        let mut client = Client::ready(&server, &exports).await;
        client.request(Command::Read, NONE, 0, LARGE).await;
        stuck.push(client);
    }
    // 32 x 256 KiB are twice the cap. Each gives its piece back, and others get theirs.
    until(|| server.figures().released >= 32).await;
    let mut other = Client::ready(&server, &exports).await;
    assert_eq!(other.read(1000, 4 * MIB).await, pattern(1000, 4 * MIB));
    until(|| server.pool().stats().in_use_bytes == 0).await;
    assert_eq!(server.figures().in_flight, 32);

    let expected = Arc::new(pattern(0, LARGE));
    let mut readers = JoinSet::new();
    for mut client in stuck {
        let expected = Arc::clone(&expected);
        readers.spawn(async move {
            let data = client.reply(0).await.data(0, LARGE);
            assert!(data == *expected);
            client.disconnect().await;
        });
    }
    readers.join_all().await;
    other.disconnect().await;
    assert_within(&server, CAP);
}

#[tokio::test]
async fn payloads_that_stop_hold_nothing_and_delay_nobody() {
    let memory = Arc::new(MemoryBackend::new(32 * MIB as u64));
    let (server, exports) = (server(CAP), exports(memory, Strategy::default()));
    let mut stuck = Vec::new();
    // An odd number of bytes, so that pieces end anywhere.
    let first = 3 * MIB / 2 + 77;
    for _ in 0..32 {
        let mut client = Client::ready(&server, &exports).await;
        client.request(Command::Write, NONE, 0, 4 * MIB).await;
        client.send(&pattern(0, first)).await;
        stuck.push(client);
    }
    until(|| server.figures().released >= 32).await;
    until(|| server.pool().stats().in_use_bytes == 0).await;
    let mut other = Client::ready(&server, &exports).await;
    assert_eq!(other.read(0, MIB).await, pattern(0, MIB), "what has arrived is stored");
    for mut client in stuck {
        client.send(&pattern(first, 4 * MIB - first)).await;
        assert_eq!(client.reply(0).await.code(), None);
        client.disconnect().await;
    }
    assert_eq!(other.read(0, 4 * MIB).await, pattern(0, 4 * MIB));
    other.disconnect().await;
    assert_within(&server, CAP);
}

#[tokio::test]
async fn one_connection_has_its_budget() {
    let memory = Arc::new(MemoryBackend::new(32 * MIB as u64));
    let (server, exports) = (server(64 * MIB), exports(memory, Strategy::default()));
    let mut client = Client::ready(&server, &exports).await;
    for _ in 0..16 {
        client.request(Command::Read, NONE, 0, 32 * MIB).await;
    }
    until(|| server.figures().in_flight == 16).await;
    until(|| server.pool().stats().in_use_bytes == 0).await;
    // 1 MiB in pieces of 256 KiB, each with 512 bytes more.
    assert!(server.pool().stats().high_water_bytes <= MIB + 4 * 512);
}

#[tokio::test]
async fn more_requests_than_may_be_in_flight_wait_in_the_socket() {
    let memory = Arc::new(MemoryBackend::new(32 * MIB as u64));
    let (server, exports) = (server(CAP), exports(memory, Strategy::default()));
    let mut client = Client::ready(&server, &exports).await;
    for at in 0..100 {
        client.request(Command::Read, NONE, at, 32 * MIB - 100).await;
    }
    until(|| server.figures().in_flight == 64).await;
    until(|| server.figures().released >= 1).await;
    assert_eq!(server.figures().requests, 64);
}

#[tokio::test]
async fn whole_requests_share_a_cap_that_has_room_for_one() {
    let memory = Arc::new(pattern_memory(8 * MIB));
    let (server, exports) = (server(3 * MIB), exports(memory, Strategy::Whole));
    let mut clients = JoinSet::new();
    for turn in 0..8 {
        let mut client = Client::ready(&server, &exports).await;
        clients.spawn(async move {
            let offset = turn * 1000;
            let data = client.read(offset as u64, 2 * MIB).await;
            assert!(data == pattern(offset, 2 * MIB));
            assert_eq!(client.write(NONE, offset as u64, &data).await.code(), None);
            // More than the cap has room for: in pieces.
            assert!(client.read(5, 7 * MIB).await == pattern(5, 7 * MIB));
            client.disconnect().await;
        });
    }
    clients.join_all().await;
    assert_within(&server, 3 * MIB);
}

#[tokio::test]
async fn kept_buffers_are_let_go_when_others_wait() {
    let memory = Arc::new(pattern_memory(8 * MIB));
    let strategy = Strategy::HoldLargest { most: 2 * MIB };
    let (server, exports) = (server(CAP), exports(memory, strategy));
    let mut keeper = Client::ready(&server, &exports).await;
    keeper.read(0, 2 * MIB - 512).await;
    let kept = server.pool().stats().in_use_bytes;
    assert!(kept >= 2 * MIB, "{kept} bytes are kept");
    // It is used again, and by a small request too.
    let before = server.pool().stats();
    keeper.read(0, 2 * MIB - 512).await;
    keeper.read(0, 4096).await;
    let after = server.pool().stats();
    assert_eq!((before.hits, before.misses), (after.hits, after.misses));

    let mut other = Client::ready(&server, &exports).await;
    assert_eq!(other.read(7, 3 * MIB).await, pattern(7, 3 * MIB));
    keeper.read(0, 4096).await;
    keeper.disconnect().await;
    other.disconnect().await;
    assert_within(&server, CAP);
}

#[tokio::test]
async fn more_than_the_limit_is_not_kept() {
    let memory = Arc::new(pattern_memory(8 * MIB));
    let strategy = Strategy::HoldLargest { most: MIB };
    let (server, exports) = (server(CAP), exports(memory, strategy));
    let mut client = Client::ready(&server, &exports).await;
    client.read(0, 2 * MIB).await;
    until(|| server.pool().stats().in_use_bytes == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tiny_cap_and_many_connections_do_not_deadlock() {
    for strategy in
        [Strategy::default(), Strategy::Whole, Strategy::HoldLargest { most: 256 << 10 }]
    {
        let memory = Arc::new(pattern_memory(8 * MIB));
        let cap = 300 << 10;
        let (server, exports) = (server(cap), exports(memory, strategy));
        let mut clients = JoinSet::new();
        for number in 0..24_usize {
            let mut client = Client::ready(&server, &exports).await;
            clients.spawn(async move {
                for turn in 0..6 {
                    let offset = (number * 7919 + turn * 104_729) % (7 * MIB);
                    let len = 1 + (number * 31 + turn * 65_537) % (900 << 10);
                    let data = pattern(offset, len);
                    assert_eq!(client.write(NONE, offset as u64, &data).await.code(), None);
                    assert!(client.read(offset as u64, len).await == data);
                }
                client.disconnect().await;
            });
        }
        clients.join_all().await;
        assert_within(&server, cap);
    }
}

#[tokio::test]
async fn a_connection_that_is_dropped_gives_everything_back() {
    let memory = Arc::new(MemoryBackend::new(32 * MIB as u64));
    let (server, exports) = (server(CAP), exports(memory, Strategy::default()));
    for _ in 0..10 {
        let mut reader = Client::ready(&server, &exports).await;
        reader.request(Command::Read, NONE, 0, 32 * MIB).await;
        let mut writer = Client::ready(&server, &exports).await;
        writer.request(Command::Write, NONE, 0, 32 * MIB).await;
        writer.send(&vec![0; 100_000]).await;
        until(|| server.figures().in_flight == 2).await;
        drop((reader, writer));
        until(|| server.figures().open == 0).await;
    }
    assert_eq!(server.figures().in_flight, 0);
    assert_within(&server, CAP);
}

#[tokio::test]
async fn a_payload_that_stops_holds_up_no_other_request() {
    for strategy in [Strategy::default(), Strategy::Whole] {
        let memory = Arc::new(pattern_memory(8 * MIB));
        let (server, exports) = (server(CAP), exports(memory, strategy));
        let mut client = Client::ready(&server, &exports).await;
        // The client waits for this reply before it sends on.
        let read = client.request(Command::Read, NONE, 0, 4 * MIB).await;
        let write = client.request(Command::Write, NONE, 0, 2 * MIB).await;
        let reply = client.reply(0).await;
        assert_eq!(reply.cookie, read.cookie);
        assert!(reply.data(0, 4 * MIB) == pattern(0, 4 * MIB));
        client.send(&pattern(0, 2 * MIB)).await;
        assert_eq!(client.reply(0).await.cookie, write.cookie);
        client.disconnect().await;
    }
}

/// A task keeps room for what it runs. What it needs at times only is in boxes.
#[tokio::test]
async fn the_task_of_a_connection_is_small() {
    let (server, exports) = (server(64 * MIB), pattern_exports(MIB));
    let (near, _far) = UnixStream::pair().unwrap();
    let serving = server.serve_socket(near, exports);
    assert!(size_of_val(&serving) <= 512, "{}", size_of_val(&serving));
}
