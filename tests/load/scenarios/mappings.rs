//! More buffers than the system allows mappings: each buffer is one, where its neighbors are gone. At the limit the system refuses both to
//! map and to cut holes.

use std::fs::File;
use std::io::{BufRead, BufReader};

use alts::pool::{BufferPool, PoolError, PooledBuf, Retention};

use crate::gauges::signed;
use crate::row::{Row, grouped};
use crate::scale::Scale;

fn max_map_count() -> usize {
    let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").expect("Linux has it");
    text.trim().parse().expect("a number")
}

fn mappings() -> usize {
    BufReader::new(File::open("/proc/self/maps").expect("Linux has it")).lines().count()
}

/// Resident bytes.
fn resident() -> usize {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").expect("Linux has it");
    let line = rollup.lines().find(|line| line.starts_with("Rss:")).expect("it says Rss");
    line.split_whitespace().nth(1).expect("a figure").parse::<usize>().expect("a number") << 10
}

fn touched(pool: &BufferPool) -> Result<PooledBuf, PoolError> {
    let mut buffer = pool.take(1)?;
    buffer[0] = 0xA5;
    Ok(buffer)
}

pub(crate) fn run(row: &mut Row, _: Scale) {
    // Twice as many as there may be mappings, so that every second one can go.
    let count = 2 * (max_map_count() + 4_500);
    let pool = BufferPool::builder()
        .buffer_size(4 << 10)
        .cap(usize::MAX)
        .retention(Retention::NeverKeep)
        .build()
        .expect("the cap holds a buffer");
    let mut buffers: Vec<Option<PooledBuf>> = Vec::with_capacity(count);
    let mut refused = Vec::with_capacity(1_000);
    let (base_resident, base_mappings) = (resident(), mappings());
    for _ in 0..count {
        buffers.push(Some(touched(&pool).expect("neighbors share a mapping")));
    }
    row.thrown(0, (count * 4_608) as u64, count as u64);
    row.note("vm.max_map_count", max_map_count());
    row.note(
        "mappings before, and with all buffers out",
        format!("{base_mappings}, {}", mappings()),
    );
    // Every second one goes, in an order without order: holes everywhere.
    for at in (0..count).step_by(2) {
        buffers[at] = None;
    }
    row.note("buffers out, with holes between all", grouped(signed(pool.stats().in_use_buffers)));
    row.note("mappings then", mappings());
    // At the limit: what is asked for is given or refused, in so many words.
    let mut given = Vec::with_capacity(1_000);
    for _ in 0..1_000 {
        match touched(&pool) {
            Ok(buffer) => given.push(buffer),
            Err(error) => refused.push(error),
        }
    }
    let clear = refused.iter().all(|error| matches!(error, PoolError::Map(_)));
    row.note("asked for then: given, refused", format!("{}, {}", given.len(), refused.len()));
    if let Some(error) = refused.first() {
        row.note("the refusal", error);
    }
    row.require(clear, || format!("refused otherwise: {refused:?}"));
    drop(given);
    buffers.clear();
    let stats = pool.stats();
    row.require_count("buffers out at the end", stats.in_use_buffers as u64, 0);
    let lost = resident().saturating_sub(base_resident);
    // Known, and documented with the pool: a hole that cannot be cut is memory lost to the process. It is no more than that.
    let uncut = count / 2 - max_map_count();
    row.note("resident bytes beyond those at first", grouped(signed(lost)));
    row.require_at_most("of those, KiB", (lost >> 10) as u64, 2 * (uncut * 8 + 1_024) as u64);
    row.note("mappings at the end", mappings());
    // It still works.
    let again = (0..1_000).filter(|_| touched(&pool).is_ok()).count();
    row.require_count("given at the end, of 1,000", again as u64, 1_000);
}
