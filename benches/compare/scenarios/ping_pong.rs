//! A small message to and fro on one connection, both ends on one core: what a message costs, without what it costs to wake
//! another core.

use crate::lab::{Lab, Step};
use crate::process::{Cores, Setup};
use crate::roles::Form;
use crate::roles::transport::Peer;
use crate::samples::{Key, Samples};

const MESSAGES: [(usize, &str); 2] = [(64, "64 B"), (1 << 10, "1 KiB")];
const MICROS: f64 = 1e6;

pub(super) fn steps(lab: &Lab) -> Vec<Step> {
    let step = |peer: Peer| {
        let label = format!("ping-pong, {}", peer.name());
        Step::new(label, move |lab, samples| measure(lab, samples, peer))
    };
    lab.turns(lab.rounds).into_iter().map(step).collect()
}

fn measure(lab: &Lab, samples: &mut Samples, peer: Peer) {
    let count = lab.either(10_000_u32, 50_000);
    let mut pair = Setup::new(peer, Form::Echo, Cores::One).start(lab);
    pair.tell("connect 1");
    for (size, variant) in MESSAGES {
        pair.tell(&format!("ping {size} {}", count / 8));
        let outcome = pair.measure(&format!("ping {size} {count}"));
        let [p50, p99, client_cpu] = outcome.figures[..] else { panic!("not three figures") };
        let server_cpu = outcome.server_cpu / f64::from(count);
        for (metric, seconds) in [
            ("p50", p50),
            ("p99", p99),
            ("server CPU", server_cpu),
            ("client CPU", client_cpu),
            ("CPU", server_cpu + client_cpu),
        ] {
            let key = Key::new("ping-pong", peer.name(), variant, metric);
            samples.add(key, "us", seconds * MICROS);
        }
    }
}
