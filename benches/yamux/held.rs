//! What is held: by idle streams, by an idle session, and for a peer that is not read.

use std::alloc::System;
use std::time::Duration;

use alts::pool::BufferPool;
use alts::ready::ReadyReader;
use alts::yamux::{Config, Session};
use stats_alloc::StatsAlloc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::Runtime;

use crate::peers::{Peer, Stream, Transport, sockets};

/// Idle streams that are measured together: fewer than the 256 that may be unacknowledged, since rust-yamux acknowledges late.
const STREAMS: usize = 200;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).expect("a count of what is in memory")
}

fn live(heap: &StatsAlloc<System>) -> i64 {
    let stats = heap.stats();
    signed(stats.bytes_allocated) - signed(stats.bytes_deallocated)
}

/// Lets all tasks run until they have nothing left to do.
async fn settle() {
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn move_through(near: &mut Stream, far: &mut Stream, total: usize) {
    let (chunk, mut buffer) = (vec![7; 64 << 10], vec![0; 64 << 10]);
    let writing = async {
        for _ in 0..total / chunk.len() {
            near.write_all(&chunk).await.expect("written");
        }
    };
    let reading = async {
        let mut left = total;
        while left > 0 {
            left -= far.read(&mut buffer).await.expect("read");
        }
    };
    tokio::join!(writing, reading);
}

/// Live heap of an idle stream, either end, its handle included: before use, after 1 MiB, and in the middle of a body. The handle is
/// boxed, as it is for all peers, so that it is on the heap.
pub(crate) fn streams(heap: &StatsAlloc<System>, peer: Peer) -> Vec<(&'static str, f64)> {
    runtime().block_on(async {
        let pools = [&BufferPool::new(), &BufferPool::new()];
        // A first session, for what the runtime makes once.
        drop(peer.streams(Transport::Tcp, 1, pools).await);
        settle().await;
        let one = {
            let before = live(heap);
            let streams = peer.streams(Transport::Tcp, 1, pools).await;
            settle().await;
            std::mem::forget(streams);
            live(heap) - before
        };
        let before = live(heap) + one;
        let mut streams = peer.streams(Transport::Tcp, STREAMS + 1, pools).await;
        settle().await;
        // The list of them is the benchmark's.
        let list = signed(streams.capacity() * size_of::<(Stream, Stream)>());
        let each = |now: i64| (now - before - list) as f64 / (2 * STREAMS) as f64;
        let fresh = each(live(heap));
        for (near, far) in &mut streams {
            move_through(near, far, 1 << 20).await;
            move_through(far, near, 1 << 20).await;
        }
        settle().await;
        let used = each(live(heap));
        let out = |pool: &BufferPool| pool.stats().in_use_bytes + pool.stats().beyond_cap_bytes;
        let pooled = pools.map(out).iter().sum::<usize>() as f64;
        vec![("fresh", fresh), ("used", used), ("pooled", pooled)]
    })
}

/// What of the process is resident for 200 idle streams after 1 MiB each, in MiB.
pub(crate) fn many(peer: Peer) -> Vec<(&'static str, f64)> {
    runtime().block_on(async {
        let pool = BufferPool::new();
        let before = resident();
        let mut streams = peer.streams(Transport::Tcp, 200, [&pool, &pool]).await;
        for (near, far) in &mut streams {
            move_through(near, far, 1 << 20).await;
        }
        settle().await;
        vec![("rss", resident() - before)]
    })
}

fn resident() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().split(' ').next()?.parse::<f64>().ok());
    kib.map_or(f64::NAN, |kib| kib / 1_024.0)
}

/// What a session takes while it is idle, its driver's task and its timer included, beyond a task that waits on the connection alone.
pub(crate) fn session(heap: &StatsAlloc<System>) -> Vec<(&'static str, f64)> {
    const SESSIONS: usize = 200;
    runtime().block_on(async {
        let pool = BufferPool::new();
        let (mut plain, mut peers) = (Vec::new(), Vec::new());
        for _ in 0..SESSIONS {
            let (near, far) = sockets().await;
            plain.push(near);
            peers.push(far);
        }
        let mut sessions = Vec::with_capacity(SESSIONS);
        let mut tasks = Vec::with_capacity(SESSIONS);
        settle().await;
        let before = live(heap);
        for mut socket in plain.drain(..) {
            let pool = pool.clone();
            tasks.push(tokio::spawn(async move { drop(socket.read_on_ready(&pool).await) }));
        }
        settle().await;
        let waiting = live(heap) - before;
        tasks.clear();
        peers.clear();
        settle().await;
        for _ in 0..SESSIONS {
            let (near, far) = sockets().await;
            plain.push(near);
            peers.push(far);
        }
        settle().await;
        let before = live(heap);
        for socket in plain.drain(..) {
            let (session, driver) = Session::server(socket, Config::default(), pool.clone());
            sessions.push(session);
            tokio::spawn(driver);
        }
        settle().await;
        let fresh = live(heap) - before;
        for peer in &mut peers {
            let ping = [0, 2, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9];
            peer.write_all(&ping).await.expect("written");
            peer.read_exact(&mut [0; 12]).await.expect("answered");
        }
        settle().await;
        let used = live(heap) - before;
        let each = |all: i64| (all - waiting) as f64 / SESSIONS as f64;
        vec![("fresh", each(fresh)), ("used", each(used))]
    })
}

/// 250,000 bytes in frames of one byte each that nobody reads: what they hold of the pool and the heap.
pub(crate) fn tiny(heap: &StatsAlloc<System>) -> Vec<(&'static str, f64)> {
    runtime().block_on(async {
        let pool = BufferPool::new();
        let (mut near, far) = sockets().await;
        let (session, driver) = Session::server(far, Config::default(), pool.clone());
        tokio::spawn(driver);
        near.write_all(&[0, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0]).await.expect("written");
        let stream = session.accept().await.expect("a session").expect("a stream");
        settle().await;
        let before = live(heap);
        let frames = [0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 7].repeat(250_000);
        near.write_all(&frames).await.expect("written");
        while session.stats().received_bytes < 250_000 {
            settle().await;
        }
        let heap = live(heap) - before - signed(frames.capacity());
        let held = pool.stats().in_use_bytes;
        drop(stream);
        vec![("held", heap as f64 + held as f64)]
    })
}
