//! What an idle connection holds on a server, by what is on top of its ALTS stream: the table of the guide's page on buffers.
//!
//! ```text
//! cargo bench -p alts-benches --bench idle_stacks            # -- --connections N
//! ```
//!
//! Each row is measured in a process of its own, with its clients in another: live heap from a counting allocator, per connection,
//! after one exchange of 1 KiB on each of 8,000.

#[path = "idle_stacks/clients.rs"]
mod clients;
#[path = "idle_stacks/server.rs"]
mod server;

use std::path::Path;

use alts_benches::child::Child;
use alts_benches::{descriptors, identity, machine};

const CONNECTIONS: usize = 8_000;
/// Descriptors that are not connections of the measurement.
const OTHER_DESCRIPTORS: usize = 200;
/// Bytes of a message.
const MESSAGE: usize = 1024;

/// What is on top of the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stack {
    Loop,
    OwnFramed,
    Framed,
    CopyBidirectional,
    Http,
    OwnHttp,
}

const STACKS: [(Stack, &str, &str); 6] = [
    (Stack::Loop, "loop", "a loop of read_on_ready"),
    (Stack::OwnFramed, "own", "ready::Framed"),
    (Stack::Framed, "framed", "tokio_util's Framed"),
    (Stack::CopyBidirectional, "copy", "tokio's copy_bidirectional, with the other socket"),
    (Stack::Http, "http", "hyper's HTTP/1.1, as under axum"),
    (Stack::OwnHttp, "own-http", "alts::http1, which is hyper's between two rests"),
];

impl Stack {
    fn called(argument: &str) -> Self {
        let stack = STACKS.into_iter().find(|(_, name, _)| *name == argument);
        stack.unwrap_or_else(|| panic!("no stack is called {argument}")).0
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--measure", stack, directory, connections] => {
            let connections = connections.parse().expect("a number");
            println!(
                "{}",
                server::measure(Stack::called(stack), Path::new(directory), connections)
            );
        }
        ["--clients", stack, directory, address] => {
            let address = address.parse().expect("an address");
            clients::run(Stack::called(stack), Path::new(directory), address);
        }
        ["--echo"] => clients::echo(),
        // Cargo says `--bench`.
        ["--connections", connections, ..] => compare(connections.parse().expect("a number")),
        ["--quick", ..] => println!("idle_stacks: not part of --quick"),
        _ => compare(CONNECTIONS),
    }
}

fn compare(wanted: usize) {
    // A relay has two for each connection.
    let most = descriptors::raise().saturating_sub(OTHER_DESCRIPTORS) / 2;
    let connections = wanted.min(most);
    let directory = tempfile::tempdir().expect("a temporary directory");
    identity::write(directory.path());
    println!("{}", machine::description(None).join("\n"));
    println!("\nlive heap of an idle connection on a server, bytes, {connections} connections");
    let directory = directory.path().to_str().expect("a path in UTF-8");
    for (_, argument, name) in STACKS {
        let connections = connections.to_string();
        let mut server = Child::of_this_program(&["--measure", argument, directory, &connections]);
        println!("{name:<52}{:>8}", server.line());
    }
}
