//! What an idle gRPC connection holds: tonic on hyper over plain TCP, over ALTS, and over mutual TLS; and tonic's services on alts'
//! HTTP/2, over plain TCP and over ALTS, with the same clients. The last row is the client's end of a connection, on alts' HTTP/2.
//!
//! ```text
//! cargo bench -p alts-benches --features grpc --bench idle_grpc
//! ```
//!
//! Each row is measured in a process of its own, and the clients of each row live in another, so that a row sees nothing but
//! its server: live heap from a counting allocator, and resident memory, per connection, after one unary call of 1 KiB on each
//! of 8,000 connections; then what one quiet bidirectional stream adds to each. `-- --connections N` makes it fewer. Messages are
//! encoded by `SmallBufferCodec` in all rows.

#[path = "idle_grpc/certificates.rs"]
mod certificates;
#[path = "idle_grpc/clients.rs"]
mod clients;
#[path = "../examples/grpc/echo.rs"]
mod echo;
#[path = "idle_grpc/memory.rs"]
mod memory;
#[path = "idle_grpc/own_client.rs"]
mod own_client;
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

/// Whose HTTP/2 it is, and what is under it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Transport {
    Tcp,
    Alts,
    Tls,
    /// alts' own HTTP/2, as the next two.
    OwnTcp,
    OwnAlts,
    /// The client's end.
    OwnClient,
}

/// What is to be reached: a row, which of its figures, and at most how many bytes.
const TARGETS: [(Transport, &str, f64, f64); 4] = [
    (Transport::OwnTcp, "heap", 1_000.0, 800.0),
    (Transport::OwnAlts, "heap", 1_100.0, 900.0),
    (Transport::OwnClient, "heap", 1_200.0, 900.0),
    (Transport::OwnTcp, "quiet stream", 5_000.0, 2_500.0),
];

impl Transport {
    const ALL: [Self; 6] =
        [Self::Tcp, Self::Alts, Self::Tls, Self::OwnTcp, Self::OwnAlts, Self::OwnClient];

    fn name(self) -> &'static str {
        match self {
            Self::Tcp => "hyper, plain TCP",
            Self::Alts => "hyper, ALTS",
            Self::Tls => "hyper, mutual TLS",
            Self::OwnTcp => "alts, plain TCP",
            Self::OwnAlts => "alts, ALTS",
            Self::OwnClient => "alts, plain TCP, the client",
        }
    }

    fn argument(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Alts => "alts",
            Self::Tls => "tls",
            Self::OwnTcp => "own-tcp",
            Self::OwnAlts => "own-alts",
            Self::OwnClient => "own-client",
        }
    }

    fn from_argument(argument: &str) -> Self {
        Self::ALL
            .into_iter()
            .find(|transport| transport.argument() == argument)
            .expect("the argument of a transport")
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--server", transport, directory, connections] => {
            let connections = connections.parse().expect("a number");
            let transport = Transport::from_argument(transport);
            let figures = match transport {
                Transport::OwnClient => own_client::measure(connections),
                _ => server::measure(transport, Path::new(directory), connections),
            };
            figures.report();
        }
        ["--clients", transport, directory, address] => {
            let address = address.parse().expect("an address");
            clients::run(Transport::from_argument(transport), Path::new(directory), address);
        }
        ["--echo"] => own_client::serve(),
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
    println!("memory of an idle gRPC connection, bytes, {connections} connections");
    println!(
        "{:<30}{:>12}{:>12}{:>14}{:>14}",
        "HTTP/2 of", "live heap", "RSS", "quiet stream", "buffers out"
    );
    let mut rows = Vec::new();
    for transport in Transport::ALL {
        let figures = measured_elsewhere(transport, directory.path(), connections);
        println!(
            "{:<30}{:>12.0}{:>12.0}{:>14.0}{:>14}",
            transport.name(),
            figures.heap,
            figures.resident,
            figures.stream,
            figures.buffers.map_or("-".to_owned(), |buffers| buffers.to_string()),
        );
        rows.push((transport, figures));
    }
    println!("\n{:<48}{:>8}{:>10}{:>10}  verdict", "target", "figure", "required", "stretch");
    for (transport, what, required, stretch) in TARGETS {
        let row = rows.iter().find(|(other, _)| *other == transport);
        let (_, figures) = row.expect("every transport has a row");
        let figure = if what == "heap" { figures.heap } else { figures.stream };
        let verdict = match () {
            () if figure <= stretch => "stretch",
            () if figure <= required => "met",
            () => "MISSED",
        };
        let name = format!("{}: {what}", transport.name());
        println!("{name:<48}{figure:>8.0}{required:>10.0}{stretch:>10.0}  {verdict}");
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
