//! Resident memory of a server while all its connections are busy, and after.
//!
//! Each client sends 32 KiB. The server keeps each message, as a user of its transport would have it, until all have come, and
//! then sends them back. What matters is what the server is left with, over what it had when the connections had been used one
//! after the other.

use crate::lab::{Lab, Step};
use crate::process::{Cores, Setup};
use crate::roles::transport::Peer;
use crate::roles::{Form, HELD};
use crate::samples::{Key, Samples};

/// The default of 256 MiB is for some 8,000 buffers. Here, 10,000 connections have one or more each, and wait for one another.
const POOL_CAP: usize = 2 << 30;
const MIB: f64 = (1 << 20) as f64;

pub(super) fn steps(lab: &Lab) -> Vec<Step> {
    let step = |peer: Peer| {
        let label = format!("burst, {}", peer.name());
        Step::new(label, move |lab, samples| measure(lab, samples, peer))
    };
    lab.turns(lab.either(1, lab.rounds.min(3))).into_iter().map(step).collect()
}

fn measure(lab: &Lab, samples: &mut Samples, peer: Peer) {
    let connections = lab.connections(1_000, 10_000);
    let mut setup = Setup::new(peer, Form::Holding, Cores::Any).counted();
    setup.pool_cap = Some(POOL_CAP);
    let mut pair = setup.start(lab);
    let answer = format!("answer {connections}");
    pair.tell(&format!("connect {connections}"));
    pair.tell_server(&answer);
    pair.tell(&format!("echo {HELD}"));
    let base = pair.held();
    pair.tell(&format!("send {HELD}"));
    pair.tell_server(&format!("held {connections}"));
    let busy = pair.held();
    pair.tell_server(&answer);
    pair.tell(&format!("receive {HELD}"));
    let after = pair.held();
    let growth = after.resident - base.resident;
    for (metric, unit, value) in [
        ("connections", "", connections as f64),
        ("heap before", "MiB", base.heap / MIB),
        ("heap with all messages", "MiB", busy.heap / MIB),
        ("heap after", "MiB", after.heap / MIB),
        ("RSS before", "MiB", base.resident / MIB),
        ("RSS with all messages", "MiB", busy.resident / MIB),
        ("RSS at most", "MiB", busy.peak.max(after.peak) / MIB),
        ("RSS after", "MiB", after.resident / MIB),
        ("growth", "MiB", growth / MIB),
        ("after / before", "", after.resident / base.resident),
    ] {
        samples.add(Key::new("burst", peer.name(), "32 KiB on all at once", metric), unit, value);
    }
}
