//! How many connections there can be.

use std::fs;
use std::path::Path;
use std::str::FromStr;

use alts_benches::descriptors;
use alts_benches::memory;

/// Descriptors of a process that are not connections of the measurement, those that warm it up included.
const OTHER_DESCRIPTORS: usize = 200;
/// Loopback addresses from 127.0.0.2 to 127.0.0.254, one for each pair of processes.
const PAIRS: usize = 253;
pub(crate) const FIRST_ADDRESS: u8 = 2;
/// Pipes to and from a server and its clients.
const DESCRIPTORS_OF_A_PAIR: usize = 4;
/// What a connection takes at most, both ends and the kernel, in bytes: measured, and half as much again.
const BYTES: u64 = 16 << 10;

/// What stands in the way.
#[derive(Clone, Debug)]
pub(crate) struct Limits {
    /// Connections of one pair of processes.
    per_pair: usize,
    pairs: usize,
    /// By the whole system, each with its reason.
    system: Vec<(usize, String)>,
}

/// An answer to how many connections are possible.
#[derive(Clone, Debug)]
pub(crate) struct Possible {
    pub(crate) connections: usize,
    /// Why fewer than were asked for.
    pub(crate) why: Option<String>,
}

impl Limits {
    pub(crate) fn of_this_machine() -> Self {
        let descriptors = descriptors::raise();
        // This process talks to all others.
        let pairs = PAIRS.min(descriptors / DESCRIPTORS_OF_A_PAIR / 2);
        let descriptors = descriptors.saturating_sub(OTHER_DESCRIPTORS);
        // For a connect the kernel searches the ports of one parity first. Once half of all ports are taken, each connect searches
        // that half before it looks at the other.
        let ports =
            numbers::<usize>("/proc/sys/net/ipv4/ip_local_port_range").map_or(28_000, |range| {
                match range[..] {
                    [first, last] => last.saturating_sub(first),
                    _ => 0,
                }
            });
        let per_pair = descriptors.min(ports / 10 * 4);
        let mut system = Vec::new();
        if let Some([used, _, most]) = numbers::<usize>("/proc/sys/fs/file-nr").as_deref() {
            let free = most.saturating_sub(*used) / 2;
            system.push((free, format!("fs.file-max leaves room for {free}")));
        }
        let tracking = |name| one::<usize>(&format!("/proc/sys/net/netfilter/nf_conntrack_{name}"));
        // Zero where the module is there and nothing is tracked.
        if let (Some(most), Some(used @ 1..)) = (tracking("max"), tracking("count")) {
            let free = most.saturating_sub(used);
            system.push((free, format!("nf_conntrack_max leaves room for {free}")));
        }
        let memory = memory::available();
        let room = usize::try_from(memory / BYTES).unwrap_or(usize::MAX);
        system.push((
            room,
            format!(
                "{} MiB of memory are available, and it takes {} KiB a connection to be safe",
                memory >> 20,
                BYTES >> 10
            ),
        ));
        Self { per_pair, pairs, system }
    }

    /// With fewer connections in each process, if so asked.
    pub(crate) fn with_per_process(mut self, wanted: Option<usize>) -> Self {
        if let Some(wanted) = wanted {
            self.per_pair = self.per_pair.min(wanted);
        }
        self
    }

    pub(crate) fn possible(&self, wanted: usize) -> Possible {
        let Self { per_pair, pairs, .. } = self;
        let why = format!("{pairs} pairs of processes with {per_pair} each are all there can be");
        let processes = (per_pair * pairs, why);
        let tightest = self.system.iter().chain([&processes]).min_by_key(|(most, _)| *most);
        match tightest {
            Some((most, why)) if *most < wanted => {
                Possible { connections: *most, why: Some(why.clone()) }
            }
            _ => Possible { connections: wanted, why: None },
        }
    }

    /// Connections for each pair of processes.
    pub(crate) fn shares(&self, connections: usize) -> Vec<usize> {
        let pairs = connections.div_ceil(self.per_pair.max(1));
        (0..pairs)
            .map(|pair| connections / pairs + usize::from(pair < connections % pairs))
            .collect()
    }
}

fn one<N: FromStr>(path: impl AsRef<Path>) -> Option<N> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn numbers<N: FromStr>(path: &str) -> Option<Vec<N>> {
    let text = fs::read_to_string(path).ok()?;
    text.split_whitespace().map(|word| word.parse().ok()).collect()
}
