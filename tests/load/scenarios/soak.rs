//! Everything at once for a long time, from two processes: pings, bulk, idle connections, strangers, garbage, resets, handshakes given up.
//! Then the server holds what it held at first.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::gauges::{live_heap, signed, wait_until};
use crate::helper::Helper;
use crate::row::{Row, grouped};
use crate::scale::Scale;
use crate::service;
use crate::tally::Tally;
use crate::target::Target;

/// Connections at a time from each process.
const WORKERS: &str = "64";
/// How often the heap is noted while it runs.
const NOTES: u32 = 10;

pub(crate) fn run(row: &mut Row, scale: Scale) {
    let target = Target::start(
        |_, _| (),
        |handshake, pool, tally: Arc<Tally>| {
            service::guarded(handshake, pool, tally, service::a_minute)
        },
    );
    target.warm_up();
    // A crowd that does not count, for what is filled once.
    let mut crowd = target.helper("crowd", &[WORKERS]);
    crowd.tell("begin");
    std::thread::sleep(Duration::from_millis(500));
    crowd.ask("stop");
    drop(crowd);
    wait_until(|| Tally::get(&target.tally.ended) == Tally::get(&target.tally.accepted));
    target.tally.clear();
    let gauges = target.gauges();
    let mut crowds = [(); 2].map(|()| target.helper("crowd", &[WORKERS]));
    let start = Instant::now();
    for crowd in &mut crowds {
        crowd.tell("begin");
    }
    let mut heaps = Vec::new();
    for _ in 0..NOTES {
        std::thread::sleep(scale.soak() / NOTES);
        heaps.push(format!("{} ({})", grouped(live_heap() as i64), gauges.tasks()));
    }
    for crowd in &mut crowds {
        crowd.tell("stop");
    }
    let reports = crowds.each_mut().map(Helper::report);
    let total = |name: &str| reports.iter().map(|report| report.get(name)).sum::<u64>();
    row.thrown(total("connections"), total("bytes"), total("asked"));
    row.honest(total("asked"), total("answered"), total("lost"));
    row.note("seconds", start.elapsed().as_secs());
    let kinds = ["pings", "bulk", "idle", "resets", "strangers", "garbage", "abandoned"];
    let counts = kinds.map(|kind| format!("{} {kind}", total(kind)));
    row.note("connections", counts.join(", "));
    row.note("live heap in bytes (connections), as it ran", heaps.join(", "));
    let high = target.pool().stats().high_water_bytes;
    row.note("bytes out of the pool, most", grouped(signed(high)));
    drop(crowds);
    let left = gauges.left();
    let accepted = Tally::get(&target.tally.accepted);
    row.require_count("server: connections", accepted, total("connections"));
    row.note("server", target.tally.ends());
    row.left(&left);
}
