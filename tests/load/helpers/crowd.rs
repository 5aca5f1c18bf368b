//! `crowd WORKERS`: everything at once until `stop`. Each worker opens one connection after the other: pings, bulk, idle ones, and ones
//! that fail on purpose: garbage, strangers, resets within a message, handshakes given up half way. Counts what honest ones asked and got.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use alts::{AltsStream, Connector};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::raw::{ByHand, connect, read_to_the_end, reset, source};
use super::{Work, report};
use crate::rng::Rng;

#[derive(Default)]
struct Counts {
    connections: AtomicU64,
    pings: AtomicU64,
    bulk: AtomicU64,
    idle: AtomicU64,
    resets: AtomicU64,
    strangers: AtomicU64,
    garbage: AtomicU64,
    abandoned: AtomicU64,
    /// Messages of honest connections.
    asked: AtomicU64,
    answered: AtomicU64,
    lost: AtomicU64,
    bytes: AtomicU64,
}

fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Ordering::Relaxed);
}

struct Crowd {
    server: SocketAddr,
    client: Connector,
    stranger: Connector,
    by_hand: ByHand,
    counts: Counts,
    stop: AtomicBool,
}

pub(crate) async fn run(mut work: Work) {
    let workers = work.number(0);
    let crowd = Arc::new(Crowd {
        server: work.server,
        client: work.connector("client"),
        stranger: work.connector("stranger"),
        by_hand: ByHand::new(&work.dir),
        counts: Counts::default(),
        stop: AtomicBool::new(false),
    });
    report(&json!({}));
    // Begins with the first order, ends with the second.
    work.order().await;
    let mut running = JoinSet::new();
    for worker in 0..workers {
        let crowd = Arc::clone(&crowd);
        running.spawn(async move {
            let mut rng = Rng::new(worker + 1 + u64::from(std::process::id()) * 1_000);
            while !crowd.stop.load(Ordering::Relaxed) {
                crowd.one(&mut rng).await;
            }
        });
    }
    work.order().await;
    crowd.stop.store(true, Ordering::Relaxed);
    running.join_all().await;
    let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let counts = &crowd.counts;
    report(&json!({
        "connections": get(&counts.connections),
        "pings": get(&counts.pings),
        "bulk": get(&counts.bulk),
        "idle": get(&counts.idle),
        "resets": get(&counts.resets),
        "strangers": get(&counts.strangers),
        "garbage": get(&counts.garbage),
        "abandoned": get(&counts.abandoned),
        "asked": get(&counts.asked),
        "answered": get(&counts.answered),
        "lost": get(&counts.lost),
        "bytes": get(&counts.bytes),
    }));
}

impl Crowd {
    async fn one(&self, rng: &mut Rng) {
        let counts = &self.counts;
        add(&counts.connections, 1);
        let honest = match rng.below(16) {
            0..6 => {
                add(&counts.pings, 1);
                let pings = 1 + rng.below(200);
                self.pings(rng, pings, 2_000).await
            }
            6..9 => {
                add(&counts.bulk, 1);
                let messages = 1 + rng.below(20);
                self.pings(rng, messages, 400_000).await
            }
            9..11 => {
                add(&counts.idle, 1);
                self.idle(rng).await
            }
            11..13 => {
                add(&counts.resets, 1);
                // The server is there, and has no part in how this ends.
                self.reset(rng).await
            }
            13 => {
                add(&counts.strangers, 1);
                self.refused(rng).await
            }
            14 => {
                add(&counts.garbage, 1);
                self.garbage(rng).await
            }
            _ => {
                add(&counts.abandoned, 1);
                self.abandon(rng).await
            }
        };
        if let Err(error) = honest {
            eprintln!("in the crowd: {error}");
            add(&counts.lost, 1);
        }
    }

    async fn stream(&self, rng: &mut Rng) -> io::Result<AltsStream<TcpStream>> {
        let socket = connect(self.server, source(rng.below(100))).await?;
        Ok(self.client.connect(socket).await?)
    }

    /// Messages there and back, one at a time.
    async fn pings(&self, rng: &mut Rng, count: usize, most: usize) -> io::Result<()> {
        let mut stream = self.stream(rng).await?;
        for _ in 0..count {
            self.ping(&mut stream, rng, most).await?;
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
        }
        close(stream).await
    }

    async fn ping(
        &self,
        stream: &mut AltsStream<TcpStream>,
        rng: &mut Rng,
        most: usize,
    ) -> io::Result<()> {
        let sent = vec![0x80 | rng.next() as u8; rng.size(most)];
        let mut back = vec![0; sent.len()];
        add(&self.counts.asked, 1);
        let (mut read, mut write) = tokio::io::split(stream);
        let writing = async {
            write.write_all(&sent).await?;
            write.flush().await
        };
        let (written, read) = tokio::join!(writing, read.read_exact(&mut back));
        written?;
        read?;
        if back != sent {
            return Err(io::Error::other("the echo differs"));
        }
        add(&self.counts.answered, 1);
        add(&self.counts.bytes, 2 * sent.len());
        Ok(())
    }

    /// A ping, silence, a ping.
    async fn idle(&self, rng: &mut Rng) -> io::Result<()> {
        let mut stream = self.stream(rng).await?;
        self.ping(&mut stream, rng, 100).await?;
        tokio::time::sleep(Duration::from_millis(rng.below(500) as u64)).await;
        self.ping(&mut stream, rng, 100).await?;
        close(stream).await
    }

    /// A reset with bytes under way in both directions, some of them part of a record.
    async fn reset(&self, rng: &mut Rng) -> io::Result<()> {
        let mut stream = self.stream(rng).await?;
        let payload = vec![0x5A; rng.size(200_000)];
        // A stretch of time in which some of it is sent.
        let brief = Duration::from_micros(rng.below(2_000) as u64);
        let _ = tokio::time::timeout(brief, stream.write_all(&payload)).await;
        let _ = stream.get_ref().set_zero_linger();
        Ok(())
    }

    /// Somebody whom the server does not know, and who learns it.
    async fn refused(&self, rng: &mut Rng) -> io::Result<()> {
        let socket = connect(self.server, source(rng.below(100))).await?;
        match self.stranger.connect(socket).await {
            Ok(mut stream) => match stream.read(&mut [0; 1]).await {
                Err(_) => Ok(()),
                Ok(_) => Err(io::Error::other("a stranger was let in")),
            },
            Err(_) => Ok(()),
        }
    }

    async fn garbage(&self, rng: &mut Rng) -> io::Result<()> {
        let mut stream = connect(self.server, source(rng.below(100))).await?;
        let garbage: Vec<u8> = (0..rng.size(5_000)).map(|_| rng.next() as u8).collect();
        // The server may well close before all of it is sent.
        let _ = stream.write_all(&garbage).await;
        let _ = stream.shutdown().await;
        read_to_the_end(&mut stream).await;
        Ok(())
    }

    /// Goes away inside the handshake.
    async fn abandon(&self, rng: &mut Rng) -> io::Result<()> {
        let mut stream = connect(self.server, source(rng.below(100))).await?;
        let (session, first) = self.by_hand.begin();
        if rng.one_in(2) {
            let cut = rng.below(first.len());
            stream.write_all(&first[..cut]).await?;
        } else {
            stream.write_all(&first).await?;
            let (last, _) = session.answer(&mut stream).await?;
            stream.write_all(&last[..rng.below(last.len())]).await?;
        }
        if rng.one_in(2) {
            reset(stream);
        }
        Ok(())
    }
}

/// Both directions end with the authenticated close.
async fn close(mut stream: AltsStream<TcpStream>) -> io::Result<()> {
    stream.shutdown().await?;
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await?;
    if rest.is_empty() { Ok(()) } else { Err(io::Error::other("an echo of what nobody said")) }
}
