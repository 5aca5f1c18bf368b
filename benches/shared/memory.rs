//! What a process holds. The heap is counted where the program's allocator is [`INSTRUMENTED_SYSTEM`].

use std::fs;
use std::time::Duration;

use stats_alloc::INSTRUMENTED_SYSTEM;

/// Bytes requested from the allocator and not given back; 0 if it does not count.
pub fn live_heap() -> isize {
    let stats = INSTRUMENTED_SYSTEM.stats();
    stats.bytes_allocated.cast_signed() - stats.bytes_deallocated.cast_signed()
}

/// Bytes in memory, of this process or, by its number, of another.
pub fn resident(process: Option<u32>) -> isize {
    let process = process.map_or("self".to_owned(), |number| number.to_string());
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup"));
    let bytes = field(&rollup.expect("the process is there"), "Rss:").expect("Linux says it");
    isize::try_from(bytes).expect("a process has no more")
}

/// Bytes that this machine, or the container if it has a limit, still has for programs.
pub fn available() -> u64 {
    let memory = fs::read_to_string("/proc/meminfo").expect("Linux has it");
    let system = field(&memory, "MemAvailable:").expect("Linux says it");
    let of_group = |name| {
        let figure = fs::read_to_string(format!("/sys/fs/cgroup/memory.{name}")).ok()?;
        figure.trim().parse::<u64>().ok()
    };
    match (of_group("max"), of_group("current")) {
        (Some(most), Some(used)) => system.min(most.saturating_sub(used)),
        _ => system,
    }
}

/// The bytes on the line that begins with `name`, where the kernel counts in KiB.
pub fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(rest.split_whitespace().next()?.parse::<u64>().ok()? << 10)
}

/// Waits until `figure` does not change for 0.2 s, and answers it.
pub fn at_rest<T: PartialEq>(mut figure: impl FnMut() -> T) -> T {
    let (mut quiet, mut last) = (0, figure());
    while quiet < 5 {
        std::thread::sleep(Duration::from_millis(40));
        let now = figure();
        quiet = if now == last { quiet + 1 } else { 0 };
        last = now;
    }
    last
}
