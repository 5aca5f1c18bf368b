//! A ping of 64 B to a server with one thread, while other connections send to it as much as it takes. Clients on another core.

use crate::lab::{Lab, Step};
use crate::process::Setup;
use crate::roles::Form;
use crate::roles::transport::Peer;
use crate::samples::{Key, Samples};

const STREAMS: [(usize, &str); 2] = [(4, "4 streams"), (16, "16 streams")];
const MILLIS: f64 = 1e3;

pub(super) fn steps(lab: &Lab) -> Vec<Step> {
    let step = |peer: Peer| {
        let label = format!("ping beside busy streams, {}", peer.name());
        Step::new(label, move |lab, samples| measure(lab, samples, peer))
    };
    lab.turns(lab.either(1, lab.rounds)).into_iter().map(step).collect()
}

fn measure(lab: &Lab, samples: &mut Samples, peer: Peer) {
    let millis = lab.either(500, 2_000);
    let &cores = lab.pinned().last().expect("one core at least");
    for (streams, variant) in STREAMS {
        let mut pair = Setup::new(peer, Form::Ordered, cores).start(lab);
        let outcome = pair.measure(&format!("busy {streams} 64 {millis}"));
        let [p50, p99, bytes] = outcome.figures[..] else { panic!("not three figures") };
        for (metric, unit, value) in [
            ("p50", "ms", p50 * MILLIS),
            ("p99", "ms", p99 * MILLIS),
            ("throughput of the streams", "GB/s", bytes / 1e9),
        ] {
            samples.add(Key::new("fairness", peer.name(), variant, metric), unit, value);
        }
    }
}
