//! What a full cache takes from the heap, counted in a process of its own: tests beside it take memory, too.

use std::env;
use std::process::Command;

use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

use super::authority::{NOW, at};
use super::*;
use crate::resumption::cache::{CacheKey, TicketCache};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<std::alloc::System> = &INSTRUMENTED_SYSTEM;

/// Set for the process that counts, to the length of names.
const NAME_LENGTH: &str = "ALTS_TEST_NAME_LENGTH";

const MIB: usize = 1024 * 1024;

/// Bytes on the heap behind a cache that got `count` tickets, and how many of them it has.
fn filled(count: u32, name_length: usize, ticket_length: usize) -> (usize, usize) {
    let start = "spiffe://example.org/";
    let name = |prefix: &str| {
        format!("{start}{prefix}{}", "n".repeat(name_length - start.len() - prefix.len()))
    };
    let cache = TicketCache::new();
    let region = Region::new(ALLOCATOR);
    for n in 0..count {
        // As a handshake has it: nothing is shared.
        let key = CacheKey {
            own: id(&name("own/")),
            target: name(&format!("{n:04}/")).into(),
            partition: 0,
        };
        let state = made_up(&name("server/"), NOW, NOW + 3_600);
        cache.insert(&key, &vec![7; ticket_length], 3_600, state, at(NOW));
    }
    let stats = region.change();
    (stats.bytes_allocated - stats.bytes_deallocated, cache.len())
}

/// Passes at once where nobody wants to know, as when all tests are run.
#[test]
fn child() {
    let Some(length) = env::var_os(NAME_LENGTH) else { return };
    let length: usize = length.to_str().unwrap().parse().unwrap();
    let ticket_length = if length < 100 { 233 } else { 1_024 };
    let (bytes, entries) = filled(2_048, length, ticket_length);
    println!("{entries} tickets for names of {length} bytes: {bytes} bytes");
    assert!(bytes <= MIB, "{bytes}");
    assert_eq!(entries == 1_024, length < 100, "{entries}");
    // Not few either: what is counted is what is taken.
    assert!(bytes > MIB / 2, "{bytes}");
}

#[test]
fn a_full_cache_takes_at_most_1_mib() {
    for length in ["60", "2048"] {
        let child = Command::new(env::current_exe().unwrap())
            .args([
                "resumption::tests::memory::child",
                "--exact",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(NAME_LENGTH, length)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success() && said.contains("1 passed"), "{said}");
        assert!(said.contains("tickets for names"), "{said}");
    }
}
