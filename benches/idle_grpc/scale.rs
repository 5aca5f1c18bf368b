//! Whether a connection costs the same however many there are.
//!
//! Descriptors are limited by process, so connections are spread over pairs of processes, a server and its clients; ports are
//! limited by address, so each server has a loopback address of its own. All connections are there at the same time.

use std::path::Path;

use alts_benches::child::Child;
use alts_benches::verdicts::Verdict;

use crate::figures::Figures;
use crate::row::{Http2, Row};

/// Connections of one pair of processes. The kernel tries ports of one parity first: with its default range, each connect beyond
/// the first 14,116 tries as many ports in vain.
const PER_PAIR: usize = 11_000;

/// Prints a line for each size.
pub(crate) fn compare(row: Row, sizes: &[usize], directory: &Path) -> Vec<Verdict> {
    println!("\n{}, by the number of connections: bytes of each, how many were made", row.name);
    println!("with a call in a second, and microseconds of a call through one that was quiet");
    println!(
        "{:>12}{:>10}{:>12}{:>12}{:>12}{:>12}{:>12}",
        "connections", "servers", "live heap", "RSS", "made in 1 s", "call p50", "call p99"
    );
    let mut resident = Vec::new();
    for &connections in sizes {
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
        let (heap, rss) = (mean(|figures| figures.heap), mean(|figures| figures.resident));
        let longest = figures.iter().map(|figures| figures.seconds).fold(0.0, f64::max);
        let made = (share * pairs) as f64 / longest;
        // The middle pair's: they take turns.
        let mut pings: Vec<_> = servers.iter_mut().map(|server| server.ask("ping")).collect();
        pings.sort_by(|a, b| a[0].total_cmp(&b[0]));
        let [median, worst] = pings[pairs / 2][..] else { panic!("two figures") };
        println!(
            "{:>12}{pairs:>10}{heap:>12.0}{rss:>12.0}{made:>12.0}{median:>12.0}{worst:>12.0}",
            share * pairs
        );
        resident.push((share * pairs, rss));
    }
    if row.http2 != Http2::Alts {
        // Shown for comparison.
        return Vec::new();
    }
    let verdict = |(connections, rss)| {
        let what = format!("{}: RSS per idle connection, {connections} connections, B", row.name);
        Verdict::at_most(what, rss, 1_300.0, 1_000.0)
    };
    resident.into_iter().map(verdict).collect()
}
