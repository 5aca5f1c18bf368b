//! `resets STEP`: connections that end at every stage, by a reset and by a half-close. Orders: `handshakes`, cut after every STEP-th byte of
//! the client's messages, and `records LEN`, cut after every STEP-th byte of a record, within an answer and between two records.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::raw::{ByHand, connect, read_to_the_end, reset, seal, source};
use super::{Work, report};
use crate::service::PUSH;

/// How this side ends.
#[derive(Clone, Copy)]
enum End {
    Reset,
    /// Says that it has no more to say, and takes what comes until the server closes as well.
    HalfClose,
}

/// After what.
#[derive(Clone, Copy)]
enum Cut {
    /// So many bytes of the client's messages, one after the other.
    Handshake(usize),
    /// So many bytes of a record of so many.
    Record(usize, usize),
    /// So many bytes of what the server sends without end.
    Answer(usize),
}

pub(crate) async fn run(mut work: Work) {
    let step = work.number(0) as usize;
    let by_hand = Arc::new(ByHand::new(&work.dir));
    report(&json!({}));
    while let Some(order) = work.order().await {
        let cuts: Vec<Cut> = match order[0].as_str() {
            "handshakes" => {
                let len = messages_len(work.server, &by_hand).await.expect("a handshake");
                (0..=len).step_by(step).map(Cut::Handshake).collect()
            }
            "records" => {
                let len: usize = order[1].parse().expect("a number");
                let of_record = (0..=len).step_by(step).map(|cut| Cut::Record(cut, len));
                let answers = [0, 1, 7, 8, 100, 16_384, 100_000, 1_000_000].map(Cut::Answer);
                of_record.chain(answers).collect()
            }
            order => panic!("{order} is no order"),
        };
        let places = Arc::new(Semaphore::new(32));
        let mut running = JoinSet::new();
        let ends = cuts.into_iter().flat_map(|cut| [(cut, End::Reset), (cut, End::HalfClose)]);
        for (n, (cut, end)) in ends.enumerate() {
            let place = Arc::clone(&places).acquire_owned().await.expect("never closed");
            let (server, by_hand) = (work.server, Arc::clone(&by_hand));
            running.spawn(async move {
                let sent = one(server, n, &by_hand, cut, end).await;
                drop(place);
                sent
            });
        }
        let (mut connections, mut bytes) = (0, 0);
        for sent in running.join_all().await {
            connections += 1;
            bytes += sent.expect("the server is there until the cut") as u64;
        }
        report(&json!({ "connections": connections, "bytes": bytes }));
    }
}

/// How many bytes a client sends in a handshake. One more connection, which ends without the close.
async fn messages_len(server: SocketAddr, by_hand: &ByHand) -> io::Result<usize> {
    let mut stream = connect(server, source(0)).await?;
    let (session, first) = by_hand.begin();
    stream.write_all(&first).await?;
    let (last, _) = session.answer(&mut stream).await?;
    Ok(first.len() + last.len())
}

async fn one(
    server: SocketAddr,
    n: usize,
    by_hand: &ByHand,
    cut: Cut,
    end: End,
) -> io::Result<usize> {
    let mut stream = connect(server, source(n)).await?;
    let (session, first) = by_hand.begin();
    let sent = match cut {
        Cut::Handshake(cut) if cut <= first.len() => {
            stream.write_all(&first[..cut]).await?;
            cut
        }
        Cut::Handshake(cut) => {
            stream.write_all(&first).await?;
            let (last, _) = session.answer(&mut stream).await?;
            let rest = (cut - first.len()).min(last.len());
            stream.write_all(&last[..rest]).await?;
            first.len() + rest
        }
        Cut::Record(cut, len) => {
            stream.write_all(&first).await?;
            let mut sealer = session.finish(&mut stream).await?;
            let record = seal(&mut sealer, &vec![0x5A; len - alts::record::OVERHEAD]);
            stream.write_all(&record[..cut]).await?;
            first.len() + cut
        }
        Cut::Answer(cut) => {
            stream.write_all(&first).await?;
            let mut sealer = session.finish(&mut stream).await?;
            stream.write_all(&seal(&mut sealer, &[PUSH])).await?;
            let mut answer = vec![0; cut];
            stream.read_exact(&mut answer).await?;
            first.len() + 1 + alts::record::OVERHEAD
        }
    };
    finish(stream, cut, end).await?;
    Ok(sent)
}

async fn finish(mut stream: TcpStream, cut: Cut, end: End) -> io::Result<()> {
    match end {
        End::Reset => reset(stream),
        End::HalfClose => {
            stream.shutdown().await?;
            // A server that sends without end is not waited for.
            if !matches!(cut, Cut::Answer(_)) {
                read_to_the_end(&mut stream).await;
            }
        }
    }
    Ok(())
}
