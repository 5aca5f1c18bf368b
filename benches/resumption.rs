//! What resumption costs and saves, each figure beside what is required of it.
//!
//! ```text
//! cargo bench -p alts-benches --bench resumption                                     # handshakes in memory
//! cargo bench -p alts-benches --bench resumption -- --clients 10000 --save benches/results/resumption.txt
//! ```
//!
//! In memory: both sides' work on one core, with P-256 certificates and known chains, as in `--bench handshake`; but the kinds of
//! handshakes take turns, round by round, and each figure is the median of its rounds, so that what disturbs the machine disturbs
//! all of them. Both transports have the same work in it: a session is made on each side, bytes go to and fro until both can seal and
//! open records, and where there are tickets, the server opens one, seals the next, and the client's cache gives and takes it.
//!
//! With `--clients` also a storm: so many clients, each with a ticket of its own, come to a server that was started anew with the same
//! file of ticket keys; and the same clients without tickets to a server without keys. Both servers know the clients' chain already,
//! which is the better case for full handshakes.

#[path = "handshake/alts.rs"]
mod altsh1;
#[path = "handshake/certificates.rs"]
mod certificates;
#[path = "handshake/connected.rs"]
mod connected;
#[path = "resumption/memory.rs"]
mod memory;
#[path = "handshake/resumed_tls.rs"]
mod resumed_tls;
#[path = "resumption/storm/mod.rs"]
mod storm;
#[path = "resumption/stranger.rs"]
mod stranger;
#[path = "handshake/tls.rs"]
mod tls;
#[path = "resumption/turns.rs"]
mod turns;

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use alts_benches::{cores, machine, verdicts};
use clap::{Parser, Subcommand};

/// Measures handshakes with and without tickets.
#[derive(Debug, Parser)]
#[command(name = "resumption", args_conflicts_with_subcommands = true)]
struct Arguments {
    /// How often each kind of handshake has its turn.
    #[arg(long, default_value_t = 4_000)]
    rounds: usize,
    /// Also lets so many clients reconnect to a server that was started anew.
    #[arg(long, value_name = "N")]
    clients: Option<usize>,
    /// Also write what is printed into this file.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Do nothing: this is no part of the quick overview.
    #[arg(long)]
    quick: bool,
    /// What Cargo says to every benchmark.
    #[arg(long, hide = true, global = true)]
    bench: bool,
    /// What Cargo was told to run, if not all benchmarks.
    #[arg(value_name = "FILTER", hide = true)]
    filter: Vec<String>,
    #[command(subcommand)]
    role: Option<Role>,
}

/// The processes of the storm.
#[derive(Debug, Subcommand)]
enum Role {
    #[command(hide = true)]
    Server(storm::server::Arguments),
    #[command(hide = true)]
    Clients(storm::clients::Arguments),
}

fn main() {
    let arguments = Arguments::parse();
    match &arguments.role {
        Some(Role::Server(server)) => return storm::server::serve(server),
        Some(Role::Clients(clients)) => return storm::clients::obey(clients),
        None => {}
    }
    let named = || arguments.filter.iter().any(|filter| "resumption".contains(filter.as_str()));
    if arguments.quick || !(arguments.filter.is_empty() || named()) {
        return println!("resumption: left out");
    }
    let mut report = String::new();
    for line in machine::description(None) {
        let _ = writeln!(report, "{line}");
    }
    let cores = cores::allowed();
    cores::pin(cores[0]);
    let measured = memory::measure(arguments.rounds);
    report += &measured.text;
    let mut verdicts = measured.verdicts;
    if let Some(clients) = arguments.clients {
        let storm = storm::measure(clients, &cores);
        report += &storm.text;
        verdicts.push(storm.verdict);
    }
    let _ = write!(report, "\n{}", verdicts::table(&verdicts));
    print!("{report}");
    if let Some(path) = &arguments.save {
        fs::write(path, report).expect("the report can be written");
    }
}
