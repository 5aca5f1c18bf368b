//! What an idle gRPC connection holds on the server: tonic over plain TCP, over ALTS, and over mutual TLS.
//!
//! ```text
//! cargo bench -p alts-benches --features grpc --bench idle_grpc
//! ```
//!
//! Each row is measured in a process of its own, and the clients of each row live in another, so that a row sees nothing but
//! its server: live heap from a counting allocator, and resident memory, per connection, after one unary call of 1 KiB on each
//! of 8,000 connections. `-- --connections N` makes it fewer.

#[path = "idle_grpc/certificates.rs"]
mod certificates;
#[path = "idle_grpc/clients.rs"]
mod clients;
#[path = "../examples/grpc/echo.rs"]
mod echo;
#[path = "idle_grpc/memory.rs"]
mod memory;
#[path = "idle_grpc/server.rs"]
mod server;

use std::path::Path;
use std::process::{Command, Stdio};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use memory::Figures;

/// Connections to measure, if descriptors allow.
const CONNECTIONS: usize = 8_000;
/// Descriptors that are not connections of the measurement.
const OTHER_DESCRIPTORS: usize = 200;

/// What is under HTTP/2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Tcp,
    Alts,
    Tls,
}

impl Transport {
    const ALL: [Self; 3] = [Self::Tcp, Self::Alts, Self::Tls];

    fn name(self) -> &'static str {
        match self {
            Self::Tcp => "plain TCP",
            Self::Alts => "ALTS",
            Self::Tls => "mutual TLS",
        }
    }

    fn argument(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Alts => "alts",
            Self::Tls => "tls",
        }
    }

    fn from_argument(argument: &str) -> Self {
        Self::ALL
            .into_iter()
            .find(|transport| transport.argument() == argument)
            .expect("tcp, alts or tls")
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--server", transport, directory, connections] => {
            let connections = connections.parse().expect("a number");
            server::measure(Transport::from_argument(transport), Path::new(directory), connections)
                .report();
        }
        ["--clients", transport, directory, address] => {
            let address = address.parse().expect("an address");
            clients::run(Transport::from_argument(transport), Path::new(directory), address);
        }
        // Cargo says `--bench`.
        ["--connections", connections, ..] => {
            compare(connections.parse().expect("a number of connections"));
        }
        _ => compare(CONNECTIONS),
    }
}

fn compare(wanted: usize) {
    let connections = wanted.min(descriptors().saturating_sub(OTHER_DESCRIPTORS));
    if connections < wanted {
        println!("descriptors allow {connections} connections only");
    }
    let directory = tempfile::tempdir().expect("a temporary directory");
    certificates::write(directory.path());
    println!("memory of an idle gRPC connection on the server, bytes, {connections} connections");
    println!(
        "{:<14}{:>12}{:>12}{:>14}{:>14}",
        "tonic over", "live heap", "RSS", "beyond TCP", "buffers out"
    );
    let mut plain = None;
    for transport in Transport::ALL {
        let figures = measured_elsewhere(transport, directory.path(), connections);
        let plain = plain.get_or_insert_with(|| figures.clone());
        println!(
            "{:<14}{:>12.0}{:>12.0}{:>14.0}{:>14}",
            transport.name(),
            figures.heap,
            figures.resident,
            figures.heap - plain.heap,
            figures.buffers.map_or("-".to_owned(), |buffers| buffers.to_string()),
        );
    }
}

/// Has a fresh process measure.
fn measured_elsewhere(transport: Transport, directory: &Path, connections: usize) -> Figures {
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--server", transport.argument()])
        .arg(directory)
        .arg(connections.to_string())
        .stderr(Stdio::inherit())
        .output()
        .expect("the server starts");
    assert!(output.status.success(), "the server failed");
    Figures::from_report(&String::from_utf8_lossy(&output.stdout))
}

/// The descriptors that this process may open, after asking for as many as it can get.
fn descriptors() -> usize {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit can be read");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)
        .expect("the limit can be raised to the hard one");
    usize::try_from(hard).unwrap_or(usize::MAX)
}
