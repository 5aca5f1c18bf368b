//! yamux here, beside the crate `yamux` and, where Go is installed, hashicorp's: every figure with what is required of it.
//!
//! ```text
//! cargo bench -p alts-benches --bench yamux                                   a minute or two
//! cargo bench -p alts-benches --bench yamux -- --quick                        one round
//! cargo bench -p alts-benches --bench yamux -- --save benches/results/yamux.txt
//! ```
//!
//! Each measurement is a process of its own, this same program, with both ends in it; the peers take turns in each round, and ratios are
//! taken round by round. System calls are counted by strace.

#[path = "yamux/hashicorp.rs"]
mod hashicorp;
#[path = "yamux/held.rs"]
mod held;
#[path = "yamux/moved.rs"]
mod moved;
#[path = "yamux/peers.rs"]
mod peers;
#[path = "yamux/report.rs"]
mod report;

use std::alloc::System;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use clap::Parser;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use peers::{Peer, Transport};
use report::Figures;

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// yamux beside its peers.
#[derive(Parser)]
struct Options {
    /// One round, and less data.
    #[arg(long)]
    quick: bool,
    /// Rounds.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Write the table to this file as well.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What is moved to measure it: the size of writes, MiB, and what the row is called.
const WRITES: [(usize, usize); 3] = [(64 << 10, 1_024), (1 << 10, 64), (64, 16)];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().map(String::as_str) == Some("--child") {
        child(&words[1..]);
        return ExitCode::SUCCESS;
    }
    let options = Options::parse();
    let rounds = if options.quick { 1 } else { options.rounds };
    let less = if options.quick { 4 } else { 1 };
    let mut figures = Figures::default();
    let go = hashicorp::build();
    for peer in [Peer::Ours, Peer::Rust] {
        figures.add(peer.name(), "memory", &run(peer, &["move", "memory", "65536", "512"]));
        figures.add(peer.name(), "held", &run(peer, &["held"]));
        figures.add(peer.name(), "many", &run(peer, &["many"]));
        figures.add(peer.name(), "calls", &calls(peer));
    }
    figures.add("alts", "session", &run(Peer::Ours, &["session"]));
    figures.add("alts", "tiny", &run(Peer::Ours, &["tiny"]));
    if let Some(go) = &go {
        figures.add("hashicorp", "memory", &hashicorp::run(go, &["memory", "65536", "512"]));
    }
    for round in 0..rounds {
        for (size, mib) in WRITES {
            let (size_word, mib) = (size.to_string(), (mib / less).to_string());
            let mut turns = vec![Peer::Ours, Peer::Rust, Peer::Tcp];
            turns.rotate_left(round % 3);
            let name = format!("tcp {size_word}");
            for peer in turns {
                figures.add(peer.name(), &name, &run(peer, &["move", "tcp", &size_word, &mib]));
            }
            if let Some(go) = &go {
                figures.add("hashicorp", &name, &hashicorp::run(go, &["tcp", &size_word, &mib]));
            }
        }
    }
    let (table, met) = figures.table();
    println!("{table}");
    if let Some(file) = options.save {
        std::fs::write(&file, table).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
    if met { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Measures one thing in this process, and prints `name=value` for each figure.
fn child(words: &[String]) {
    let peer = Peer::named(&words[0]);
    let number = |at: usize| words[at].parse::<usize>().expect("a number");
    let figures = match words[1].as_str() {
        "move" => {
            let transport = if words[2] == "tcp" { Transport::Tcp } else { Transport::Memory };
            moved::run(HEAP, peer, transport, number(3), number(4) << 20)
        }
        "held" => held::streams(HEAP, peer),
        "many" => held::many(peer),
        "session" => held::session(HEAP),
        "tiny" => held::tiny(HEAP),
        other => panic!("{other}"),
    };
    let words: Vec<String> =
        figures.iter().map(|(name, value)| format!("{name}={value}")).collect();
    println!("{}", words.join(" "));
}

fn run(peer: Peer, words: &[&str]) -> Vec<(String, f64)> {
    let program = std::env::current_exe().expect("this program");
    let mut command = Command::new(program);
    command.arg("--child").arg(peer.name()).args(words);
    output(&mut command)
}

fn output(command: &mut Command) -> Vec<(String, f64)> {
    let output = command.stderr(Stdio::inherit()).output().expect("the child runs");
    assert!(output.status.success(), "{command:?}: {}", output.status);
    parse(&String::from_utf8_lossy(&output.stdout))
}

fn parse(text: &str) -> Vec<(String, f64)> {
    text.split_whitespace()
        .filter_map(|word| word.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.parse().expect("a number")))
        .collect()
}

/// Reads and writes for 128 MiB over TCP, as the kernel is asked for them.
fn calls(peer: Peer) -> Vec<(String, f64)> {
    let program = std::env::current_exe().expect("this program");
    let traced = "trace=read,readv,recvfrom,recvmsg,write,writev,sendto,sendmsg";
    let strace = Command::new("strace")
        .args(["-f", "-c", "-U", "name,calls", "-e", traced])
        .arg(program)
        .args(["--child", peer.name(), "move", "tcp", "65536", "128"])
        .output();
    let Ok(strace) = strace.as_ref().map(|output| String::from_utf8_lossy(&output.stderr)) else {
        eprintln!("SKIPPED: strace is not installed, so no system calls are counted");
        return Vec::new();
    };
    // The last line is the sum.
    let total = strace.lines().rev().find_map(|line| line.trim().strip_prefix("total"));
    let total = total.and_then(|total| total.trim().parse().ok());
    total.map(|total: f64| ("calls".to_owned(), total)).into_iter().collect()
}
