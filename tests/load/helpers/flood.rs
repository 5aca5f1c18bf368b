//! `flood SOURCES EACH`: valid first messages, from so many addresses with so many connections at a time each. Orders: `answered`, which
//! takes the answer, resets and comes again until `stop`; `hold`, which waits for the server to end the connection, once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinSet;

use super::raw::{ByHand, alert, connect, read_to_the_end, reset, source};
use super::{Work, report};

/// The code of `overloaded`.
const OVERLOADED: u16 = 15;
/// The type of the server's first message.
const SERVER_INIT: u8 = 0x42;

#[derive(Default)]
struct Counts {
    connections: AtomicU64,
    bytes: AtomicU64,
    answered: AtomicU64,
    refused: AtomicU64,
    /// Ended in another way.
    ended: AtomicU64,
}

pub(crate) async fn run(mut work: Work) {
    let (sources, each) = (work.number(0) as usize, work.number(1) as usize);
    let first = Arc::new(ByHand::new(&work.dir).first_message());
    report(&json!({}));
    while let Some(order) = work.order().await {
        let counts = Arc::new(Counts::default());
        let stop = Arc::new(AtomicBool::new(false));
        let mut floods = JoinSet::new();
        let hold = order[0] == "hold";
        for n in 0..sources * each {
            let (first, counts, stop) = (first.clone(), counts.clone(), stop.clone());
            let server = work.server;
            floods.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    throw(server, n % sources, &first, &counts, hold).await;
                    if hold {
                        break;
                    }
                }
            });
        }
        if !hold {
            work.order().await;
            stop.store(true, Ordering::Relaxed);
        }
        floods.join_all().await;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        report(&json!({
            "connections": get(&counts.connections),
            "bytes": get(&counts.bytes),
            "answered": get(&counts.answered),
            "refused": get(&counts.refused),
            "ended": get(&counts.ended),
        }));
    }
}

async fn throw(server: SocketAddr, n: usize, first: &[u8], counts: &Counts, hold: bool) {
    let add = |counter: &AtomicU64, count| counter.fetch_add(count, Ordering::Relaxed);
    // Full queues of the kernel are not what is tested.
    let Ok(mut stream) = connect(server, source(n)).await else { return };
    add(&counts.connections, 1);
    if stream.write_all(first).await.is_ok() {
        add(&counts.bytes, first.len() as u64);
    }
    let mut begin = [0; 12];
    let answer = if hold {
        begin = read_to_the_end(&mut stream).await.1;
        begin
    } else {
        // The length of a clear alert, of which a first message has more.
        let _ = stream.read_exact(&mut begin[..11]).await;
        begin
    };
    if alert(&answer) == Some(OVERLOADED) {
        add(&counts.refused, 1);
    } else if answer[4] == SERVER_INIT {
        add(&counts.answered, 1);
    } else {
        add(&counts.ended, 1);
    }
    reset(stream);
}
