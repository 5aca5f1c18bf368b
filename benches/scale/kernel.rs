//! What the kernel holds, in the whole system: sockets belong to no process there.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use alts_benches::memory::field;

use super::Error;

/// The slab caches that a connection uses: others change with whatever else runs. The kernel may have merged some with caches
/// of the same size and other names, and has not done so where this was run.
const CACHES: [&str; 15] = [
    "TCP",
    "TCPv6",
    "request_sock_TCP",
    "tcp_bind_bucket",
    "tcp_bind2_bucket",
    "sock_inode_cache",
    "filp",
    "dentry",
    "lsm_file_cache",
    "lsm_inode_cache",
    "eventpoll_epi",
    "eventpoll_pwq",
    "ep_head",
    "skbuff_head_cache",
    "nf_conntrack",
];

/// Kernel memory in bytes.
#[derive(Clone, Debug)]
pub(crate) struct Kernel {
    /// What waits in TCP's queues.
    queued: u64,
    /// All slabs, of whatever use.
    slabs: u64,
    /// In use by [`CACHES`]. Only root may know.
    caches: BTreeMap<&'static str, u64>,
}

impl Kernel {
    /// Gives the kernel a moment to free what it frees late.
    pub(crate) fn at_rest() -> Result<Self, Error> {
        /// The size of a page, as everywhere where this was run.
        const PAGE: u64 = 4096;
        std::thread::sleep(Duration::from_millis(500));
        let memory = fs::read_to_string("/proc/meminfo")?;
        let slabs = field(&memory, "Slab:").ok_or("meminfo is not as expected")?;
        let sockets = fs::read_to_string("/proc/net/sockstat")?;
        let queued = sockets
            .lines()
            .find_map(|line| line.strip_prefix("TCP:")?.split_once(" mem "))
            .and_then(|(_, pages)| pages.trim().parse::<u64>().ok())
            .ok_or("sockstat is not as expected")?;
        let caches = fs::read_to_string("/proc/slabinfo").unwrap_or_default();
        let caches = caches.lines().filter_map(|line| cache(line, PAGE)).collect();
        Ok(Self { queued: queued * PAGE, slabs, caches })
    }

    /// Bytes more than `before`, by each of `connections`.
    pub(crate) fn growth(&self, before: &Self, connections: u64) -> KernelGrowth {
        let share = |now: u64, before: u64| {
            (now.cast_signed() - before.cast_signed()) as f64 / connections as f64
        };
        let mut caches: Vec<_> = self
            .caches
            .iter()
            .map(|(&name, &now)| {
                (name, share(now, before.caches.get(name).copied().unwrap_or_default()))
            })
            .collect();
        caches.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        let slabs = match caches.is_empty() {
            true => share(self.slabs, before.slabs),
            false => caches.iter().map(|(_, bytes)| bytes).sum(),
        };
        KernelGrowth { total: slabs + share(self.queued, before.queued), caches }
    }
}

/// Kernel memory of a connection, both ends, in bytes.
#[derive(Clone, Debug)]
pub(crate) struct KernelGrowth {
    pub(crate) total: f64,
    /// By slab cache, the largest first; empty unless root asks. The total is then that of all slabs.
    pub(crate) caches: Vec<(&'static str, f64)>,
}

/// The bytes of one of [`CACHES`], from its line in `/proc/slabinfo`: its objects in use, each with its part of the slab. Slabs are not
/// counted whole, since a cache may have begun with many that were nearly empty.
fn cache(line: &str, page: u64) -> Option<(&'static str, u64)> {
    let mut words = line.split_whitespace();
    let name = words.next()?;
    let name = CACHES.into_iter().find(|known| *known == name)?;
    let numbers: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
    let [active, _, _, by_slab, pages] = numbers[..] else { return None };
    Some((name, active * pages * page / by_slab.max(1)))
}
