//! One connection, in one direction, with writes of several sizes. A fresh pair of processes for each round: where their memory
//! lies is part of the luck.

use std::fmt;

use crate::lab::{Lab, Step};
use crate::process::{Cores, Setup};
use crate::roles::Form;
use crate::roles::transport::Peer;
use crate::samples::{Key, Samples};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Download,
    Upload,
}

impl fmt::Display for Direction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Download => "download",
            Self::Upload => "upload",
        })
    }
}

const GIB: f64 = (1_u64 << 30) as f64;
/// The sizes of writes.
const WRITES: [(usize, &str); 4] =
    [(1 << 10, "1 KiB"), (16 << 10, "16 KiB"), (64 << 10, "64 KiB"), (1 << 20, "1 MiB")];

pub(super) fn steps(lab: &Lab, direction: Direction) -> Vec<Step> {
    // The other direction is the same work: not for those in a hurry.
    if lab.quick && direction == Direction::Upload {
        return Vec::new();
    }
    let mut steps = Vec::new();
    for peer in lab.bulk_turns(lab.rounds) {
        for &cores in lab.pinned() {
            let label = format!("{direction}, {}, {cores}", peer.name());
            steps.push(Step::new(label, move |lab, samples| {
                measure(lab, samples, peer, cores, direction);
            }));
        }
    }
    steps
}

fn measure(lab: &Lab, samples: &mut Samples, peer: Peer, cores: Cores, direction: Direction) {
    let mut pair = Setup::new(peer, Form::Ordered, cores).start(lab);
    pair.tell("connect 1");
    for (write, name) in WRITES {
        // Small writes are slow.
        let share = if write < 4 << 10 { 4 } else { 1 };
        let total = lab.either(128 << 20, 1_usize << 30) / share;
        pair.tell(&format!("{direction} {write} {}", total / 8));
        let outcome = pair.measure(&format!("{direction} {write} {total}"));
        let [elapsed, client_cpu] = outcome.figures[..] else { panic!("not two figures") };
        let scenario = match direction {
            Direction::Download => "bulk",
            Direction::Upload => "upload",
        };
        let variant = format!("{name}, {cores}");
        let mut add = |metric, unit, value| {
            samples.add(Key::new(scenario, peer.name(), &variant, metric), unit, value);
        };
        let per_gib = GIB / total as f64;
        add("throughput", "GB/s", total as f64 / elapsed / 1e9);
        add("server CPU", "s/GiB", outcome.server_cpu * per_gib);
        add("client CPU", "s/GiB", client_cpu * per_gib);
        add("CPU", "s/GiB", (outcome.server_cpu + client_cpu) * per_gib);
    }
}
