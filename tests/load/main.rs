//! Faults and load over real sockets on loopback: what was thrown at a server, and what was lost.
//!
//! ```text
//! cargo test -p alts --features tonic,yamux --test load           scaled down, part of `cargo test`
//! cargo build -p alts-examples --release --example echo_server       which one of the scenarios attacks, if it is there
//! cargo test -p alts --release --features tonic,yamux --test load -- --full --save tests/load/results.txt
//! cargo test -p alts --release --test load -- --full --exact soak         ten minutes; --soak SECONDS for another time
//! ```
//!
//! Each scenario is a process of its own, this same program, whose counting allocator sees the server alone. Its peers, honest ones
//! and others, are further processes ([`helpers`]). Counts and bytes decide, not times; the one exception is named in `slow_loris.rs`.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the scenario")]

#[expect(dead_code, reason = "other tests use the rest of it")]
#[path = "../support/double.rs"]
mod double;
#[cfg(feature = "tonic")]
#[path = "../../examples/grpc/echo.rs"]
mod echo;
#[path = "../support/files.rs"]
mod files;
mod gauges;
#[cfg(feature = "tonic")]
mod grpc;
mod helper;
mod helpers;
mod identities;
#[path = "../support/rest.rs"]
mod rest;
#[path = "../support/rng.rs"]
mod rng;
mod row;
mod scale;
mod scenarios;
mod service;
mod tally;
mod target;

use std::alloc::System;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use clap::Parser;
use libtest_mimic::{Arguments, Failed, Trial};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

use row::Row;
use scale::Scale;
use scenarios::{SCENARIOS, Scenario};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What this program takes beside a test harness's own arguments.
#[derive(Parser)]
struct Options {
    /// Everything at full size.
    #[arg(long)]
    full: bool,
    /// Seconds of the soak.
    #[arg(long, value_name = "SECONDS")]
    soak: Option<u64>,
    /// Write the table to this file as well.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    #[command(flatten)]
    harness: Arguments,
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some("--helper") => return helpers::run(&words[1..]),
        Some("--scenario") => return scenarios::run(&words[1..]),
        _ => {}
    }
    let mut options = Options::parse();
    let scale = Scale::new(options.full, options.soak);
    // They share the machine's two or more cores with their peers already.
    options.harness.test_threads = Some(1);
    let rows = Arc::new(Mutex::new(Vec::new()));
    let trials = SCENARIOS.iter().map(|scenario| trial(scenario, scale, &rows)).collect();
    let conclusion = libtest_mimic::run(&options.harness, trials);
    let rows = rows.lock().unwrap();
    if !rows.is_empty() {
        let table = row::table(&rows, scale);
        println!("{table}");
        if let Some(file) = options.save {
            std::fs::write(&file, table)
                .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        }
    }
    conclusion.exit();
}

fn trial(scenario: &'static Scenario, scale: Scale, rows: &Arc<Mutex<Vec<Row>>>) -> Trial {
    let rows = Arc::clone(rows);
    Trial::test(scenario.name, move || {
        let row = in_a_process(scenario, scale)?;
        let failures = row.failures().join("; ");
        rows.lock().unwrap().push(row);
        if failures.is_empty() { Ok(()) } else { Err(Failed::from(failures)) }
    })
    .with_ignored_flag(!(scenario.available)())
}

/// Runs a scenario in a process of its own. One that hangs is ended after a time that no run needs: that is how a deadlock shows.
fn in_a_process(scenario: &Scenario, scale: Scale) -> Result<Row, Failed> {
    let start = Instant::now();
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--scenario", scenario.name])
        .args(scale.arguments())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()?;
    let reports = BufReader::new(child.stdout.take().ok_or("it is piped")?);
    let child = Arc::new(Mutex::new(child));
    let watched = Arc::clone(&child);
    let patience = scale.patience();
    let (done, ended) = std::sync::mpsc::channel::<()>();
    let watchdog = std::thread::spawn(move || {
        let hung = ended.recv_timeout(patience) == Err(std::sync::mpsc::RecvTimeoutError::Timeout);
        if hung {
            let _ = watched.lock().unwrap().kill();
        }
        hung
    });
    let mut row = None;
    for line in reports.lines() {
        let line = line?;
        match Row::parse(&line) {
            Some(parsed) => row = Some(parsed),
            None => println!("{line}"),
        }
    }
    drop(done);
    let hung = watchdog.join().map_err(|_| "the watchdog failed")?;
    let status = child.lock().unwrap().wait()?;
    if hung {
        return Err("it hung, and was ended".into());
    }
    let mut row = row.ok_or_else(|| format!("no result: {status}"))?;
    row.set_seconds(start.elapsed().as_secs());
    if status.success() { Ok(row) } else { Err(format!("{status}").into()) }
}
