//! `claims KIND`: connections that claim the largest message and send 8 bytes of it. Order: `open N`.

use std::sync::Arc;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::raw::{ByHand, connect, source};
use super::{Work, report};

/// Where in a connection's life the claim is made.
#[derive(Clone, Copy)]
enum Kind {
    Record,
    FirstMessage,
    LastMessage,
}

pub(crate) async fn run(mut work: Work) {
    let kind = match work.word(0) {
        "record" => Kind::Record,
        "first-message" => Kind::FirstMessage,
        "last-message" => Kind::LastMessage,
        kind => panic!("{kind} is no kind"),
    };
    let by_hand = Arc::new(ByHand::new(&work.dir));
    report(&json!({}));
    let mut open: Vec<TcpStream> = Vec::new();
    while let Some(order) = work.order().await {
        let count: usize = order[1].parse().expect("a number");
        // Not all at once: the queue of connections that nobody has accepted yet is limited by the system.
        let places = Arc::new(Semaphore::new(64));
        let mut claims = JoinSet::new();
        for n in 0..count {
            let place = Arc::clone(&places).acquire_owned().await.expect("never closed");
            let (server, by_hand) = (work.server, Arc::clone(&by_hand));
            claims.spawn(async move {
                let claimed = claim(server, n, &by_hand, kind).await;
                drop(place);
                claimed
            });
        }
        let mut bytes = 0;
        while let Some(claimed) = claims.join_next().await {
            let (stream, sent) = claimed.expect("a task").expect("a claim");
            bytes += sent as u64;
            open.push(stream);
        }
        report(&json!({ "connections": count, "bytes": bytes }));
    }
}

async fn claim(
    server: std::net::SocketAddr,
    n: usize,
    by_hand: &ByHand,
    kind: Kind,
) -> std::io::Result<(TcpStream, usize)> {
    let mut stream = connect(server, source(n)).await?;
    // The largest of each: a length of 1 MiB, of 4,092 and of 32,764 bytes.
    let (first, header) = match kind {
        Kind::Record => {
            let (session, first) = by_hand.begin();
            stream.write_all(&first).await?;
            session.finish(&mut stream).await?;
            (first, [0, 0, 16, 0, 6, 0, 0, 0])
        }
        Kind::FirstMessage => (Vec::new(), [0xfc, 0x0f, 0, 0, 0x41, 0, 0, 0]),
        Kind::LastMessage => {
            let first = by_hand.first_message();
            stream.write_all(&first).await?;
            (first, [0xfc, 0x7f, 0, 0, 0x44, 0, 0, 0])
        }
    };
    stream.write_all(&header).await?;
    Ok((stream, first.len() + header.len()))
}
