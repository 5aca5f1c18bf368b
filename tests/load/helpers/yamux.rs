//! `yamux KIND`: peers of a yamux server over plain TCP. Order: `run N`, answered when N hostile connections have done what they can and
//! honest ones beside them have asked to the end.

mod counts;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use alts::pool::BufferPool;
use alts::yamux::{Config, Session};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::throwing::{STOPPED, is_taken};
use super::{Work, report};
use crate::scenarios::HOLD;
use counts::Counts;

/// Honest connections.
const HONEST: usize = 2;
/// More than this is never sent, in bytes.
const ENOUGH: usize = 64 << 20;

pub(crate) async fn run(mut work: Work) {
    let kind: Arc<str> = work.word(0).into();
    report(&json!({}));
    while let Some(order) = work.order().await {
        let count: usize = order[1].parse().expect("a number");
        let done = Arc::new(AtomicBool::new(false));
        let mut honest = JoinSet::new();
        for _ in 0..HONEST {
            honest.spawn(ask(work.server, Arc::clone(&done)));
        }
        let mut hostile = JoinSet::new();
        for _ in 0..count {
            let (server, kind) = (work.server, Arc::clone(&kind));
            hostile.spawn(async move {
                match counts::counts(&kind) {
                    true => counts::attack(server, &kind).await,
                    false => attack(server, &kind).await,
                }
            });
        }
        let (mut total, mut most) = (Counts::default(), 0);
        let mut open = Vec::new();
        for (socket, counts) in hostile.join_all().await {
            most = most.max(counts.sent);
            total += counts;
            open.push(socket);
        }
        done.store(true, Ordering::Relaxed);
        let (mut asked, mut answered) = (0, 0);
        for (asks, answers) in honest.join_all().await {
            asked += asks;
            answered += answers;
        }
        drop(open);
        report(&json!({
            "bytes": total.sent, "messages": total.frames, "most": most,
            "within": total.within, "beyond": total.beyond, "reset": total.reset, "served": total.served,
            "asked": asked, "answered": answered, "lost": asked - answered,
        }));
    }
}

/// An honest peer: one stream after the other, each with an echo, until the others are done.
async fn ask(server: SocketAddr, done: Arc<AtomicBool>) -> (u64, u64) {
    let socket = TcpStream::connect(server).await.expect("a connection");
    let (session, driver) = Session::client(socket, Config::default(), BufferPool::new());
    let driver = tokio::spawn(driver);
    let (mut asked, mut answered) = (0, 0);
    while asked < 20 || !done.load(Ordering::Relaxed) {
        asked += 1;
        let mut stream = session.open().await.expect("a stream");
        stream.write_all(b"?hello").await.expect("written");
        let mut echo = [0; 5];
        stream.read_exact(&mut echo).await.expect("an answer");
        answered += u64::from(&echo == b"hello");
        stream.close_write();
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    session.shutdown(Duration::from_secs(60)).await.expect("an end in order");
    driver.await.expect("it does not panic").expect("an end in order");
    (asked, answered)
}

fn frame(kind: u8, flags: u8, stream: u32, length: u32) -> [u8; 12] {
    let mut bytes = [0; 12];
    (bytes[1], bytes[3]) = (kind, flags);
    bytes[4..8].copy_from_slice(&stream.to_be_bytes());
    bytes[8..].copy_from_slice(&length.to_be_bytes());
    bytes
}

/// A stream that is held, with this many bytes that nobody reads, in frames of such a length.
fn held(stream: u32, len: u32, step: u32) -> Vec<u8> {
    let mut bytes = frame(0, 1, stream, 1).to_vec();
    bytes.push(HOLD);
    for _ in 0..len / step {
        bytes.extend(frame(0, 0, stream, step));
        bytes.resize(bytes.len() + step as usize, 7);
    }
    bytes
}

/// The socket, and what the server has taken.
async fn attack(server: SocketAddr, kind: &str) -> (TcpStream, Counts) {
    let mut socket = TcpStream::connect(server).await.expect("a connection");
    let mut sent = 0;
    let mut id = 1;
    let frames_of = |chunk: &[u8]| chunk.len() as u64 / 12;
    let mut frames = 0;
    loop {
        let chunk: Vec<u8> = match kind {
            "pings" => frame(2, 1, 0, 9).repeat(1_000),
            "streams" => (0..1_000).flat_map(|i| frame(1, 1, id + 2 * i, 0)).collect(),
            "empty" => frame(0, 0, 1, 0).repeat(10_000),
            "churn" => (0..500)
                .flat_map(|i| [frame(1, 1, id + 2 * i, 0), frame(1, 8, id + 2 * i, 0)])
                .flatten()
                .collect(),
            // Three times what the server holds for one session.
            "unread" => (0..48).flat_map(|i| held(1 + 2 * i, 256_000, 64_000)).collect(),
            "tiny" => held(1, 250_000, 1),
            // Of a version that there is not.
            "after" => vec![255; 120_000],
            kind => panic!("{kind} is no kind"),
        };
        id += 2_000;
        if !is_taken(&chunk, &mut socket).await {
            break;
        }
        sent += chunk.len();
        frames += frames_of(&chunk);
        let once = matches!(kind, "unread" | "tiny");
        if once || sent >= ENOUGH || kind == "churn" && sent > 1 << 20 {
            break;
        }
    }
    if matches!(kind, "unread" | "tiny" | "churn") {
        // Behind all of it: an answer tells that it was all looked at.
        let _ = socket.write_all(&frame(2, 1, 0, 77)).await;
        let mut header = [0; 12];
        while timeout(STOPPED * 10, socket.read_exact(&mut header))
            .await
            .is_ok_and(|read| read.is_ok())
        {
            if header == frame(2, 2, 0, 77) {
                break;
            }
            if header[1] == 0 {
                let len = u32::from_be_bytes([header[8], header[9], header[10], header[11]]);
                let mut body = vec![0; len as usize];
                let _ = socket.read_exact(&mut body).await;
            }
        }
    }
    (socket, Counts { sent: sent as u64, frames, ..Counts::default() })
}
