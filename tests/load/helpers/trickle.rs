//! `trickle PERIOD_MS`: secured connections that send most of a record, then a byte now and then. Order `attack N`: answered when all
//! have sent that much.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::raw::{ByHand, connect, seal, source};
use super::{Work, report};

/// Of a record of 16 KiB. It takes a buffer, and leaves enough to trickle for longer than any run.
const FIRST: usize = 10_000;

pub(crate) async fn run(mut work: Work) {
    let period = Duration::from_millis(work.number(0));
    let by_hand = Arc::new(ByHand::new(&work.dir));
    report(&json!({}));
    let mut trickling = JoinSet::new();
    while let Some(order) = work.order().await {
        let count: usize = order[1].parse().expect("a number");
        let mut begun = JoinSet::new();
        for n in 0..count {
            let (server, by_hand) = (work.server, Arc::clone(&by_hand));
            begun.spawn(async move {
                let mut stream = connect(server, source(n)).await.expect("a connection");
                let (session, first) = by_hand.begin();
                stream.write_all(&first).await.expect("a handshake");
                let mut sealer = session.finish(&mut stream).await.expect("a handshake");
                let record = seal(&mut sealer, &[7; 16_000]);
                stream.write_all(&record[..FIRST]).await.expect("part of a record");
                (stream, record)
            });
        }
        for (stream, record) in begun.join_all().await {
            trickling.spawn(trickle(stream, record, period));
        }
        report(&json!({ "connections": count, "bytes": count * FIRST }));
    }
}

async fn trickle(mut stream: TcpStream, record: Vec<u8>, period: Duration) {
    for byte in &record[FIRST..] {
        tokio::time::sleep(period).await;
        if stream.write_all(std::slice::from_ref(byte)).await.is_err() {
            return;
        }
    }
}
