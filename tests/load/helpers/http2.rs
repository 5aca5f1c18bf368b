//! `http2 KIND`: clients of an HTTP/2 server over plain TCP. Order: `run N`, answered when N hostile connections have done what they can and
//! honest ones beside them have been answered to the end.

mod attack;
mod frames;
pub(super) mod honest;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::throwing::{STOPPED, is_taken};
use super::{Work, report};
use attack::{Attack, DONE};
use frames::{Incoming, hello};

/// Honest connections.
const HONEST: usize = 2;
/// More than this is never sent, in bytes.
const ENOUGH: usize = 64 << 20;

pub(crate) async fn run(mut work: Work) {
    let kind = work.word(0).to_owned();
    report(&json!({}));
    while let Some(order) = work.order().await {
        let count: usize = order[1].parse().expect("a number");
        let done = Arc::new(AtomicBool::new(false));
        let mut friends = JoinSet::new();
        for _ in 0..HONEST {
            friends.spawn(honest::beside(work.server, Arc::clone(&done)));
        }
        let mut hostile = JoinSet::new();
        for _ in 0..count {
            hostile.spawn(throw(work.server, Attack::new(&kind)));
        }
        let (mut bytes, mut messages) = (0, 0);
        let mut open = Vec::new();
        for thrown in hostile.join_all().await {
            bytes += thrown.bytes;
            messages += thrown.frames;
            // Those that are not closed stay open until all have done their worst.
            open.push(thrown.sockets);
        }
        done.store(true, Ordering::Relaxed);
        let (mut asked, mut answered) = (0, 0);
        for (asks, answers) in friends.join_all().await {
            asked += asks;
            answered += answers;
        }
        drop(open);
        report(&json!({
            "bytes": bytes, "messages": messages,
            "asked": asked, "answered": answered, "lost": asked - answered,
        }));
    }
}

/// What a hostile connection came to.
struct Thrown {
    bytes: usize,
    frames: usize,
    sockets: (Option<OwnedReadHalf>, OwnedWriteHalf),
}

async fn throw(server: SocketAddr, mut attack: Attack) -> Thrown {
    let socket = TcpStream::connect(server).await.expect("a connection");
    let (reader, mut writer) = socket.into_split();
    let (seen, all_seen) = oneshot::channel();
    let (mut silent, mut reading) = (None, None);
    match attack.reads() {
        true => reading = Some(tokio::spawn(read(reader, seen))),
        false => silent = Some(reader),
    }
    let (mut bytes, mut frames) = (0, 0);
    let mut alive = !attack.greets() || writer.write_all(&hello(attack.window())).await.is_ok();
    while alive && let Some((chunk, count)) = attack.next() {
        alive = is_taken(&chunk, &mut writer).await;
        bytes += chunk.len();
        frames += count;
        alive &= bytes < ENOUGH;
    }
    if alive && attack.is_answered() {
        // An answer to what comes last says that everything before it was looked at.
        writer.write_all(&frames::ping(DONE)).await.expect("the connection is there");
        all_seen.await.expect("an answer");
    } else if let Some(reading) = reading {
        // The server closes the connection.
        reading.await.expect("it does not panic");
    } else if let Some(reader) = &mut silent {
        let _ = reader.readable().await;
        wait_for_end(reader).await;
    }
    Thrown { bytes, frames, sockets: (silent, writer) }
}

/// Takes everything, until the server closes the connection. Says when it has answered the PING that comes last.
async fn read(reader: OwnedReadHalf, seen: oneshot::Sender<()>) {
    let mut incoming = Incoming::new(reader);
    let mut seen = Some(seen);
    while let Some(frame) = incoming.next().await {
        if frame.is_pong(DONE)
            && let Some(seen) = seen.take()
        {
            let _ = seen.send(());
        }
    }
}

/// Nothing was read before; the content that is read now does not matter.
async fn wait_for_end(reader: &mut OwnedReadHalf) {
    let mut bytes = [0; 4_096];
    tokio::time::sleep(STOPPED * 2).await;
    while reader.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
}
