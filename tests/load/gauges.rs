//! What the server's process holds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use alts::handshaker::HandshakeLimits;
use alts::pool::BufferPool;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::runtime::RuntimeMetrics;

use crate::HEAP;

/// Live heap in bytes.
pub(crate) fn live_heap() -> isize {
    let stats = HEAP.stats();
    stats.bytes_allocated.cast_signed() - stats.bytes_deallocated.cast_signed()
}

/// A count that differences are taken of.
pub(crate) fn signed(count: usize) -> i64 {
    i64::try_from(count).expect("a count of what is in memory")
}

/// Open descriptors of this process.
pub(crate) fn descriptors() -> usize {
    descriptors_of("self")
}

/// Open descriptors of a process.
pub(crate) fn descriptors_of(process: &str) -> usize {
    let listed = std::fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count);
    // Listing them takes one.
    if process == "self" { listed.saturating_sub(1) } else { listed }
}

/// As many descriptors as the system allows this process.
pub(crate) fn allow_many_descriptors() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit can be read");
    allow_descriptors(hard);
}

/// At most this many descriptors.
pub(crate) fn allow_descriptors(most: u64) {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit can be read");
    setrlimit(Resource::RLIMIT_NOFILE, most.min(hard), hard).expect("the limit can be set");
}

/// Waits until `holds`. A scenario that waits forever is ended from outside.
pub(crate) fn wait_until(holds: impl Fn() -> bool) {
    while !holds() {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until the server has come to rest.
pub(crate) fn settle() {
    crate::rest::settle(live_heap);
}

/// What was there at first, and how to look again.
pub(crate) struct Gauges {
    tasks: RuntimeMetrics,
    pool: BufferPool,
    limits: HandshakeLimits,
    base_heap: isize,
    base_fds: usize,
    base_tasks: usize,
    peak: Peak,
}

/// What is left, beyond what was there at first.
#[derive(Debug)]
pub(crate) struct Left {
    /// The most that was live, in bytes beyond the base.
    pub(crate) peak: i64,
    pub(crate) heap: i64,
    pub(crate) fds: i64,
    pub(crate) tasks: i64,
    /// In use, beyond the cap, or waited for.
    pub(crate) buffers: i64,
    pub(crate) half_open: i64,
}

impl Gauges {
    /// The most that may be live at the end beyond what was at first, in bytes: lists and tables keep the size they once had. A leak
    /// of 50 bytes for each of hundreds of connections is more.
    pub(crate) const TOLERANCE: i64 = 32 << 10;

    /// Looks for the first time. The server is at rest.
    pub(crate) fn new(tasks: RuntimeMetrics, pool: &BufferPool, limits: &HandshakeLimits) -> Self {
        settle();
        pool.trim();
        let (base_heap, base_fds) = (live_heap(), descriptors());
        let base_tasks = tasks.num_alive_tasks();
        let (pool, limits) = (pool.clone(), limits.clone());
        Self { tasks, pool, limits, base_heap, base_fds, base_tasks, peak: Peak::watch() }
    }

    /// Live heap in bytes, beyond the base.
    pub(crate) fn heap(&self) -> i64 {
        (live_heap() - self.base_heap) as i64
    }

    /// Tasks beyond those at first: one for each connection.
    pub(crate) fn tasks(&self) -> usize {
        self.tasks.num_alive_tasks().saturating_sub(self.base_tasks)
    }

    /// Waits until all connections have ended, then says what is left of them.
    pub(crate) fn left(self) -> Left {
        wait_until(|| self.tasks() == 0 && self.limits.half_open() == 0);
        settle();
        self.pool.trim();
        let stats = self.pool.stats();
        let buffers = stats.in_use_buffers + stats.beyond_cap_buffers + stats.waiting;
        // The watching thread's own comes after this, and is no more than its stack.
        let heap = self.heap();
        let fds = signed(descriptors()) - signed(self.base_fds);
        let peak = self.peak.end() - self.base_heap;
        Left {
            peak: peak as i64,
            heap,
            fds,
            tasks: signed(self.tasks.num_alive_tasks()) - signed(self.base_tasks),
            buffers: signed(buffers + stats.overdraft_bytes),
            half_open: signed(self.limits.half_open()),
        }
    }
}

/// A thread that looks at the heap every millisecond.
struct Peak {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    most: Arc<AtomicIsize>,
}

impl Peak {
    fn watch() -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let most = Arc::new(AtomicIsize::new(live_heap()));
        let (end, seen) = (Arc::clone(&ended), Arc::clone(&most));
        let thread = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                seen.fetch_max(live_heap(), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Self { ended, thread, most }
    }

    fn end(self) -> isize {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.join().expect("it only looks");
        self.most.load(Ordering::Relaxed)
    }
}
