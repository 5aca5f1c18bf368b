//! Whether a connection costs the same however many there are.
//!
//! Descriptors are limited by process, so connections are spread over pairs of processes, a server and its clients; ports are
//! limited by address, so each server has a loopback address of its own. All connections are there at the same time.

use std::path::Path;

use alts_benches::chart::{ALTS, Bar, RIVAL, draw};
use alts_benches::child::Child;
use alts_benches::memory;
use alts_benches::verdicts::Verdict;

use crate::figures::Figures;
use crate::row::{Http2, Row};

/// Connections of one pair of processes. For a connect the kernel searches the ports of one parity first, and those of the other
/// only when all of them are taken: with its default range, each connect after the first 14,116 searches 14,116 ports that are taken.
const PER_PAIR: usize = 11_000;

/// What a connection takes beside its server's resident memory: its client's, and the kernel's for both ends.
const BESIDE: f64 = 12_000.0;

/// Of one row, with one number of connections.
pub(crate) struct Measured {
    row: Row,
    connections: usize,
    heap: f64,
    resident: f64,
}

/// Prints a line for each size that the memory has room for.
pub(crate) fn measure(row: Row, sizes: &[usize], directory: &Path) -> Vec<Measured> {
    println!("\n{}, by the number of connections: bytes of each, how many were made", row.name);
    println!("with a call in a second, and microseconds of a call through one that was quiet");
    println!(
        "{:>12}{:>10}{:>12}{:>12}{:>12}{:>12}{:>12}",
        "connections", "servers", "live heap", "RSS", "made in 1 s", "call p50", "call p99"
    );
    let mut measured: Vec<Measured> = Vec::new();
    for &connections in sizes {
        // As much as each of the last size.
        let each = measured.last().map_or(0.0, |last| last.resident) + BESIDE;
        let (needed, available) = (each * connections as f64, memory::available() as f64);
        if needed > available {
            let [needed, available] = [needed, available].map(|bytes| bytes / f64::from(1 << 30));
            println!(
                "{connections:>12}  left out: takes {needed:.0} GiB, {available:.0} are there"
            );
            continue;
        }
        measured.push(one_size(row, connections, directory));
    }
    measured
}

fn one_size(row: Row, connections: usize, directory: &Path) -> Measured {
    let pairs = connections.div_ceil(crate::most_connections().min(PER_PAIR));
    let share = connections.div_ceil(pairs);
    let mut servers: Vec<Child> = (0..pairs)
        .map(|pair| {
            let host = format!("127.0.0.{}", pair + 2);
            crate::start(row, directory, &host, share, false)
        })
        .collect();
    // A server answers when its connections are there, and keeps them until it is dropped.
    let figures: Vec<Figures> =
        servers.iter_mut().map(|server| Figures::from_report(&server.line())).collect();
    let mean = |figure: fn(&Figures) -> f64| {
        figures.iter().map(figure).sum::<f64>() / figures.len() as f64
    };
    let (heap, resident) = (mean(|figures| figures.heap), mean(|figures| figures.resident));
    let longest = figures.iter().map(|figures| figures.seconds).fold(0.0, f64::max);
    let connections = share * pairs;
    let made = connections as f64 / longest;
    // The middle pair's: they take turns.
    let mut pings: Vec<_> = servers.iter_mut().map(|server| server.ask("ping")).collect();
    pings.sort_by(|a, b| a[0].total_cmp(&b[0]));
    let [median, worst] = pings[pairs / 2][..] else { panic!("two figures") };
    println!(
        "{connections:>12}{pairs:>10}{heap:>12.0}{resident:>12.0}{made:>12.0}{median:>12.0}{worst:>12.0}"
    );
    Measured { row, connections, heap, resident }
}

/// Whether alts' HTTP/2 takes what it may. hyper's is there for comparison.
pub(crate) fn verdicts(measured: &[Measured]) -> Vec<Verdict> {
    let own = measured.iter().filter(|measured| measured.row.http2 == Http2::Alts);
    own.map(|Measured { row, connections, resident, .. }| {
        let what = format!("{}: RSS per idle connection, {connections} connections, B", row.name);
        Verdict::at_most(what, *resident, 1_300.0, 1_000.0)
    })
    .collect()
}

/// The live heap of all rows, by the number of connections.
pub(crate) fn chart(measured: &[Measured], sizes: &[usize]) -> String {
    let groups: Vec<_> = sizes
        .iter()
        .map(|&size| {
            // Each pair of processes has as many as the others.
            let of_size = measured.iter().filter(|measured| {
                let Measured { connections, .. } = measured;
                *connections >= size && *connections - size < size / 100
            });
            let bars = of_size.map(|Measured { row, heap, .. }| Bar {
                label: if row.http2 == Http2::Alts { "alts" } else { "hyper" }.to_owned(),
                color: if row.http2 == Http2::Alts { ALTS } else { RIVAL },
                value: *heap,
                shown: format!("{heap:.0} B"),
            });
            (format!("{size} connections"), bars.collect())
        })
        .collect();
    let title = "An idle gRPC connection over ALTS, server side: live heap";
    draw(title, "bytes of each, by how many there are; shorter is better", &groups)
}
