//! Peers that count exactly what a limit lets through. They read everything, so that each limit alone decides, and in the end they ask
//! for an echo in the same session: what is beyond a limit costs the session nothing.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::ops::AddAssign;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::frame;
use crate::helpers::throwing::STOPPED;
use crate::scenarios::{HOLD, OPEN, ORPHAN, PING, WANTED};

/// What does not come within this never comes: only a failed run waits for so long.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many more are let through after as many places have become free.
const FREED: usize = 100;
/// The limit on streams that wait to be accepted, on streams that the peer has not acknowledged, on dropped streams that the peer has not ended, and on pings.
const LIMIT: usize = 256;
/// How many streams a peer opens before it waits for their answers: fewer than the backlog.
const STEP: usize = 64;
/// The stream with the order to the server.
const ORDER: u32 = 1;

const DATA: u8 = 0;
const WINDOW_UPDATE: u8 = 1;
const PINGS: u8 = 2;
const SYN: u8 = 1;
const ACK: u8 = 2;
const FIN: u8 = 4;
const RST: u8 = 8;

/// What a peer has counted.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) sent: u64,
    pub(super) frames: u64,
    /// What the limit let through.
    pub(super) within: u64,
    /// What came although the limit was reached, or was refused because it was; which of the two is the kind's matter.
    pub(super) beyond: u64,
    /// Streams that were dropped here and were reset when data came for them.
    pub(super) reset: u64,
    /// Sessions that still answered in the end.
    pub(super) served: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.sent += other.sent;
        self.frames += other.frames;
        self.within += other.within;
        self.beyond += other.beyond;
        self.reset += other.reset;
        self.served += other.served;
    }
}

/// Whether this kind of peer counts.
pub(super) fn counts(kind: &str) -> bool {
    matches!(kind, "unacked" | "unanswered" | "orphans" | "incoming" | "backlog")
}

pub(super) async fn attack(server: SocketAddr, kind: &str) -> (TcpStream, Counts) {
    let socket = TcpStream::connect(server).await.expect("a connection");
    let mut peer = Peer { socket, counts: Counts::default(), next_id: ORDER };
    match kind {
        "unacked" => peer.waits(OPEN, WINDOW_UPDATE).await,
        "unanswered" => peer.waits(PING, PINGS).await,
        "orphans" => peer.leaves_orphans().await,
        "backlog" => peer.fills_the_backlog().await,
        _ => peer.opens_too_many().await,
    }
    (peer.socket, peer.counts)
}

#[derive(Clone, Copy, Debug)]
struct Frame {
    kind: u8,
    flags: u8,
    stream: u32,
    value: u32,
}

struct Peer {
    socket: TcpStream,
    counts: Counts,
    next_id: u32,
}

impl Peer {
    async fn send(&mut self, bytes: &[u8]) {
        self.counts.sent += bytes.len() as u64;
        self.counts.frames += 1;
        // A server that has ended the session is noticed when nothing comes.
        let _ = self.socket.write_all(bytes).await;
    }

    /// Opens a stream with these bytes.
    async fn open(&mut self, bytes: &[u8]) -> u32 {
        let id = self.next_id;
        self.next_id += 2;
        self.data(SYN, id, bytes).await;
        id
    }

    async fn data(&mut self, flags: u8, stream: u32, bytes: &[u8]) {
        let header = frame(DATA, flags, stream, bytes.len() as u32);
        self.send(&[&header[..], bytes].concat()).await;
    }

    /// The next frame; the body of Data is skipped. `None`: none comes any more.
    async fn next(&mut self) -> Option<Frame> {
        let read = async {
            let mut bytes = [0; 12];
            self.socket.read_exact(&mut bytes).await?;
            let number = |at: usize| {
                u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
            };
            let frame =
                Frame { kind: bytes[1], flags: bytes[3], stream: number(4), value: number(8) };
            if frame.kind == DATA {
                self.socket.read_exact(&mut vec![0; frame.value as usize]).await?;
            }
            std::io::Result::Ok(frame)
        };
        timeout(PATIENCE, read).await.ok()?.ok()
    }

    /// Whether nothing comes for some time. Takes nothing.
    async fn is_silent(&self) -> bool {
        timeout(STOPPED, self.socket.peek(&mut [0])).await.is_err()
    }

    /// Waits for this many SYNs of a kind: streams or pings.
    async fn requests(&mut self, kind: u8, count: usize) -> Vec<Frame> {
        let mut requests = Vec::new();
        while requests.len() < count {
            let Some(frame) = self.next().await else { break };
            if frame.kind == kind && frame.flags & SYN != 0 {
                requests.push(frame);
            }
        }
        requests
    }

    /// Answers none of the server's requests, and then some of them: as many more may come.
    async fn waits(&mut self, order: u8, kind: u8) {
        self.open(&[order]).await;
        let first = self.requests(kind, LIMIT).await;
        self.counts.within += first.len() as u64;
        self.excess(kind).await;
        if self.counts.beyond > 0 {
            return;
        }
        for request in first.iter().take(FREED) {
            let value = if kind == PINGS { request.value } else { 0 };
            self.send(&frame(kind, ACK, request.stream, value)).await;
        }
        self.counts.within += self.requests(kind, FREED).await.len() as u64;
        self.excess(kind).await;
        self.asks().await;
    }

    /// Counts requests that come where none may.
    async fn excess(&mut self, kind: u8) {
        while !self.is_silent().await {
            let Some(frame) = self.next().await else { return };
            self.counts.beyond += u64::from(frame.kind == kind && frame.flags & SYN != 0);
        }
    }

    /// Never ends the streams that the server opens, closes and drops; then sends on those that the server still knows.
    async fn leaves_orphans(&mut self) {
        self.open(&[ORPHAN]).await;
        let mut orphans = BTreeSet::new();
        let mut beyond = 0;
        while let Some(frame) = self.next().await {
            if frame.stream == ORDER && frame.flags & (FIN | RST) != 0 {
                break;
            } else if frame.flags & RST != 0 {
                beyond += u64::from(orphans.remove(&frame.stream));
            } else if frame.kind == WINDOW_UPDATE && frame.flags & SYN != 0 {
                orphans.insert(frame.stream);
                self.data(ACK, frame.stream, &[7]).await;
            }
        }
        self.counts.beyond += beyond;
        self.counts.within += orphans.len() as u64;
        for &orphan in &orphans {
            self.data(0, orphan, &[7; 16_000]).await;
        }
        while !orphans.is_empty() {
            let Some(frame) = self.next().await else { return };
            if frame.flags & RST != 0 && orphans.remove(&frame.stream) {
                self.counts.reset += 1;
            }
        }
        self.asks().await;
    }

    /// Opens more streams than it may have, all of which the server accepts and holds if it can.
    async fn opens_too_many(&mut self) {
        let mut kept = Vec::new();
        for _ in 0..WANTED / STEP {
            self.opens(STEP, &mut kept).await;
        }
        // As many places as become free are there for others.
        for _ in 0..FREED.min(kept.len()) {
            let id = kept.swap_remove(0);
            self.send(&frame(WINDOW_UPDATE, RST, id, 0)).await;
        }
        for _ in 0..3 {
            self.opens(STEP, &mut kept).await;
        }
        if let Some(id) = kept.pop() {
            self.send(&frame(WINDOW_UPDATE, RST, id, 0)).await;
        }
        self.asks().await;
    }

    /// Opens more streams than may wait, while the server waits for the first byte of one and accepts no other.
    async fn fills_the_backlog(&mut self) {
        let mut kept = Vec::new();
        let first = self.open(&[]).await;
        self.answers(1, &mut kept).await;
        for _ in 0..LIMIT + FREED {
            self.open(&[HOLD]).await;
        }
        self.answers(FREED, &mut kept).await;
        self.data(0, first, &[HOLD]).await;
        self.answers(LIMIT, &mut kept).await;
        self.asks().await;
    }

    /// Opens so many streams, and waits until each is acknowledged or reset.
    async fn opens(&mut self, count: usize, kept: &mut Vec<u32>) {
        for _ in 0..count {
            self.open(&[HOLD]).await;
        }
        self.answers(count, kept).await;
    }

    /// Waits until so many streams are acknowledged or reset.
    async fn answers(&mut self, count: usize, kept: &mut Vec<u32>) {
        let mut answers = 0;
        while answers < count {
            let Some(frame) = self.next().await else { return };
            if frame.flags & RST != 0 {
                self.counts.beyond += 1;
            } else if frame.flags & ACK != 0 {
                self.counts.within += 1;
                kept.push(frame.stream);
            } else {
                continue;
            }
            answers += 1;
        }
    }

    /// An echo in the same session.
    async fn asks(&mut self) {
        let id = self.open(b"?hello").await;
        let mut left = 5;
        while left > 0 {
            let Some(frame) = self.next().await else { return };
            if frame.stream == id && frame.kind == DATA {
                left -= frame.value.min(left);
            } else if frame.stream == id && frame.flags & RST != 0 {
                return;
            }
        }
        self.counts.served += 1;
    }
}
