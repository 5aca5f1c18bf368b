//! When a process has come to rest.

use std::time::Duration;

/// Looks that have to find a process at rest, one after the other.
const LOOKS: u32 = 5;
/// Between two looks: longer than a task of the runtime needs to be woken.
const PAUSE: Duration = Duration::from_millis(20);

/// Waits until every other thread of this process sleeps and `heap`, its live heap in bytes, does not change any more. On a busy
/// machine a thread that has work to do waits for a core for long, and then it does not sleep.
pub(crate) fn settle(heap: impl Fn() -> isize) {
    let mut quiet = 0;
    let mut last = heap();
    while quiet < LOOKS {
        std::thread::sleep(PAUSE);
        let now = heap();
        quiet = if now == last && others_sleep() { quiet + 1 } else { 0 };
        last = now;
    }
}

/// Whether no thread but this one runs or waits for a core. Where there is no `/proc`, nobody knows.
fn others_sleep() -> bool {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return true };
    // This one reads, and so it runs.
    threads.flatten().filter_map(|thread| is_running(&thread.path())).filter(|runs| *runs).count()
        <= 1
}

/// `None` for a thread that has ended since.
fn is_running(thread: &std::path::Path) -> Option<bool> {
    let stat = std::fs::read_to_string(thread.join("stat")).ok()?;
    // The name before it may hold anything.
    let (_, state) = stat.rsplit_once(") ")?;
    Some(state.starts_with('R'))
}
