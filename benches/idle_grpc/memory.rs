//! Counting.

use std::alloc::System;
use std::fs;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes requested from the allocator and not given back.
pub(crate) fn live_heap() -> isize {
    let stats = HEAP.stats();
    stats.bytes_allocated.cast_signed() - stats.bytes_deallocated.cast_signed()
}

/// Bytes of this process that are in memory.
pub(crate) fn resident() -> isize {
    /// As everywhere where this was run.
    const PAGE: isize = 4096;
    let pages = fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|statm| statm.split_whitespace().nth(1)?.parse::<isize>().ok());
    pages.unwrap_or_default() * PAGE
}

/// What one connection holds, in bytes.
#[derive(Clone, Debug)]
pub(crate) struct Figures {
    pub(crate) heap: f64,
    pub(crate) resident: f64,
    /// What one quiet bidirectional stream adds to it.
    pub(crate) stream: f64,
    /// How many buffers of all connections are out of the pool, where there is one.
    pub(crate) buffers: Option<usize>,
}

impl Figures {
    pub(crate) fn report(&self) {
        let buffers = self.buffers.map(|buffers| buffers.to_string());
        let buffers = buffers.as_deref().unwrap_or("-");
        println!("{} {} {} {buffers}", self.heap, self.resident, self.stream);
    }

    pub(crate) fn from_report(report: &str) -> Self {
        let words: Vec<&str> = report.split_whitespace().collect();
        let [heap, resident, stream, buffers] = words[..] else { panic!("no report: {report}") };
        let number = |word: &str| word.parse().expect("a number");
        Self {
            heap: number(heap),
            resident: number(resident),
            stream: number(stream),
            buffers: buffers.parse().ok(),
        }
    }
}
