//! Processor time of calls and messages, with either HTTP/2 at either end.

use alts_benches::verdicts::Verdict;

use crate::pair::{Cores, Lab, Outcome, Pair, Stack, Transport, median};

/// Server and client. The rival is first.
const PAIRS: [(Stack, Stack); 4] = [
    (Stack::Hyper, Stack::Hyper),
    (Stack::Alts, Stack::Alts),
    (Stack::Alts, Stack::Hyper),
    (Stack::Hyper, Stack::Alts),
];

/// What is done, how often, and how often with `--quick`.
const WORK: [(&str, &str, u32, u32); 10] = [
    ("unary 1 KiB, 32 in flight", "unary 1024 32", 20_000, 4_000),
    ("unary 1 KiB, 1 in flight", "unary 1024 1", 10_000, 2_000),
    ("unary 64 KiB, 8 in flight", "unary 65536 8", 2_000, 400),
    ("unary 1 MiB, 4 in flight", "unary 1048576 4", 160, 40),
    ("server streaming, 1 KiB messages", "repeat 1024 1", 40_000, 8_000),
    ("client streaming, 1 KiB messages", "join 1024 1", 40_000, 8_000),
    ("server streaming, 64 KiB messages", "repeat 65536 1", 3_000, 500),
    ("client streaming, 64 KiB messages", "join 65536 1", 3_000, 500),
    ("server streaming, 1 MiB messages", "repeat 1048576 1", 200, 40),
    ("client streaming, 1 MiB messages", "join 1048576 1", 200, 40),
];

struct Target {
    what: &'static str,
    work: usize,
    /// Of which pair, over the first.
    pair: usize,
    figure: fn(&Outcome) -> f64,
    required: f64,
    stretch: f64,
}

const TARGETS: [Target; 12] = [
    target("unary 1 KiB, 32 in flight: CPU of both ends, of tonic's", 0, 1, both, [0.40, 0.28]),
    target("unary 1 KiB, 1 in flight: CPU of both ends, of tonic's", 1, 1, both, [0.45, 0.30]),
    target("the server alone under tonic's client, 32 in flight", 0, 2, server, [0.65, 0.55]),
    target("the server alone under tonic's client, 1 in flight", 1, 2, server, [0.65, 0.55]),
    target("unary 64 KiB: CPU of both ends, of tonic's", 2, 1, both, [0.95, 0.70]),
    target("unary 1 MiB: CPU of both ends, of tonic's", 3, 1, both, [0.95, 0.70]),
    target("server streaming, 1 KiB: CPU of both ends, of tonic's", 4, 1, both, [0.95, 0.70]),
    target("client streaming, 1 KiB: CPU of both ends, of tonic's", 5, 1, both, [0.95, 0.70]),
    target("server streaming, 64 KiB: CPU of both ends, of tonic's", 6, 1, both, [0.95, 0.70]),
    target("client streaming, 64 KiB: CPU of both ends, of tonic's", 7, 1, both, [0.95, 0.70]),
    target("server streaming, 1 MiB: CPU of both ends, of tonic's", 8, 1, both, [0.95, 0.70]),
    target("client streaming, 1 MiB: CPU of both ends, of tonic's", 9, 1, both, [0.95, 0.70]),
];

const fn target(
    what: &'static str,
    work: usize,
    pair: usize,
    figure: fn(&Outcome) -> f64,
    [required, stretch]: [f64; 2],
) -> Target {
    Target { what, work, pair, figure, required, stretch }
}

fn both(outcome: &Outcome) -> f64 {
    outcome.both()
}

fn server(outcome: &Outcome) -> f64 {
    outcome.server
}

pub(crate) fn compare(lab: Lab<'_>) -> Vec<Verdict> {
    let start = |(server, client)| Pair::start(lab, server, client, Transport::Tcp, Cores::one());
    // By work and pair.
    let mut outcomes = vec![vec![Vec::new(); PAIRS.len()]; WORK.len()];
    for round in 0..lab.rounds {
        let mut pairs = PAIRS.map(start);
        for (work, (_, order, many, few)) in WORK.iter().enumerate() {
            for at in 0..PAIRS.len() {
                let pair = (at + round) % PAIRS.len();
                let count = if lab.quick { *few } else { *many };
                outcomes[work][pair].push(pairs[pair].measure_warm(order, *few, count));
            }
        }
    }
    print(lab.rounds, &outcomes);
    let verdict = |Target { what, work, pair, figure, required, stretch }| {
        let rounds = outcomes[work][pair].iter().zip(&outcomes[work][0]);
        let ratio = median(rounds.map(|(ours, rival)| figure(ours) / figure(rival)));
        Verdict::at_most(what, ratio, required, stretch)
    };
    TARGETS.into_iter().map(verdict).collect()
}

fn print(rounds: usize, outcomes: &[Vec<Vec<Outcome>>]) {
    println!("\nCPU for each call or message, microseconds, median of {rounds} rounds on one core");
    println!(
        "{:<36}{:>8}{:>8}{:>10}{:>10}{:>10}{:>10}",
        "", "server", "client", "server", "client", "both", "wall"
    );
    for ((name, ..), outcomes) in WORK.iter().zip(outcomes) {
        for (pair, (server, client)) in PAIRS.iter().enumerate() {
            let of = |figure: fn(&Outcome) -> f64| median(outcomes[pair].iter().map(figure));
            println!(
                "{:<36}{:>8}{:>8}{:>10.2}{:>10.2}{:>10.2}{:>10.2}",
                if pair == 0 { name } else { "" },
                server.name(),
                client.name(),
                of(|outcome| outcome.server),
                of(|outcome| outcome.client),
                of(both),
                of(|outcome| outcome.wall),
            );
        }
    }
}

/// grpcio's server under both clients, for orientation.
pub(crate) fn grpcio(lab: Lab<'_>) {
    let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"));
    println!("\nthe same with grpcio's server, in Python and on any core, for orientation");
    for client in [Stack::Hyper, Stack::Alts] {
        let Some(server) = alts_benches::grpcio::start(directory) else { return };
        let core = Cores::one().client;
        let mut pair = Pair::with_server(lab, server, client, Transport::Tcp, core);
        for (name, order, ..) in &WORK[..2] {
            let count = if lab.quick { 320 } else { 3_200 };
            pair.measure(order, count / 10);
            let outcome = pair.measure(order, count);
            println!(
                "{name:<36}{:>8}{:>8}{:>10.2}{:>10.2}{:>10.2}{:>10.2}",
                "grpcio",
                client.name(),
                outcome.server,
                outcome.client,
                outcome.both(),
                outcome.wall
            );
        }
    }
}
