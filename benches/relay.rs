//! Relays and tunnels beside what people use now: processor time, latency, and what idle pairs hold.
//!
//! ```text
//! cargo bench -p alts-benches --bench relay -- [--quick] [--rounds 3] [--mib 1024] [--pairs 1000] [--handshakes 300] [--save]
//! ```
//!
//! Each relay is a process of its own: the command `alts`, which this builds first, and its peers: tokio's `copy_bidirectional`
//! and tokio-splice2 in a small program, and stunnel, if it is installed. Peers take turns within a round; the median of all rounds
//! counts. Processor time is the relay's alone, from the clock of its process. Where idle pairs are measured, a preloaded library
//! counts the program's live heap.

#[path = "relay/clients.rs"]
mod clients;
#[path = "relay/live_heap.rs"]
mod live_heap;
#[path = "relay/peers.rs"]
mod peers;
#[path = "relay/process.rs"]
mod process;
#[path = "relay/report.rs"]
mod report;
#[path = "relay/scenarios.rs"]
mod scenarios;

use alts_benches::machine;
use clap::Parser;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

#[derive(Parser)]
struct Arguments {
    /// How often everything is measured.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Size of a bulk transfer.
    #[arg(long, default_value_t = 1024)]
    mib: usize,
    /// Connections that are idle at the same time.
    #[arg(long, default_value_t = 1000)]
    pairs: usize,
    /// Full handshakes, one after the other.
    #[arg(long, default_value_t = 300)]
    handshakes: usize,
    /// Write the table to benches/results/relay.txt.
    #[arg(long)]
    save: bool,
    /// Not for people: plays a peer.
    #[arg(long, value_enum, hide = true, requires = "target")]
    play: Option<peers::Played>,
    #[arg(long, hide = true)]
    target: Option<String>,
    /// What cargo says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
    /// One round of small sizes, to see that it works; its figures mean little.
    #[arg(long, conflicts_with_all = ["rounds", "mib", "pairs", "handshakes", "save"])]
    quick: bool,
}

fn main() {
    let mut arguments = Arguments::parse();
    if arguments.quick {
        arguments = Arguments { rounds: 1, mib: 64, pairs: 100, handshakes: 50, ..arguments };
    }
    if let (Some(role), Some(target)) = (arguments.play, &arguments.target) {
        return peers::play(role, target);
    }
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit can be read");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
        .expect("the limit can be raised to the hard one");
    let lab = peers::Lab::new();
    let mut samples = report::Samples::default();
    for round in 1..=arguments.rounds {
        eprintln!("round {round} of {}", arguments.rounds);
        scenarios::plain(&lab, arguments.mib, arguments.pairs, &mut samples);
        scenarios::secured(
            &lab,
            arguments.mib,
            arguments.pairs,
            arguments.handshakes,
            &mut samples,
        );
    }
    let mut head = machine::description(None);
    let Arguments { rounds, mib, pairs, handshakes, .. } = arguments;
    head.push(format!("rounds: {rounds}; {mib} MiB, {pairs} pairs, {handshakes} handshakes"));
    let table = format!("{}\n\n{}", head.join("\n"), report::table(&mut samples));
    print!("{table}");
    if arguments.save {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/results/relay.txt");
        std::fs::write(path, table).expect("the table can be written");
    }
}
