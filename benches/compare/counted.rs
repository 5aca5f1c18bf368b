//! The servers whose memory `compare` measures. Counting costs some time at each allocation, so those whose time is measured do
//! without it.

#![expect(dead_code, reason = "`compare` has the same roles, and uses more of them")]

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[path = "roles/mod.rs"]
mod roles;

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn main() {
    assert!(roles::play(), "this is a part of the benchmark `compare`");
}
