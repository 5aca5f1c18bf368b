//! What gRPC costs: tonic's generated code over alts' HTTP/2 and over hyper's, both ends, one end, and neither.
//!
//! ```text
//! cargo bench -p alts-benches --features grpc --bench grpc            # -- --quick, -- --rounds N, -- --only bulk,ping
//! ```
//!
//! Server and client are processes of their own, each with one thread, and report their processor time (getrusage). Peers take turns
//! within a round, and the targets compare within one round, so that what the machine does besides falls out. Each round of calls starts
//! its processes anew: two processes of one program differ by up to a fifth. See `Part` for what is measured.

#[path = "grpc/bulk.rs"]
mod bulk;
#[path = "grpc/calls.rs"]
mod calls;
#[path = "grpc/client.rs"]
mod client;
#[path = "../examples/grpc/echo.rs"]
mod echo;
#[path = "grpc/floor.rs"]
mod floor;
#[path = "grpc/pair.rs"]
mod pair;
#[path = "grpc/ping.rs"]
mod ping;
#[path = "grpc/server.rs"]
mod server;
#[path = "grpc/writes.rs"]
mod writes;

use std::path::Path;

use alts_benches::{identity, machine, verdicts};
use clap::{Parser, ValueEnum};

use pair::{Lab, Stack, Transport};

/// Compares alts' HTTP/2 with hyper's under the same services and clients of tonic.
#[derive(Debug, Parser)]
#[command(name = "grpc")]
struct Arguments {
    /// Fewer calls, bytes and rounds: a minute, less exactly.
    #[arg(long)]
    quick: bool,
    /// How often each figure is taken.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    rounds: Option<u16>,
    /// Only these parts.
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    only: Vec<Part>,
    /// Cargo says so.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Part {
    /// Processor time of calls and messages.
    Calls,
    /// 1 GiB in one call, secured.
    Bulk,
    /// A call beside busy streams of the same connection.
    Ping,
    /// System calls for responses that are ready at the same time.
    Writes,
    /// What a server cannot save: what the kernel, the runtime and tonic's handler take of a call's time.
    Floor,
    /// Calls of grpcio's server, for orientation.
    Grpcio,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let core = |core: &str| core.parse().expect("a core's number");
    match words[..] {
        ["--server", stack, transport, directory, number] => {
            let transport = Transport::named(transport);
            server::serve(Stack::named(stack), transport, Path::new(directory), core(number));
        }
        ["--client", stack, transport, directory, address, number] => {
            let (stack, transport) = (Stack::named(stack), Transport::named(transport));
            client::run(stack, transport, Path::new(directory), address, core(number));
        }
        ["--floor", kind, number] => floor::serve(floor::Floor::named(kind), core(number)),
        _ => compare(&Arguments::parse()),
    }
}

fn compare(arguments: &Arguments) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    identity::write(directory.path());
    let rounds = arguments.rounds.map_or(if arguments.quick { 3 } else { 5 }, usize::from);
    let lab = Lab { directory: directory.path(), quick: arguments.quick, rounds };
    println!("{}", machine::description(None).join("\n"));
    let mut verdicts = Vec::new();
    for part in Part::value_variants() {
        if !arguments.only.is_empty() && !arguments.only.contains(part) {
            continue;
        }
        match part {
            Part::Calls => verdicts.extend(calls::compare(lab)),
            Part::Bulk => verdicts.extend(bulk::compare(lab)),
            Part::Ping => verdicts.extend(ping::compare(lab)),
            Part::Writes => verdicts.extend(writes::compare()),
            Part::Floor => floor::compare(lab),
            Part::Grpcio => calls::grpcio(lab),
        }
    }
    println!("\n{}", verdicts::table(&verdicts));
}
