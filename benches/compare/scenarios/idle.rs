//! What a server holds for a connection that is quiet: heap, resident memory, and its share where memory is shared.
//!
//! Counted from when some connections are there already and have been used, so that what only the first ones cost is not in it.

use crate::lab::{Lab, Step};
use crate::process::{Cores, Held, Setup};
use crate::roles::Form;
use crate::roles::transport::Peer;
use crate::samples::{Key, Samples};

/// Connections before counting begins.
const WARM_UP: usize = 64;

/// Servers, and what they are called in the results.
const FORMS: [(Form, &str); 3] =
    [(Form::Tasks, "tokio task"), (Form::Futures, "hand-written future"), (Form::Mio, "mio")];

/// Orders to the clients, one after the other, and what the connections are then.
const STATES: [(Option<&str>, &str); 3] = [
    (None, "never received"),
    (Some("echo 1024"), "after 1 KiB"),
    (Some("echo 32768"), "after 32 KiB"),
];
/// The same, for connections that are useless afterwards.
const PARTS: [(&str, &str); 2] =
    [("part 0 1", "1 byte of a record"), ("part 1 100", "100 bytes of a record")];

pub(super) fn steps(lab: &Lab) -> Vec<Step> {
    let rounds = lab.either(1, lab.rounds.min(3));
    let mut steps = Vec::new();
    for peer in lab.turns(rounds) {
        for (form, name) in FORMS {
            let label = format!("idle, {}, {name}", peer.name());
            steps.push(Step::new(label, move |lab, samples| {
                measure(lab, samples, peer, form, name);
            }));
        }
    }
    steps
}

fn measure(lab: &Lab, samples: &mut Samples, peer: Peer, form: Form, name: &str) {
    let connections = lab.connections(2_000, 8_000);
    let mut pair = Setup::new(peer, form, Cores::Any).counted().start(lab);
    pair.tell(&format!("connect {WARM_UP}"));
    pair.tell("echo 32768");
    let base = pair.held();
    pair.tell(&format!("connect {connections}"));
    let mut record = |held: Held, state| {
        let variant = format!("{name}, {state}");
        for (metric, bytes) in [
            ("heap", held.heap - base.heap),
            ("RSS", held.resident - base.resident),
            ("PSS", held.proportional - base.proportional),
        ] {
            let key = Key::new("idle", peer.name(), &variant, metric);
            samples.add(key, "B", bytes / connections as f64);
        }
    };
    for (order, state) in STATES {
        if let Some(order) = order {
            pair.tell(order);
        }
        record(pair.held(), state);
    }
    // Without security there are no records.
    if peer == Peer::Tcp {
        return;
    }
    for (order, state) in PARTS {
        pair.tell(order);
        // The connections of before have their part, too, but that is not much.
        record(pair.held(), state);
    }
}
