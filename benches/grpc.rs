//! What a gRPC call costs: tonic's generated code over alts' HTTP/2 and over hyper's, both ends, one end, and neither.
//!
//! ```text
//! cargo bench -p alts-benches --features grpc --bench grpc            # -- --quick, -- --rounds N
//! ```
//!
//! Server and client are processes of their own on one core, and report their processor time (getrusage). Each figure is the median of
//! rounds in which all pairs take turns; the targets compare within one round, so that what the machine does besides falls out.

#[path = "../examples/grpc/echo.rs"]
mod echo;
#[path = "grpc/peers.rs"]
mod peers;
#[path = "grpc/process.rs"]
mod process;
#[path = "grpc/work.rs"]
mod work;

use process::{Outcome, Pair};

/// Whose HTTP/2 it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stack {
    Alts,
    Hyper,
}

impl Stack {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Alts => "alts",
            Self::Hyper => "hyper",
        }
    }

    fn named(name: &str) -> Self {
        match name {
            "alts" => Self::Alts,
            "hyper" => Self::Hyper,
            other => panic!("no HTTP/2 is called {other}"),
        }
    }
}

/// Server and client. The rival is first.
const PAIRS: [(Stack, Stack); 4] = [
    (Stack::Hyper, Stack::Hyper),
    (Stack::Alts, Stack::Alts),
    (Stack::Alts, Stack::Hyper),
    (Stack::Hyper, Stack::Alts),
];

/// What is done, how often, and how often with `--quick`.
const WORK: [(&str, &str, u32, u32); 6] = [
    ("unary 1 KiB, 32 in flight", "unary 1024 32", 20_000, 4_000),
    ("unary 1 KiB, 1 in flight", "unary 1024 1", 10_000, 2_000),
    ("unary 64 KiB, 8 in flight", "unary 65536 8", 2_000, 400),
    ("unary 1 MiB, 4 in flight", "unary 1048576 4", 160, 40),
    ("server streaming, 1 KiB messages", "repeat 1024 1", 40_000, 8_000),
    ("client streaming, 1 KiB messages", "join 1024 1", 40_000, 8_000),
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

const TARGETS: [Target; 8] = [
    target("unary 1 KiB, 32 in flight: CPU of both ends, of tonic's", 0, 1, both, [0.40, 0.28]),
    target("unary 1 KiB, 1 in flight: CPU of both ends, of tonic's", 1, 1, both, [0.45, 0.30]),
    target("the server alone under tonic's client, 32 in flight", 0, 2, server, [0.65, 0.55]),
    target("the server alone under tonic's client, 1 in flight", 1, 2, server, [0.65, 0.55]),
    target("unary 64 KiB: CPU of both ends, of tonic's", 2, 1, both, [0.95, 0.70]),
    target("unary 1 MiB: CPU of both ends, of tonic's", 3, 1, both, [0.95, 0.70]),
    target("server streaming: CPU of both ends, of tonic's", 4, 1, both, [0.95, 0.70]),
    target("client streaming: CPU of both ends, of tonic's", 5, 1, both, [0.95, 0.70]),
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
    outcome.server + outcome.client
}

fn server(outcome: &Outcome) -> f64 {
    outcome.server
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words[..] {
        ["--server", stack] => peers::serve(Stack::named(stack)),
        ["--client", stack, address] => work::run(Stack::named(stack), address),
        _ => {
            let quick = words.contains(&"--quick");
            let rounds = words.iter().position(|word| *word == "--rounds");
            let rounds = rounds.and_then(|at| words.get(at + 1)?.parse().ok());
            compare(quick, rounds.unwrap_or(if quick { 3 } else { 7 }));
        }
    }
}

fn compare(quick: bool, rounds: usize) {
    let mut pairs: Vec<Pair> =
        PAIRS.iter().map(|(server, client)| Pair::start(*server, *client)).collect();
    // By work and pair.
    let mut outcomes = vec![vec![Vec::new(); PAIRS.len()]; WORK.len()];
    for round in 0..=rounds {
        for (work, (_, order, many, few)) in WORK.iter().enumerate() {
            // The first round warms up.
            let count = if quick || round == 0 { *few } else { *many };
            for at in 0..PAIRS.len() {
                let pair = (at + round) % PAIRS.len();
                let outcome = pairs[pair].measure(order, count);
                if round > 0 {
                    outcomes[work][pair].push(outcome);
                }
            }
        }
    }
    println!("CPU for each call or message, microseconds, median of {rounds} rounds on one core\n");
    println!(
        "{:<36}{:>8}{:>8}{:>10}{:>10}{:>10}{:>10}",
        "", "server", "client", "server", "client", "both", "wall"
    );
    for (work, (name, ..)) in WORK.iter().enumerate() {
        for (pair, (server, client)) in PAIRS.iter().enumerate() {
            let of = |figure: fn(&Outcome) -> f64| median(outcomes[work][pair].iter().map(figure));
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
    println!("\n{:<62}{:>8}{:>10}{:>10}  verdict", "target", "figure", "required", "stretch");
    for Target { what, work, pair, figure, required, stretch } in TARGETS {
        let rounds = outcomes[work][pair].iter().zip(&outcomes[work][0]);
        let ratio = median(rounds.map(|(ours, rival)| figure(ours) / figure(rival)));
        let verdict = match () {
            () if ratio <= stretch => "stretch",
            () if ratio <= required => "met",
            () => "MISSED",
        };
        println!("{what:<62}{ratio:>8.2}{required:>10.2}{stretch:>10.2}  {verdict}");
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
