//! Resident memory of a server after all its connections were busy at once.
//!
//! The clients send 64 KiB each and read nothing. The kernel buffers little here, so that the server has the echoes in its own
//! memory. Then the clients read. What matters is what the server is left with, over what it had when the connections had been
//! used one after the other.

use crate::lab::{Lab, Step};
use crate::process::{Cores, Setup};
use crate::roles::Form;
use crate::roles::transport::Peer;
use crate::samples::{Key, Samples};

const MESSAGE: usize = 64 << 10;
/// What the kernel is asked to buffer for a connection, at either end.
const KERNEL_BUFFERS: u32 = 4 << 10;
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
    let mut setup = Setup::new(peer, Form::Tasks, Cores::Any);
    setup.kernel_buffers = Some(KERNEL_BUFFERS);
    let mut pair = setup.start(lab);
    pair.tell(&format!("connect {connections}"));
    pair.tell(&format!("echo {MESSAGE}"));
    let base = pair.held().resident;
    pair.tell(&format!("send {MESSAGE}"));
    let peak = pair.held().peak;
    pair.tell(&format!("receive {MESSAGE}"));
    let after = pair.held().resident;
    for (metric, unit, value) in [
        ("connections", "", connections as f64),
        ("RSS before", "MiB", base / MIB),
        ("RSS at most", "MiB", peak / MIB),
        ("RSS after", "MiB", after / MIB),
        ("growth", "MiB", (after - base) / MIB),
        ("after / before", "", after / base),
    ] {
        let key = Key::new("burst", peer.name(), "64 KiB on all at once", metric);
        samples.add(key, unit, value);
    }
}
