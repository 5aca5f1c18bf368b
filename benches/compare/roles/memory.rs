//! What a server holds.

use std::fs;
use std::time::Duration;

use alts_benches::memory::{field, live_heap};

/// Bytes of this process.
pub(super) struct Memory {
    /// Requested from the allocator and not given back: 0 if the allocator does not count.
    pub(super) heap: isize,
    /// In memory.
    pub(super) resident: u64,
    /// In memory, where what is shared with other processes counts in part.
    pub(super) proportional: u64,
    /// The most that were in memory since the last call.
    pub(super) peak: u64,
}

impl Memory {
    /// Waits until nothing changes, then measures.
    pub(super) fn settled() -> Self {
        let mut quiet = 0;
        let mut last = Self::now();
        while quiet < 3 {
            std::thread::sleep(Duration::from_millis(20));
            let now = Self::now();
            let same = now.heap == last.heap && now.resident == last.resident;
            quiet = if same { quiet + 1 } else { 0 };
            last = now;
        }
        let status = read("/proc/self/status");
        last.peak = bytes(&status, "VmHWM:");
        // Begins the peak anew. Not everywhere allowed; the peak is then that of the process.
        let _ = fs::write("/proc/self/clear_refs", "5");
        last
    }

    fn now() -> Self {
        let rollup = read("/proc/self/smaps_rollup");
        Self {
            heap: live_heap(),
            resident: bytes(&rollup, "Rss:"),
            proportional: bytes(&rollup, "Pss:"),
            peak: 0,
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(path).expect("Linux has it")
}

fn bytes(text: &str, name: &str) -> u64 {
    field(text, name).expect("Linux says it")
}
