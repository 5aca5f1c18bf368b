//! `loris PERIOD_MS`: handshakes that bring a byte now and then. Order `attack N`: answered when all are connected, and again when the
//! server has ended all of them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::raw::{ByHand, alert, connect, source};
use super::{Work, report};

/// The code of `timeout`.
const TIMEOUT: u16 = 14;

pub(crate) async fn run(mut work: Work) {
    let period = Duration::from_millis(work.number(0));
    let first = Arc::new(ByHand::new(&work.dir).first_message());
    report(&json!({}));
    while let Some(order) = work.order().await {
        let count: usize = order[1].parse().expect("a number");
        let places = Arc::new(Semaphore::new(64));
        let mut connected = JoinSet::new();
        let mut dribbling = JoinSet::new();
        for n in 0..count {
            let place = Arc::clone(&places).acquire_owned().await.expect("never closed");
            let server = work.server;
            connected.spawn(async move {
                let stream = connect(server, source(n)).await.expect("a connection");
                drop(place);
                (n, stream)
            });
            // They begin to dribble as soon as they are there.
            while let Some(joined) = connected.try_join_next() {
                let (n, stream) = joined.expect("a task");
                dribbling.spawn(dribble(stream, Arc::clone(&first), n, period));
            }
        }
        while let Some(joined) = connected.join_next().await {
            let (n, stream) = joined.expect("a task");
            dribbling.spawn(dribble(stream, Arc::clone(&first), n, period));
        }
        report(&json!({}));
        let (mut bytes, mut told) = (0, 0);
        while let Some(ended) = dribbling.join_next().await {
            let (sent, code) = ended.expect("a task");
            bytes += sent;
            told += u64::from(code == Some(TIMEOUT));
        }
        report(&json!({ "connections": count, "bytes": bytes, "told": told }));
    }
}

/// Sends up to 15 bytes of a valid first message at once and one more each period, until the server has enough of it. The last
/// byte is never sent. Says how many bytes that were, and which alert came.
async fn dribble(
    mut stream: TcpStream,
    message: Arc<Vec<u8>>,
    n: usize,
    period: Duration,
) -> (u64, Option<u16>) {
    let mut sent = n % 16;
    if stream.write_all(&message[..sent]).await.is_err() {
        return (0, None);
    }
    let mut answer = [0; 12];
    let mut received = 0;
    // Spread over the period.
    let start = tokio::time::Instant::now() + period.mul_f64((n % 97) as f64 / 97.0);
    let mut ticks = tokio::time::interval_at(start, period);
    loop {
        tokio::select! {
            read = stream.read(&mut answer[received..]) => match read {
                Ok(count @ 1..) if received + count < answer.len() => received += count,
                _ => return (sent as u64, alert(&answer)),
            },
            _ = ticks.tick() => {
                if sent + 1 < message.len() && stream.write_all(&message[sent..=sent]).await.is_ok() {
                    sent += 1;
                }
            }
        }
    }
}
