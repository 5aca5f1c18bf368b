//! What this process has on its heap.

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

/// Counts, and leaves the rest to the system's allocator. Pool buffers are mappings of their own and not in these figures.
#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Bytes allocated and not freed.
pub(crate) fn live_heap() -> usize {
    let stats = HEAP.stats();
    // Both include what reallocations added or took away.
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}
