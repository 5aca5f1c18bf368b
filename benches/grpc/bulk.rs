//! One server-streaming call that carries 1 GiB, secured, both ends on one core.

use alts_benches::verdicts::Verdict;

use crate::pair::{Cores, Lab, Outcome, Pair, Stack, Transport, median};

/// The rival is first; the last tells how much is the transport and how much is HTTP/2.
const PEERS: [(Stack, Transport); 3] = [
    (Stack::Hyper, Transport::Tls),
    (Stack::Alts, Transport::Alts),
    (Stack::Hyper, Transport::Alts),
];
/// Bytes of a message.
const MESSAGE: u32 = 64 << 10;

pub(crate) fn compare(lab: Lab<'_>) -> Vec<Verdict> {
    let bytes: u32 = if lab.quick { 64 << 20 } else { 1 << 30 };
    let rounds = lab.rounds.min(3);
    let start = |(stack, transport)| Pair::start(lab, stack, stack, transport, Cores::one());
    let mut pairs = PEERS.map(start);
    let mut outcomes = PEERS.map(|_| Vec::<Outcome>::new());
    let order = format!("repeat {MESSAGE} 1");
    for round in 0..=rounds {
        for at in 0..PEERS.len() {
            let peer = (at + round) % PEERS.len();
            // The first round warms up.
            let bytes = if round == 0 { bytes / 16 } else { bytes };
            let outcome = pairs[peer].measure(&order, bytes / MESSAGE);
            if round > 0 {
                outcomes[peer].push(outcome);
            }
        }
    }
    println!(
        "\none server-streaming call of {} MiB, messages of {} KiB, one core, median of {rounds} rounds",
        bytes >> 20,
        MESSAGE >> 10
    );
    println!("{:<24}{:>12}{:>16}{:>16}", "", "GB/s", "server, s/GiB", "client, s/GiB");
    // From microseconds a message.
    let per_gib = f64::from(1 << 30) / f64::from(MESSAGE) / 1e6;
    let throughput = |outcome: &Outcome| f64::from(MESSAGE) / outcome.wall / 1e3;
    for ((stack, transport), outcomes) in PEERS.iter().zip(&outcomes) {
        println!(
            "{:<24}{:>12.3}{:>16.3}{:>16.3}",
            format!("{} over {}", stack.name(), transport.name()),
            median(outcomes.iter().map(throughput)),
            median(outcomes.iter().map(|outcome| outcome.server * per_gib)),
            median(outcomes.iter().map(|outcome| outcome.client * per_gib)),
        );
    }
    let ratios = outcomes[1].iter().zip(&outcomes[0]);
    let ratio = median(ratios.map(|(ours, rival)| throughput(ours) / throughput(rival)));
    let what = "1 GiB in one call over ALTS: throughput, of tonic's over TLS";
    vec![Verdict::at_least(what, ratio, 1.5, 2.0)]
}
