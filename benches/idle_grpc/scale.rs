//! Whether a connection costs the same however many there are.
//!
//! Descriptors are limited by process, so connections are spread over pairs of processes, a server and its clients; ports are
//! limited by address, so each server has a loopback address of its own. All connections are there at the same time.

use std::path::Path;

use alts_benches::child::Child;
use alts_benches::verdicts::Verdict;

use crate::figures::Figures;
use crate::row::Row;

/// Connections of one pair of processes: what the kernel has ports for without a long search.
const PER_PAIR: usize = 18_000;

/// Prints a line for each size.
pub(crate) fn compare(row: Row, sizes: &[usize], directory: &Path) -> Vec<Verdict> {
    println!("\n{}, by the number of connections, bytes", row.name);
    println!("{:>12}{:>10}{:>12}{:>12}", "connections", "servers", "live heap", "RSS");
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
        println!("{:>12}{pairs:>10}{heap:>12.0}{rss:>12.0}", share * pairs);
        resident.push((share * pairs, rss));
    }
    let verdict = |(connections, rss)| {
        let what = format!("RSS per idle connection, {connections} connections, B");
        Verdict::at_most(what, rss, 1_300.0, 1_000.0)
    };
    resident.into_iter().map(verdict).collect()
}
