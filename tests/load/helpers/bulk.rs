//! `bulk`: connections that send large records and are answered with a sum over all bytes. Order: `send CONNECTIONS RECORDS`.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::{Work, report};

/// What a record may be at most, on the wire.
pub(crate) const MAX_FRAME_SIZE: u32 = 1 << 20;
/// Payloads of the records, in turn: the largest there is, and smaller ones that need buffers of other sizes.
const LENGTHS: [usize; 5] = [(1 << 20) - 24, 100_000, 5_000, 300_000, 40_000];

/// FNV-1a: the order of the bytes counts.
pub(crate) fn sum(before: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(before, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

pub(crate) async fn run(mut work: Work) {
    let connector = work.connector_with("client", |settings| {
        settings.handshake.max_frame_size = MAX_FRAME_SIZE;
        settings.stream.max_frame_size = MAX_FRAME_SIZE;
        settings.stream.write_batch = MAX_FRAME_SIZE as usize;
    });
    report(&json!({}));
    while let Some(order) = work.order().await {
        let number = |at: usize| order[at].parse::<usize>().expect("a number");
        let (connections, records) = (number(1), number(2));
        let mut sending = JoinSet::new();
        for n in 0..connections {
            let socket = TcpStream::connect(work.server).await.expect("a connection");
            let handshake = connector.connect(socket);
            sending.spawn(async move {
                let mut stream = handshake.await?;
                let (mut expected, mut bytes) = (0, 0);
                for record in 0..records {
                    let len = LENGTHS[(n + record) % LENGTHS.len()];
                    let payload: Vec<u8> =
                        (0..len).map(|at| (at * 31 + n + record) as u8).collect();
                    expected = sum(expected, &payload);
                    bytes += len as u64;
                    stream.write_all(&payload).await?;
                    stream.flush().await?;
                }
                stream.shutdown().await?;
                let mut answer = [0; 8];
                stream.read_exact(&mut answer).await?;
                Ok::<_, alts::Error>((bytes, u64::from_be_bytes(answer) == expected))
            });
        }
        let (mut answered, mut lost, mut bytes) = (0, 0, 0);
        for sent in sending.join_all().await {
            match sent {
                Ok((len, true)) => {
                    answered += 1;
                    bytes += len;
                }
                Ok((_, false)) => lost += 1,
                Err(error) => {
                    eprintln!("a sender: {error}");
                    lost += 1;
                }
            }
        }
        report(&json!({
            "connections": connections,
            "messages": connections * records,
            "bytes": bytes,
            "answered": answered,
            "lost": lost,
        }));
    }
}
