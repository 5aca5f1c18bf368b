//! The first thing to run: an authenticated connection from close up, then thousands of idle ones and what they cost.
//!
//! ```text
//! cargo run --release --example secure_echo
//! cargo run --release --example secure_echo -- --connections 10000 --message 65536
//! ```
//!
//! It needs no files: it makes a development authority and identities for a server and for clients, and drops them at the
//! end. The server side looks like a program of yours: [`Acceptor::accept`](alts::Acceptor::accept) on a
//! socket, then a loop of [`read_on_ready`](alts::ready::ReadyReader::read_on_ready) and `write_all` (`server.rs`).
//!
//! The clients of the second part run in a child process, so that what is counted on the heap is the server alone. The
//! comparisons are the same echo loop over mutual TLS 1.3 by rustls, and over tokio's bare `TcpStream`, measured in the same run
//! in the same way.

mod clients;
mod counted;
mod exchange;
mod identities;
mod memory;
mod pem;
mod server;
mod tls;

use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;

use alts::Acceptor;
use alts::connect::Settings;
use clap::Parser;
use indicatif::{HumanBytes, HumanCount, ProgressBar, ProgressStyle};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use clients::{Clients, Over};
use identities::Identities;
use pem::Pem;
use server::{Cost, Secured, Server};
use tls::Certificates;

/// Shows an authenticated connection, then what thousands of idle ones cost.
#[derive(Debug, Parser)]
#[command(name = "secure_echo")]
struct Arguments {
    /// Idle connections to open with ALTS, with TLS and with TCP alone: 1 to 20,000, since one address of loopback has some 28,000 ports.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 4_000,
        value_parser = clap::value_parser!(u16).range(1..=20_000)
    )]
    connections: u16,
    /// Size of the message that each connection has echoed before it goes idle: 1 to 1,048,576 bytes.
    #[arg(
        long,
        value_name = "BYTES",
        default_value_t = 1_024,
        value_parser = clap::value_parser!(u32).range(1..=1 << 20)
    )]
    message: u32,
    /// Only open and measure ALTS connections, without TLS and TCP for comparison.
    #[arg(long)]
    no_comparison: bool,
    /// Be the clients of the server at this address: what the program says to its child.
    #[arg(long, hide = true)]
    clients_to: Option<SocketAddr>,
    /// How to connect to it.
    #[arg(long, hide = true, default_value = "tcp")]
    clients_over: Over,
}

/// Descriptors for everything but the connections: standard streams, runtimes, listener, and room to spare.
const OTHER_DESCRIPTORS: usize = 64;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let (connections, message) = (arguments.connections.into(), arguments.message as usize);
    let outcome = match arguments.clients_to {
        Some(to) => clients::run(to, connections, message, arguments.clients_over),
        None => show(connections, message, !arguments.no_comparison),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let who = if arguments.clients_to.is_some() { "clients: " } else { "" };
            eprintln!("error: {who}{error}");
            ExitCode::FAILURE
        }
    }
}

fn show(wanted: usize, message: usize, comparison: bool) -> Result<(), Box<dyn Error>> {
    let files = raise_descriptor_limit()?;
    let connections = wanted.min(files.saturating_sub(OTHER_DESCRIPTORS));
    if connections == 0 {
        return Err(format!("a process may open only {files} files here (ulimit -Hn)").into());
    }

    let identities = Identities::new()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(exchange::exchange(&identities, message))?.print();
    drop(runtime);

    println!();
    if connections < wanted {
        let wanted = HumanCount(wanted as u64);
        println!("A process may open only {files} files here (ulimit -Hn), so not {wanted} but:");
    }
    println!(
        "{} connections, each with one echo of {} bytes, then idle",
        HumanCount(connections as u64),
        HumanCount(message as u64)
    );
    let settings = Settings::default();
    let acceptor = Acceptor::with_settings(identities.server()?, settings);
    let pem = identities.client_pem();
    let alts = cost_of_idle(connections, message, Over::Alts, Secured::Alts(acceptor), Some(&pem))?;
    let mut costs = vec![("ALTS", &alts)];
    let (tls, tcp);
    if comparison {
        let certificates = Certificates::new()?;
        let (acceptor, pem) = (certificates.server()?, &certificates.client);
        tls = cost_of_idle(connections, message, Over::Tls, Secured::Tls(acceptor), Some(pem))?;
        tcp = cost_of_idle(connections, message, Over::Tcp, Secured::Not, None)?;
        costs.extend([("TLS (rustls)", &tls), ("plain TCP", &tcp)]);
    }
    print_table(&costs);
    if alts.pool.in_use_buffers > 0 {
        return Err("idle connections hold buffers, which they must not".into());
    }
    Ok(())
}

/// Raises the limit on descriptors as far as it goes, and says how far that is.
fn raise_descriptor_limit() -> Result<usize, Box<dyn Error>> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    // Some systems state a limit that they do not grant. Then it stays as it is.
    let limit = match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    };
    Ok(usize::try_from(limit).unwrap_or(usize::MAX))
}

/// Opens connections, lets them go idle, and says what they cost the server.
fn cost_of_idle(
    connections: usize,
    message: usize,
    over: Over,
    secured: Secured,
    pem: Option<&Pem>,
) -> Result<Cost, Box<dyn Error>> {
    let name = match over {
        Over::Tcp => "TCP",
        Over::Alts => "ALTS",
        Over::Tls => "TLS",
    };
    let bar = ProgressBar::new(connections as u64).with_message(name).with_style(
        ProgressStyle::with_template("  {msg:<5} {wide_bar} {human_pos}/{human_len} {elapsed}")?,
    );
    let server = Server::start(secured)?;
    let mut clients = Clients::start(server.address(), connections, message, over, pem)?;
    clients.wait_until_idle(connections, |more| bar.inc(more as u64))?;
    let cost = server.cost(connections);
    bar.finish_and_clear();
    // The server first, so that its tasks do not see the clients go.
    drop(server);
    cost
}

fn print_table(costs: &[(&str, &Cost)]) {
    let row = |name: &str, of: &dyn Fn(&str, &Cost) -> String| {
        print!("  {name:<36}");
        for (over, cost) in costs {
            print!("{:>14}", of(over, cost));
        }
        println!();
    };
    let of_pool = |over: &str, value: String| {
        if over.starts_with("TLS") { String::new() } else { value }
    };
    println!();
    row("", &|over, _| over.to_owned());
    row("idle connections", &|_, cost| HumanCount(cost.connections as u64).to_string());
    row("buffers out of the pool", &|over, cost| {
        of_pool(over, HumanCount(cost.pool.in_use_buffers as u64).to_string())
    });
    row("kept in the pool, for all together", &|over, cost| {
        of_pool(over, HumanBytes(cost.pool.idle_bytes as u64).to_string())
    });
    row("live heap per idle connection", &|_, cost| {
        format!("{} bytes", HumanCount((cost.heap / cost.connections) as u64))
    });
}
