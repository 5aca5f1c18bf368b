//! What a process holds.

use std::alloc::System;
use std::fmt;
use std::fs;
use std::str::FromStr;

use alts_benches::memory::{at_rest, field, live_heap};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use super::Error;

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Memory of one process, or of several, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Held {
    pub(crate) connections: u64,
    /// Requested from the allocator and not given back.
    pub(crate) heap: u64,
    /// In memory.
    pub(crate) resident: u64,
    /// In memory, where pages that are shared count in part.
    pub(crate) proportional: u64,
}

impl Held {
    /// Of this process, once nothing changes any more.
    pub(crate) fn at_rest(connections: impl Fn() -> usize) -> Result<Self, Error> {
        let (connections, heap) = at_rest(|| (connections(), live_heap()));
        let rollup = fs::read_to_string("/proc/self/smaps_rollup")?;
        let bytes = |name| field(&rollup, name).ok_or("smaps_rollup is not as expected");
        Ok(Self {
            connections: connections as u64,
            heap: heap.unsigned_abs() as u64,
            resident: bytes("Rss:")?,
            proportional: bytes("Pss:")?,
        })
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.connections += other.connections;
        self.heap += other.heap;
        self.resident += other.resident;
        self.proportional += other.proportional;
    }
}

/// As a child reports it.
impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, heap, resident, proportional } = self;
        write!(f, "held {connections} connections, heap {heap}, rss {resident}, pss {proportional}")
    }
}

impl FromStr for Held {
    type Err = Error;

    fn from_str(report: &str) -> Result<Self, Error> {
        let numbers: Vec<u64> = report
            .split(|other: char| !other.is_ascii_digit())
            .filter_map(|number| number.parse().ok())
            .collect();
        let [connections, heap, resident, proportional] = numbers[..] else {
            return Err(format!("no report: {report}").into());
        };
        Ok(Self { connections, heap, resident, proportional })
    }
}
