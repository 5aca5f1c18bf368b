//! Every command, with this package's server.

use std::sync::Arc;

use alts_nbd::backend::{Backend as _, MemoryBackend};
use alts_nbd::client::{Client, Settings};
use alts_nbd::export::{Export, Exports};
use alts_nbd::server::{Ending, Server, Settings as ServerSettings};
use alts_nbd::wire::Errno;
use alts_nbd::wire::flags::{AllocationFlags, CommandFlags};
use alts_nbd::wire::reply::SimpleReply;
use alts_nbd::wire::request::Command;
use futures_util::future::try_join_all;
use tokio::io::duplex;

use super::scripted::connected;

const NONE: CommandFlags = CommandFlags::NONE;
const MIB: usize = 1 << 20;

pub(crate) fn pattern(offset: usize, len: usize) -> Vec<u8> {
    (offset..offset + len).map(|at| (at % 251) as u8 ^ (at >> 16) as u8).collect()
}

/// Memory of that size as "disk", served over a stream that holds so many bytes in each direction.
pub(crate) async fn served(
    size: usize,
    room: usize,
    settings: Settings,
) -> (Client, Arc<MemoryBackend>, tokio::task::JoinHandle<Ending>) {
    let memory = Arc::new(MemoryBackend::new(size as u64));
    let mut exports = Exports::new();
    exports.add(Export::new("disk", Arc::clone(&memory) as _).unwrap()).unwrap();
    let (near, far) = duplex(room);
    let server = Server::new(ServerSettings::default());
    let served = tokio::spawn(async move { server.serve(far, exports).await.unwrap() });
    (Client::over(near, "disk", settings).await.unwrap(), memory, served)
}

#[tokio::test]
async fn everything_in_turn() {
    let (client, memory, served) = served(8 * MIB, 64 << 10, Settings::default()).await;
    assert_eq!(client.size(), 8 << 20);
    assert!(client.terms().structured && client.terms().allocation.is_some());
    let data = pattern(3, 3 * MIB + 5);
    client.write_from(77, &data, NONE).await.unwrap();
    let mut stored = vec![0; data.len()];
    memory.read(77, &mut stored).unwrap();
    assert!(stored == data);
    let mut back = vec![9; data.len()];
    client.read_into(77, &mut back).await.unwrap();
    assert!(back == data);
    // In one request, of which most is a hole.
    let all = client.read(0, 8 * MIB).await.unwrap();
    assert!(all[77..77 + data.len()] == data && all[5 * MIB..].iter().all(|&byte| byte == 0));
    drop(all);
    let one = client.read_with(77, 1000, CommandFlags::DF).await.unwrap();
    assert_eq!(one[..], data[..1000]);

    client.flush().await.unwrap();
    client.cache(0..1 << 20).await.unwrap();
    client.write(0, vec![7; 4096], CommandFlags::FUA).await.unwrap();
    client.zero(0..4096, CommandFlags::NO_HOLE).await.unwrap();
    client.zero(4096..1 << 20, CommandFlags::FAST_ZERO).await.unwrap();
    assert!(client.read(0, MIB).await.unwrap().iter().all(|&byte| byte == 0));
    client.trim(1 << 20..2 << 20, CommandFlags::FUA).await.unwrap();
    let extents = client.block_status(0, 8 << 20, NONE).await.unwrap();
    let told: u64 = extents.iter().map(|extent| u64::from(extent.len)).sum();
    assert_eq!(told, 8 << 20, "{extents:?}");
    let last = extents.last().unwrap();
    assert_eq!(last.flags, AllocationFlags::ALL, "a hole that reads as zeroes");
    let one = client.block_status(2 << 20, 1 << 20, CommandFlags::REQ_ONE).await.unwrap();
    assert_eq!((one.len(), one[0].flags), (1, AllocationFlags::NONE));

    client.disconnect().await.unwrap();
    assert!(client.read(0, 1).await.is_err(), "it was closed");
    assert_eq!(served.await.unwrap(), Ending::Disconnected);
}

#[tokio::test]
async fn a_server_that_waits_for_its_replies_to_be_read_is_not_waited_for() {
    // Hardly anything is on the way, so that each side soon waits for the other to receive.
    let (client, _, _served) = served(64 * MIB, 512, Settings::default()).await;
    let jobs = (0..24).map(|nth| {
        let client = client.clone();
        async move {
            let at = nth * 2 * MIB;
            let data = pattern(at, 128 << 10);
            client.write(at as u64, data.clone(), NONE).await?;
            let (same, other) = (client.read(at as u64, data.len()), client.read(0, 64 << 10));
            let (same, _) = futures_util::future::try_join(same, other).await?;
            assert!(same[..] == data);
            client.write(at as u64 + (1 << 20), data, NONE).await
        }
    });
    try_join_all(jobs).await.unwrap();
}

#[tokio::test]
async fn dropping_the_last_handle_disconnects() {
    let (client, memory, served) = served(MIB, 4096, Settings::default()).await;
    let other = client.clone();
    drop(client);
    other.write(0, vec![5; 65_536], NONE).await.unwrap();
    drop(other);
    assert_eq!(served.await.unwrap(), Ending::Disconnected);
    let mut byte = [0];
    memory.read(65_535, &mut byte).unwrap();
    assert_eq!(byte, [5]);
}

#[tokio::test]
async fn simple_replies() {
    let (client, mut server) = connected(false).await;
    let asking = tokio::spawn(async move {
        let read = client.read(512, 1024).await.unwrap().to_vec();
        let refused = client.read(0, 512).await.map(drop).unwrap_err();
        let full = client.write(0, vec![1; 512], NONE).await.unwrap_err();
        client.flush().await.unwrap();
        client.disconnect().await.unwrap();
        (read, refused.errno(), full.errno())
    });
    for (command, error, data) in [
        (Command::Read, None, pattern(0, 1024)),
        (Command::Read, Some(Errno::Io), Vec::new()),
        (Command::Write, Some(Errno::NoSpc), Vec::new()),
        (Command::Flush, None, Vec::new()),
    ] {
        let (request, _) = server.request().await;
        assert_eq!(request.command, command);
        server.send(&SimpleReply { error, cookie: request.cookie }.encode()).await;
        server.send(&data).await;
    }
    assert_eq!(server.request().await.0.command, Command::Disconnect);
    drop(server);
    let (read, refused, full) = asking.await.unwrap();
    assert_eq!((read, refused, full), (pattern(0, 1024), Some(Errno::Io), Some(Errno::NoSpc)));
}

#[tokio::test]
async fn replies_in_any_order() {
    let (client, mut server) = connected(false).await;
    let reads = (0..10_u64).map(|nth| {
        let client = client.clone();
        async move { client.read(nth * 512, 512).await.map(|buf| (nth, buf.to_vec())) }
    });
    let reading = tokio::spawn(try_join_all(reads));
    let mut requests = Vec::new();
    for _ in 0..10 {
        requests.push(server.request().await.0);
    }
    for request in requests.iter().rev() {
        server.send(&SimpleReply { error: None, cookie: request.cookie }.encode()).await;
        server.send(&[(request.offset / 512) as u8; 512]).await;
    }
    for (nth, data) in reading.await.unwrap().unwrap() {
        assert_eq!(data, [nth as u8; 512]);
    }
}
