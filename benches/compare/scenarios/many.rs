//! Messages of 16 KiB to and fro, all of 2,000 connections at the same time: each connection has one message under way. What is
//! cold when its turn comes costs most here.

use crate::lab::{Lab, Step};
use crate::process::{Cores, Setup};
use crate::roles::Form;
use crate::roles::transport::Peer;
use crate::samples::{Key, Samples};

const MESSAGE: usize = 16 << 10;
const GIB: f64 = (1_u64 << 30) as f64;

pub(super) fn steps(lab: &Lab) -> Vec<Step> {
    let mut steps = Vec::new();
    for peer in lab.turns(lab.either(2, lab.rounds)) {
        for &cores in lab.pinned() {
            let label = format!("many connections, {}, {cores}", peer.name());
            steps.push(Step::new(label, move |lab, samples| measure(lab, samples, peer, cores)));
        }
    }
    steps
}

fn measure(lab: &Lab, samples: &mut Samples, peer: Peer, cores: Cores) {
    let connections = lab.either(500, 2_000);
    let count = lab.either(20, 40);
    let mut pair = Setup::new(peer, Form::Echo, cores).start(lab);
    pair.tell(&format!("connect {connections}"));
    pair.tell(&format!("many {MESSAGE} {}", count / 8));
    let outcome = pair.measure(&format!("many {MESSAGE} {count}"));
    let [elapsed, client_cpu] = outcome.figures[..] else { panic!("not two figures") };
    let variant = format!("16 KiB echo, {cores}");
    let total = (connections * count * MESSAGE) as f64;
    for (metric, unit, value) in [
        ("throughput", "GB/s", total / elapsed / 1e9),
        ("server CPU", "s/GiB", outcome.server_cpu * GIB / total),
        ("client CPU", "s/GiB", client_cpu * GIB / total),
        ("CPU", "s/GiB", (outcome.server_cpu + client_cpu) * GIB / total),
    ] {
        samples.add(Key::new("many", peer.name(), &variant, metric), unit, value);
    }
}
