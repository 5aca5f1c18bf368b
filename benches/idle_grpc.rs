//! What an idle gRPC connection holds: tonic's services on hyper's HTTP/2 and on alts', over plain TCP, ALTS and mutual TLS, with the
//! same clients; then the client's end; then what a socket, and one with TLS, holds by itself.
//!
//! ```text
//! cargo bench -p alts-benches --features grpc --bench idle_grpc
//! cargo bench -p alts-benches --features grpc --bench idle_grpc -- --quick            # 500 connections
//! cargo bench -p alts-benches --features grpc --bench idle_grpc -- --connections N
//! cargo bench -p alts-benches --features grpc --bench idle_grpc -- --scale 1000,10000,100000 own-alts,hyper-alts
//! ```
//!
//! Each row is measured in a process of its own, and the clients of each row live in another, so that a row sees nothing but
//! its end: live heap from a counting allocator, and resident memory, per connection, after one unary call of 1 KiB on each
//! of 8,000 connections; then what one quiet bidirectional stream adds to each, with messages encoded by `SmallBufferCodec`, and what
//! another adds with tonic's own codec. Of grpcio's server, whose allocator does not count, there is the resident memory only.
//!
//! `--scale` measures the servers of some rows, by default alts' HTTP/2 over plain TCP, with as many connections as it says, one number
//! after the other; all clients are on alts' HTTP/2 then. What the memory has no room for is left out. `--chart FILE` draws the result.

#[path = "idle_grpc/bare.rs"]
mod bare;
#[path = "idle_grpc/client.rs"]
mod client;
#[path = "idle_grpc/clients.rs"]
mod clients;
#[path = "idle_grpc/crowd.rs"]
mod crowd;
#[path = "../examples/grpc/echo.rs"]
mod echo;
#[path = "idle_grpc/figures.rs"]
mod figures;
#[path = "idle_grpc/row.rs"]
mod row;
#[path = "idle_grpc/scale.rs"]
mod scale;
#[path = "idle_grpc/server.rs"]
mod server;
#[path = "idle_grpc/service.rs"]
mod service;

use std::io::BufRead;
use std::path::Path;

use alts_benches::child::Child;
use alts_benches::memory::{at_rest, resident};
use alts_benches::verdicts::{self, Verdict};
use alts_benches::{descriptors, grpcio, identity, machine};

use figures::{Figures, column};
use row::{End, ROWS, Row};

/// Connections to measure, if descriptors allow.
const CONNECTIONS: usize = 8_000;
/// With `--quick`.
const FEW: usize = 500;
/// Descriptors that are not connections of the measurement.
const OTHER_DESCRIPTORS: usize = 200;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["--measure", row, directory, host, connections, streams] => {
            let connections = connections.parse().expect("a number");
            measure(Row::called(row), Path::new(directory), host, connections, streams == "true");
        }
        ["--clients", row, directory, address] => {
            let address = address.parse().expect("an address");
            clients::run(Row::called(row), Path::new(directory), address);
        }
        ["--crowd", row, directory, address] => {
            let address = address.parse().expect("an address");
            crowd::run(Row::called(row), Path::new(directory), address);
        }
        ["--echo"] => client::serve(),
        // Cargo says `--bench`.
        ["--scale", sizes, ref rest @ ..] => {
            let sizes = sizes.split(',').map(|size| size.parse().expect("a number"));
            let sizes: Vec<usize> = sizes.collect();
            let rows = rest.first().filter(|word| !word.starts_with("--")).unwrap_or(&"own-tcp");
            let chart = rest.windows(2).find(|words| words[0] == "--chart").map(|words| words[1]);
            with_identities(|directory| {
                let rows = rows.split(',').map(Row::called);
                let measured: Vec<_> =
                    rows.flat_map(|row| scale::measure(row, &sizes, directory)).collect();
                if let Some(chart) = chart {
                    std::fs::write(chart, scale::chart(&measured, &sizes)).expect("a file");
                }
                scale::verdicts(&measured)
            });
        }
        ["--connections", connections, ..] => {
            let connections = connections.parse().expect("a number of connections");
            with_identities(|directory| compare(connections, directory));
        }
        ["--quick", ..] => with_identities(|directory| compare(FEW, directory)),
        _ => with_identities(|directory| compare(CONNECTIONS, directory)),
    }
}

fn with_identities(compare: impl FnOnce(&Path) -> Vec<Verdict>) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    identity::write(directory.path());
    println!("{}", machine::description(None).join("\n"));
    let verdicts = compare(directory.path());
    println!("\n{}", verdicts::table(&verdicts));
}

/// Connections that a process may have.
fn most_connections() -> usize {
    descriptors::raise().saturating_sub(OTHER_DESCRIPTORS)
}

fn compare(wanted: usize, directory: &Path) -> Vec<Verdict> {
    let connections = wanted.min(most_connections());
    if connections < wanted {
        println!("descriptors allow {connections} connections only");
    }
    println!("\nmemory of an idle gRPC connection, bytes, {connections} connections");
    println!(
        "{:<32}{:>11}{:>9}{:>14}{:>15}{:>13}",
        "", "live heap", "RSS", "small stream", "default stream", "buffers out"
    );
    let figures = ROWS.map(|row| {
        let figures = start(row, directory, "127.0.0.1", connections, true).line();
        let figures = Figures::from_report(&figures);
        print(row.name, &figures);
        figures
    });
    if let Some(figures) = grpcio(directory, connections) {
        print("grpcio's server, plain TCP", &figures);
    }
    let of = |argument: &str| {
        let at = ROWS.iter().position(|row| row.argument == argument).expect("it is a row");
        figures[at]
    };
    let tls = of("tls").heap - of("socket").heap;
    println!(
        "\nof TLS itself, live heap: {tls:.0}; \"stream\": what a quiet bidirectional stream adds, by codec"
    );
    let what = |what: &str, rival: &str, figure: fn(&Figures) -> f64| {
        format!("{what}, B (on hyper {})", column(figure(&of(rival))))
    };
    let heap: fn(&Figures) -> f64 = |figures| figures.heap;
    let small: fn(&Figures) -> f64 = |figures| figures.small;
    let default: fn(&Figures) -> f64 = |figures| figures.default;
    vec![
        Verdict::at_most(what("idle, TCP", "hyper-tcp", heap), of("own-tcp").heap, 1_000.0, 800.0),
        Verdict::at_most(
            what("idle, ALTS", "hyper-alts", heap),
            of("own-alts").heap,
            1_100.0,
            900.0,
        ),
        Verdict::at_most(
            format!("idle, beyond TLS itself, B (on hyper {:.0})", of("hyper-tls").heap - tls),
            of("own-tls").heap - tls,
            1_200.0,
            900.0,
        ),
        Verdict::at_most(
            what("idle client", "hyper-client", heap),
            of("own-client").heap,
            1_200.0,
            900.0,
        ),
        Verdict::at_most(
            what("quiet stream, small codec", "hyper-tcp", small),
            of("own-tcp").small,
            5_000.0,
            2_500.0,
        ),
        Verdict::at_most(
            what("quiet stream, default codec", "hyper-tcp", default),
            of("own-tcp").default,
            18_000.0,
            None,
        ),
    ]
}

fn print(name: &str, figures: &Figures) {
    let Figures { heap, resident, small, default, buffers, .. } = figures;
    let [heap, resident, small, default, buffers] =
        [heap, resident, small, default, buffers].map(|figure| column(*figure));
    println!("{name:<32}{heap:>11}{resident:>9}{small:>14}{default:>15}{buffers:>13}");
}

/// A fresh process that measures, reports, and keeps all as it is until it is dropped.
fn start(row: Row, directory: &Path, host: &str, connections: usize, streams: bool) -> Child {
    let directory = directory.to_str().expect("a path in UTF-8");
    let (connections, streams) = (connections.to_string(), streams.to_string());
    Child::of_this_program(&["--measure", row.argument, directory, host, &connections, &streams])
}

fn measure(row: Row, directory: &Path, host: &str, connections: usize, streams: bool) {
    let host = host.parse().expect("an address");
    let mut kept = match row.end {
        End::Server => {
            let (figures, clients, runtime) =
                server::measure(row, directory, host, connections, streams);
            figures.report();
            Some((clients, runtime))
        }
        End::Client => {
            client::measure(row.http2, connections).report();
            None
        }
    };
    // Orders to the clients, until the other process has no more use for them.
    for order in std::io::stdin().lock().lines() {
        let (Some((clients, _)), Ok(order)) = (&mut kept, order) else { return };
        clients.tell(&order);
        println!("{}", clients.line());
    }
}

/// Of the whole process, since its allocator does not count.
fn grpcio(directory: &Path, connections: usize) -> Option<Figures> {
    let mut server = grpcio::start(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
    let address = server.line().parse().expect("an address");
    let mut clients = server::start_clients(Row::called("hyper-tcp"), directory, address, false);
    let mut tell = |count: usize| {
        clients.ask(&count.to_string());
        at_rest(|| resident(Some(server.id())))
    };
    let before = tell(server::WARM_UP);
    let resident = (tell(connections) - before) as f64 / connections as f64;
    let none = f64::NAN;
    let seconds = none;
    Some(Figures { heap: none, resident, small: none, default: none, buffers: none, seconds })
}
