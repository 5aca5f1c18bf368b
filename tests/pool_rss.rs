//! After a burst, memory goes back to the operating system. Alone in its process, since everything
//! else in it counts too.
#![cfg(target_os = "linux")] // The resident size is read from /proc.

use std::alloc::System;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};

use alts::pool::{BufferPool, PooledBuf};
use bytes::Bytes;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const BURST: usize = 10_000;
const KIB: usize = 1 << 10;
/// What the kernel lets one process have by default; each buffer is a mapping of its own at worst.
const DEFAULT_MAX_MAP_COUNT: usize = 65_530;

/// Resident bytes, which the kernel adds up from the page tables for this file (`statm` may lag
/// behind).
fn resident() -> usize {
    let rollup = fs::read_to_string("/proc/self/smaps_rollup").expect("Linux has it since 4.14");
    let line = rollup.lines().find(|line| line.starts_with("Rss:")).expect("it says Rss");
    let figure = line.split_whitespace().nth(1).and_then(|figure| figure.parse::<usize>().ok());
    figure.expect("a number of KiB") * KIB
}

/// Counted line by line: a list of thousands read at once would add to what is measured.
fn mappings() -> usize {
    BufReader::new(File::open("/proc/self/maps").expect("Linux has it")).lines().count()
}

fn touched(pool: &BufferPool) -> PooledBuf {
    let mut buffer = pool.take(pool.buffer_size()).expect("below the cap");
    for page in buffer.chunks_mut(4 * KIB) {
        page[0] = 0xA5;
    }
    buffer
}

/// Two slices of each buffer, at its ends.
fn frozen(pool: &BufferPool) -> [Bytes; 2] {
    let bytes = touched(pool).freeze();
    [bytes.slice(..KIB), bytes.slice(31 * KIB..)]
}

/// Takes 10,000 at once and gives back first every second one, then the rest: the worst order for
/// the kernel's list of mappings.
fn burst<T>(
    name: &str,
    pool: &BufferPool,
    base: usize,
    held: &mut [Option<T>],
    make: impl Fn(&BufferPool) -> T,
) {
    held.fill_with(|| Some(make(pool)));
    let (peak, live) = (resident(), mappings());
    held.iter_mut().step_by(2).for_each(|held| *held = None);
    let worst = mappings();
    held.fill_with(|| None);
    let after = resident();
    println!(
        "{name}: base {} KiB, peak {} KiB, after {} KiB; mappings {live} full, {worst} with holes, \
         {} after",
        base / KIB,
        peak / KIB,
        after / KIB,
        mappings(),
    );
    assert!(peak - base >= BURST * 32 * KIB, "the burst was real");
    assert!(after <= base + (base / 10).max(1 << 20), "{after} bytes stay, {base} were there");
    assert!(live.max(worst) < DEFAULT_MAX_MAP_COUNT);
    assert_eq!(pool.stats().in_use_buffers, 0);
}

#[test]
fn memory_goes_back_after_a_burst() {
    let pool = BufferPool::builder().cap(512 << 20).build().expect("the cap holds a buffer");
    // The lists are there before and after: the first large allocation that a program frees makes
    // glibc keep about twice as much from then on, which is none of the pool's doing.
    let mut buffers: Vec<Option<PooledBuf>> = Vec::new();
    buffers.resize_with(BURST, || None);
    let mut slices: Vec<Option<[Bytes; 2]>> = Vec::new();
    slices.resize_with(BURST, || None);
    // What the process needs once: the pool's idle buffers, the heap's first pages, stdio.
    slices[..64].fill_with(|| Some(frozen(&pool)));
    println!("{} mappings with 64 buffers live", mappings());
    slices[..64].fill_with(|| None);

    // Small allocations, scattered among those of others, would keep pages that nobody can give back.
    let before = HEAP.stats().allocations;
    buffers[..64].fill_with(|| Some(touched(&pool)));
    assert_eq!(HEAP.stats().allocations, before, "buffers have nothing in the heap");
    buffers[..64].fill_with(|| None);

    let base = resident();
    burst("plain", &pool, base, &mut buffers, touched);
    burst("frozen", &pool, base, &mut slices, frozen);
    pool.trim();
    for _ in 0..3 {
        burst("again", &pool, base, &mut slices, frozen);
    }
}
