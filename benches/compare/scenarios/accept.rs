//! Connections that are made, used for one byte, and given up: full handshakes, both sides with certificates. Server and clients
//! each have a core.

use crate::lab::{Lab, Step};
use crate::process::Setup;
use crate::roles::Form;
use crate::roles::transport::Peer;
use crate::samples::{Key, Samples};

const MICROS: f64 = 1e6;

pub(super) fn steps(lab: &Lab) -> Vec<Step> {
    let step = |peer: Peer| {
        let label = format!("accepting, {}", peer.name());
        Step::new(label, move |lab, samples| measure(lab, samples, peer))
    };
    lab.turns(lab.rounds).into_iter().map(step).collect()
}

fn measure(lab: &Lab, samples: &mut Samples, peer: Peer) {
    let count = lab.either(400_u32, 3_000);
    let &cores = lab.pinned().last().expect("one core at least");
    let mut pair = Setup::new(peer, Form::Echo, cores).start(lab);
    pair.tell(&format!("handshakes {}", count / 8));
    let outcome = pair.measure(&format!("handshakes {count}"));
    let [elapsed, client_cpu] = outcome.figures[..] else { panic!("not two figures") };
    let per_one = MICROS / f64::from(count);
    for (metric, unit, value) in [
        ("rate", "1/s", f64::from(count) / elapsed),
        ("server CPU", "us", outcome.server_cpu * per_one),
        ("client CPU", "us", client_cpu * per_one),
    ] {
        samples.add(Key::new("accept", peer.name(), "mutual", metric), unit, value);
    }
}
