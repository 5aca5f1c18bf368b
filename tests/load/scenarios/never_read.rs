//! Peers that never read. What the server holds for them is one batch each, outside the cap that readers share, until its own timeout
//! around writes ends it; the library has none (see `AltsStream`).

use std::sync::Arc;
use std::time::Duration;

use alts::pool::BufferPool;
use tokio::sync::watch;

use crate::gauges::{live_heap, settle, signed, wait_until};
use crate::row::{Row, grouped};
use crate::scale::Scale;
use crate::service;
use crate::tally::{GAVE_UP, Tally};
use crate::target::Target;

/// Readers share so little that it would be gone if writers took of it.
const BUFFERS: usize = 32;
/// Live heap that a connection may hold besides its batch, in bytes: its task, its socket and a timer.
const LIMIT: i64 = 2_500;

fn target<F>(patience: impl Fn() -> F + Clone + Send + Sync + 'static) -> Target
where
    F: Future<Output = ()> + Send + 'static,
{
    Target::start(
        |settings, _| {
            let buffer = BufferPool::capacity_for(32 << 10).expect("a size");
            settings.pool = BufferPool::builder().cap(BUFFERS * buffer).build().expect("a cap");
        },
        move |handshake, pool, tally: Arc<Tally>| {
            service::guarded(handshake, pool, tally, patience.clone())
        },
    )
}

/// Clients that request bytes without end and read none. Other clients are not affected.
pub(crate) fn sent_to(row: &mut Row, scale: Scale) {
    let count = scale.of(60, 1_000);
    // The server has patience until all of them are there, however long that takes.
    let (enough, patience) = watch::channel(false);
    let target = target(move || {
        let mut patience = patience.clone();
        async move {
            // An error means that the scenario is over.
            let _ = patience.wait_for(|enough| *enough).await;
        }
    });
    target.warm_up();
    let gauges = target.gauges();
    let mut live = target.helper("live", &["8"]);
    live.tell("phase beside");
    let mut mutes = target.helper("mute", &["push"]);
    let report = mutes.ask(&format!("open {count}"));
    row.thrown(count as u64, report.get("bytes"), count as u64);
    wait_until(|| target.pool().stats().beyond_cap_buffers >= count);
    live.ask("pause");
    settle();
    let (stats, with) = (target.pool().stats(), live_heap());
    live.tell("phase beside");
    row.require_count("batches that wait, one each", stats.beyond_cap_buffers as u64, count as u64);
    let batch = target.acceptor.settings().stream.write_batch;
    let batch = BufferPool::capacity_for(batch).expect("a size");
    row.require_at_most("their bytes", stats.beyond_cap_bytes as u64, (count * batch) as u64);
    row.require_count("readers' buffers out", stats.in_use_buffers as u64, 0);
    // The peers stay; the server has had enough.
    enough.send_replace(true);
    wait_until(|| target.tally.ended(GAVE_UP) == count as u64);
    live.ask("pause");
    settle();
    let each = (with - live_heap()) as i64 / signed(count) - signed(service::PUSHED);
    // The service itself holds what it sends.
    row.note("live heap of each besides, bytes", grouped(each));
    row.require(each <= LIMIT, || format!("{each} bytes each, more than {LIMIT}"));
    let stats = target.pool().stats();
    row.require_count("batches left", stats.beyond_cap_buffers as u64, 0);
    let received = mutes.ask("count").get("received");
    row.note("bytes that had reached the peers' kernel", grouped(received.cast_signed()));
    let report = live.ask("end");
    row.honest(report.get("asked"), report.get("answered"), report.get("lost"));
    drop((live, mutes));
    row.note("server", target.tally.ends());
    row.left(&gauges.left());
}

/// They send without end and take nothing of what comes back. An echo server that waits to write holds what it has read: a reader's
/// buffer. There are more such peers than buffers, so that honest ones have to wait for the timeout too; all are answered.
pub(crate) fn echoed_to(row: &mut Row, scale: Scale) {
    let count = scale.of(50, 200);
    let patience = Duration::from_secs(scale.of(1, 2));
    let target = target(move || tokio::time::sleep(patience));
    target.warm_up();
    let gauges = target.gauges();
    let mut live = target.helper("live", &["8"]);
    live.tell("phase beside");
    let mut mutes = target.helper("mute", &["echo"]);
    let report = mutes.ask(&format!("open {count}"));
    row.thrown(count as u64, report.get("bytes"), count as u64);
    target.wait_until_ended(count as u64);
    row.require_count("server: given up", target.tally.ended(GAVE_UP), count as u64);
    let report = live.ask("end");
    row.honest(report.get("asked"), report.get("answered"), report.get("lost"));
    let stats = target.pool().stats();
    row.note("longest wait of an honest ping, ms", longest(&report) / 1_000);
    row.require_at_most(
        "bytes out of the pool, most",
        stats.high_water_bytes as u64,
        // Each has one batch beyond the cap besides.
        (stats.cap_bytes + (count + 8) * BufferPool::capacity_for(64 << 10).expect("a size"))
            as u64,
    );
    row.note("the pool's cap, bytes", stats.cap_bytes);
    drop((live, mutes));
    row.note("server", target.tally.ends());
    row.left(&gauges.left());
}

fn longest(report: &crate::helper::Report) -> u64 {
    report.value()["phases"]["beside"]["max"].as_u64().unwrap_or(0)
}
