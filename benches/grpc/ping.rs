//! A call of 64 B beside 16 streams of the same connection that send as much as they can.

use alts_benches::verdicts::Verdict;

use crate::pair::{Cores, Lab, Pair, Stack, Transport, median};

const STACKS: [Stack; 2] = [Stack::Hyper, Stack::Alts];
const STREAMS: u32 = 16;
/// Bytes of a message of the busy streams, and of the ping.
const MESSAGE: u32 = 64 << 10;

pub(crate) fn compare(lab: Lab<'_>) -> Vec<Verdict> {
    let millis = if lab.quick { 300 } else { 2_000 };
    let mut figures = STACKS.map(|_| Vec::new());
    for round in 0..lab.rounds {
        for at in 0..STACKS.len() {
            let at = (at + round) % STACKS.len();
            let stack = STACKS[at];
            let mut pair = Pair::start(lab, stack, stack, Transport::Tcp, Cores::two());
            let answer = pair.ask(&format!("ping {MESSAGE} {STREAMS} {millis}"));
            let [p50, p99, bytes] = answer[..] else { panic!("three figures") };
            figures[at].push((p50, p99, bytes));
        }
    }
    println!(
        "\na ping of 64 B beside {STREAMS} busy streams of the same connection, each end on its own core, median of {} rounds",
        lab.rounds
    );
    println!("{:<12}{:>12}{:>12}{:>22}", "", "p50, ms", "p99, ms", "the streams, GB/s");
    for (stack, figures) in STACKS.iter().zip(&figures) {
        println!(
            "{:<12}{:>12.3}{:>12.3}{:>22.3}",
            stack.name(),
            median(figures.iter().map(|(p50, ..)| p50 * 1e3)),
            median(figures.iter().map(|(_, p99, _)| p99 * 1e3)),
            median(figures.iter().map(|(.., bytes)| bytes / 1e9)),
        );
    }
    let [hyper, alts] = &figures;
    let ratio = median(alts.iter().zip(hyper).map(|(ours, rival)| ours.0 / rival.0));
    vec![Verdict::at_most("ping beside 16 busy streams: p50, of tonic's", ratio, 0.5, 0.1)]
}
