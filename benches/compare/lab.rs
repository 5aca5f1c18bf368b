//! What every measurement needs to know.

use std::path::Path;

use alts_benches::{cores, identity};
use nix::sys::resource::{Resource, getrlimit};
use tempfile::TempDir;

use crate::arguments::Arguments;
use crate::process::Cores;
use crate::roles::transport::Peer;
use crate::samples::Samples;

/// Descriptors that are not connections of the measurement.
const OTHER_DESCRIPTORS: usize = 200;

pub(crate) struct Lab {
    peers: Vec<Peer>,
    pub(crate) rounds: usize,
    pub(crate) quick: bool,
    /// Cores that this process may use.
    pub(crate) cores: Vec<usize>,
    /// The congestion control of all sockets; the system's otherwise.
    pub(crate) congestion: Option<String>,
    connections: Option<usize>,
    certificates: TempDir,
}

type Measure = dyn Fn(&Lab, &mut Samples);

/// One thing to do, after which something is known.
pub(crate) struct Step {
    pub(crate) label: String,
    pub(crate) run: Box<Measure>,
}

impl Step {
    pub(crate) fn new(label: String, run: impl Fn(&Lab, &mut Samples) + 'static) -> Self {
        Self { label, run: Box::new(run) }
    }
}

impl Lab {
    pub(crate) fn new(arguments: &Arguments) -> Self {
        let certificates = tempfile::tempdir().expect("a temporary directory");
        identity::write(certificates.path());
        Self {
            peers: arguments.peers(),
            rounds: arguments.rounds(),
            quick: arguments.quick,
            cores: cores::allowed(),
            congestion: arguments.congestion.clone(),
            connections: arguments.connections.map(|connections| connections as usize),
            certificates,
        }
    }

    pub(crate) fn certificates(&self) -> &Path {
        self.certificates.path()
    }

    /// The peers as they come, so many times; in each round another one is the first.
    pub(crate) fn turns(&self, rounds: usize) -> Vec<Peer> {
        self.turns_of(rounds, |peer| peer.unsent_limit().is_none())
    }

    /// The same, with those that have a limit of unsent bytes: it matters where much is on its way.
    pub(crate) fn bulk_turns(&self, rounds: usize) -> Vec<Peer> {
        self.turns_of(rounds, |_| true)
    }

    fn turns_of(&self, rounds: usize, chosen: impl Fn(Peer) -> bool) -> Vec<Peer> {
        let mut turns = Vec::new();
        let mut peers: Vec<_> = self.peers.iter().copied().filter(|&peer| chosen(peer)).collect();
        for _ in 0..rounds {
            turns.extend(&peers);
            if !peers.is_empty() {
                peers.rotate_left(1);
            }
        }
        turns
    }

    /// The ways to pin server and client that this machine allows.
    pub(crate) fn pinned(&self) -> &'static [Cores] {
        if self.cores.len() < 2 { &[Cores::One] } else { &[Cores::One, Cores::Two] }
    }

    /// One of the two, by how exact the result is to be.
    pub(crate) fn either<T>(&self, quick: T, full: T) -> T {
        if self.quick { quick } else { full }
    }

    /// How many connections to hold, where descriptors allow.
    pub(crate) fn connections(&self, quick: usize, full: usize) -> usize {
        let (_, descriptors) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
        let most = usize::try_from(descriptors).unwrap_or(usize::MAX);
        let wanted = self.connections.unwrap_or(self.either(quick, full));
        wanted.min(most.saturating_sub(OTHER_DESCRIPTORS).max(1))
    }
}
