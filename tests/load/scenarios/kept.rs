//! Memory that is kept where it need not be: by peers that trickle, and by a server that keeps a little of each message. Others
//! go on.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use alts::connect::HandshakeFuture;
use alts::pool::BufferPool;
use alts::ready::ReadyReader;
use alts::{AltsStream, Error};
use bytes::Bytes;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::gauges::wait_until;
use crate::row::Row;
use crate::scale::Scale;
use crate::service;
use crate::tally::{CLOSED, Tally, name_of};
use crate::target::Target;

/// Buffers of 32 KiB under the cap.
const BUFFERS: usize = 4;

fn few_buffers() -> BufferPool {
    let buffer = BufferPool::capacity_for(32 << 10).expect("a size");
    BufferPool::builder().cap(BUFFERS * buffer).build().expect("a cap")
}

/// Peers that hold part of a record in a buffer and send a byte of it now and then, more of them than there are buffers.
pub(crate) fn by_trickles(row: &mut Row, scale: Scale) {
    let (attackers, visits) = (scale.of(16_u64, 200), scale.of(64, 1_000));
    let target = Target::start(
        |settings, limits| {
            settings.pool = few_buffers();
            settings.stream.stall_limit = Duration::from_millis(500);
            limits.half_open = 1_000;
        },
        service::echo,
    );
    target.warm_up();
    let gauges = target.gauges();
    let mut trickle = target.helper("trickle", &["20"]);
    let thrown = trickle.ask(&format!("attack {attackers}"));
    wait_until(|| Tally::get(&target.tally.secured) >= attackers);
    let mut visitors = target.helper("visitors", &[]);
    let report = visitors.ask(&format!("visit {visits} 8"));
    row.thrown(thrown.get("connections"), thrown.get("bytes"), attackers);
    row.honest(visits, report.get("answered"), report.get("lost"));
    // Those whose parts fit the cap stay as long as nobody else wants memory.
    let part = BufferPool::capacity_for(10_100).expect("a size");
    let fit = target.pool().stats().cap_bytes.div_ceil(part) as u64;
    let stalled = || target.tally.ended("stalled inside a record");
    // As long as one of them waits, it stands for the others.
    wait_until(|| stalled() + fit + 1 >= attackers);
    row.require_at_least("server: stalled inside a record", stalled(), attackers - fit - 1);
    row.note("readers that had to wait", target.pool().stats().waited);
    // A peer learns of the end of its connection before the server has counted it.
    wait_until(|| target.tally.ended(CLOSED) >= visits);
    row.require_count("server: closed", target.tally.ended(CLOSED), visits);
    drop((trickle, visitors));
    wait_until(|| Tally::get(&target.tally.ended) == Tally::get(&target.tally.accepted));
    wait_until(|| target.pool().stats().pressed_since.is_none());
    row.left(&gauges.left());
}

/// A server that keeps a slice of each message, of more messages than there are buffers.
pub(crate) fn by_slices(row: &mut Row, scale: Scale) {
    let visits = scale.of(200, 5_000);
    let kept: Arc<Mutex<Vec<Bytes>>> = Arc::default();
    let keep = Arc::clone(&kept);
    let target = Target::start(
        |settings, limits| {
            settings.pool = few_buffers();
            limits.half_open = 1_000;
        },
        move |handshake, pool, tally| serve(handshake, pool, tally, Arc::clone(&keep)),
    );
    target.warm_up();
    kept.lock().unwrap().clear();
    let gauges = target.gauges();
    let mut visitors = target.helper("visitors", &[]);
    let report = visitors.ask(&format!("visit {visits} 8"));
    row.thrown(0, 0, 0).honest(visits, report.get("answered"), report.get("lost"));
    target.wait_until_ended(visits);
    row.require_at_least("slices kept", kept.lock().unwrap().len() as u64, visits);
    let stats = target.pool().stats();
    row.require_count("buffers that they keep", stats.in_use_buffers as u64, 0);
    row.require_count("server: closed", target.tally.ended(CLOSED), visits);
    drop(visitors);
    *kept.lock().unwrap() = Vec::new();
    row.left(&gauges.left());
}

async fn serve(
    handshake: HandshakeFuture<TcpStream>,
    pool: BufferPool,
    tally: Arc<Tally>,
    kept: Arc<Mutex<Vec<Bytes>>>,
) {
    let end = match handshake.await {
        Ok(mut stream) => {
            Tally::add(&tally.secured);
            match keep_some(&mut stream, &pool, &kept).await {
                Ok(()) => CLOSED,
                Err(error) => name_of(&Error::from(error)),
            }
        }
        Err(error) => name_of(&error),
    };
    tally.end(end);
}

async fn keep_some(
    stream: &mut AltsStream<TcpStream>,
    pool: &BufferPool,
    kept: &Mutex<Vec<Bytes>>,
) -> std::io::Result<()> {
    while let Some(received) = stream.read_on_ready(pool).await? {
        let received = received.freeze();
        kept.lock().unwrap().push(received.slice(..received.len().min(11)));
        stream.write_all(&received).await?;
        stream.flush().await?;
    }
    stream.shutdown().await
}
