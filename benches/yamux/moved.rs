//! Bytes through one stream: processor time and allocations of both ends.

use std::alloc::System;
use std::time::Duration;

use alts::pool::BufferPool;
use nix::sys::resource::{UsageWho, getrusage};
use stats_alloc::{Region, StatsAlloc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::peers::{Peer, Transport};

/// Writes `total` bytes in writes of `size`, and reads them with a buffer of 64 KiB.
pub(crate) fn run(
    heap: &StatsAlloc<System>,
    peer: Peer,
    transport: Transport,
    size: usize,
    total: usize,
) -> Vec<(&'static str, f64)> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async {
        let pools = [&BufferPool::new(), &BufferPool::new()];
        let (mut near, mut far) = peer.streams(transport, 1, pools).await.remove(0);
        let (chunk, mut buffer) = (vec![7; size], vec![0; 64 << 10]);
        let region = Region::new(heap);
        let before = processor_time();
        let writing = tokio::spawn(async move {
            for _ in 0..total / size {
                near.write_all(&chunk).await.expect("written");
            }
            near.flush().await.expect("flushed");
            near
        });
        let reading = tokio::spawn(async move {
            let mut left = total;
            while left > 0 {
                let count = far.read(&mut buffer).await.expect("read");
                assert!(count > 0, "the end, with {left} bytes left");
                left -= count;
            }
            far
        });
        let ends = (writing.await.expect("written"), reading.await.expect("read"));
        let time = processor_time().saturating_sub(before);
        let stats = region.change();
        drop(ends);
        let gib = total as f64 / f64::from(1 << 30);
        vec![
            ("cpu", time.as_secs_f64() / gib),
            ("allocations", (stats.allocations + stats.reallocations) as f64),
            ("allocated", stats.bytes_allocated as f64),
        ]
    })
}

fn processor_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("a figure");
    [usage.user_time(), usage.system_time()]
        .map(|time| {
            Duration::from_secs(time.tv_sec().cast_unsigned())
                + Duration::from_micros(time.tv_usec().cast_unsigned())
        })
        .iter()
        .sum()
}
