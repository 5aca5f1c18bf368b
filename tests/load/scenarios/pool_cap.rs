//! Much less memory than the connections together want. Readers wait, and all finish.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use alts::connect::HandshakeFuture;
use alts::pool::BufferPool;
use alts::ready::ReadyReader;
use alts::{AltsStream, Error};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::gauges::wait_until;
use crate::helpers::{MAX_FRAME_SIZE, sum};
use crate::row::Row;
use crate::scale::Scale;
use crate::tally::{CLOSED, Tally, name_of};
use crate::target::Target;

/// Buffers of 32 KiB under the cap.
const BUFFERS: usize = 4;

/// How a connection reads.
#[derive(Clone, Copy)]
enum How {
    Ready,
    /// A little at a time.
    Small,
    /// Given up as soon as it waits, and again, with other things done in between. A place in the queue stays meanwhile, and so does a
    /// buffer when its turn has come.
    Cancelled,
    /// The same, for longer.
    Away,
}

/// Records of up to 1 MiB: more than the whole cap.
pub(crate) fn large_records(row: &mut Row, scale: Scale) {
    run(row, scale, &[How::Ready, How::Small]);
}

pub(crate) fn cancelled_reads(row: &mut Row, scale: Scale) {
    run(row, scale, &[How::Cancelled, How::Away, How::Ready, How::Small]);
}

fn run(row: &mut Row, scale: Scale, how: &'static [How]) {
    let (connections, records) = (scale.of(24, 200), scale.of(5, 25));
    let buffer = BufferPool::capacity_for(32 << 10).expect("a size");
    let cancelled = Arc::new(AtomicU64::new(0));
    let (counter, next) = (Arc::clone(&cancelled), AtomicU64::new(0));
    let target = Target::start(
        |settings, limits| {
            settings.pool = BufferPool::builder().cap(BUFFERS * buffer).build().expect("a cap");
            settings.handshake.max_frame_size = MAX_FRAME_SIZE;
            limits.queue = 1_000;
        },
        move |handshake, pool, tally| {
            let number = next.fetch_add(1, Ordering::Relaxed) as usize;
            serve(handshake, pool, tally, how[number % how.len()], Arc::clone(&counter))
        },
    );
    let mut bulk = target.helper("bulk", &[]);
    bulk.ask("send 12 5");
    wait_until(|| Tally::get(&target.tally.ended) == 12);
    target.tally.clear();
    cancelled.store(0, Ordering::Relaxed);

    let gauges = target.gauges();
    // Every buffer is out when they come, so that some wait however the machine shares its time.
    let taken = [(); BUFFERS].map(|()| target.pool().take(32 << 10).expect("it is within the cap"));
    bulk.tell(&format!("send {connections} {records}"));
    wait_until(|| target.pool().stats().waiting > 0);
    let mut most_waiting = target.pool().stats().waiting;
    drop(taken);
    while Tally::get(&target.tally.ended) < connections {
        most_waiting = most_waiting.max(target.pool().stats().waiting);
        std::thread::sleep(Duration::from_millis(1));
    }
    let report = bulk.report();
    row.thrown(report.get("connections"), report.get("bytes"), report.get("messages"));
    row.honest(connections, report.get("answered"), report.get("lost"));
    let stats = target.pool().stats();
    row.note("the pool's cap, bytes", stats.cap_bytes);
    // One record at a time may exceed the cap, in two buffers while it grows; and each answer is a small batch of its own.
    let overdraft = [1 << 20, 2 << 20].map(|size| BufferPool::capacity_for(size).expect("a size"));
    let answers = connections as usize * BufferPool::capacity_for(1).expect("a size");
    let most = stats.cap_bytes + overdraft[0] + overdraft[1] + answers;
    row.require_at_most("bytes out, most", stats.high_water_bytes as u64, most as u64);
    row.require_at_least("readers that waited at a time, most", most_waiting as u64, 1);
    row.note("reads cancelled", cancelled.load(Ordering::Relaxed));
    row.require_count("server: closed", target.tally.ended(CLOSED), connections);
    row.left(&gauges.left());
}

async fn serve(
    handshake: HandshakeFuture<TcpStream>,
    pool: BufferPool,
    tally: Arc<Tally>,
    how: How,
    cancelled: Arc<AtomicU64>,
) {
    let end = match handshake.await {
        Ok(mut stream) => {
            Tally::add(&tally.secured);
            match read_all(&mut stream, &pool, how, &cancelled).await {
                Ok(()) => CLOSED,
                Err(error) => name_of(&Error::from(error)),
            }
        }
        Err(error) => name_of(&error),
    };
    tally.end(end);
}

async fn read_all(
    stream: &mut AltsStream<TcpStream>,
    pool: &BufferPool,
    how: How,
    cancelled: &AtomicU64,
) -> io::Result<()> {
    let mut seen = 0;
    match how {
        How::Ready => {
            while let Some(received) = stream.read_on_ready(pool).await? {
                seen = sum(seen, &received);
            }
        }
        How::Small => {
            let mut buf = [0; 3_000];
            while let count @ 1.. = stream.read(&mut buf).await? {
                seen = sum(seen, &buf[..count]);
            }
        }
        How::Cancelled | How::Away => {
            let pause = Duration::from_millis(if matches!(how, How::Away) { 20 } else { 1 });
            let mut buf = [0; 3_000];
            loop {
                match timeout(Duration::ZERO, stream.read(&mut buf)).await {
                    Ok(read) => match read? {
                        0 => break,
                        count => seen = sum(seen, &buf[..count]),
                    },
                    Err(_) => {
                        cancelled.fetch_add(1, Ordering::Relaxed);
                        sleep(pause).await;
                    }
                }
            }
        }
    }
    stream.write_all(&seen.to_be_bytes()).await?;
    stream.shutdown().await
}
