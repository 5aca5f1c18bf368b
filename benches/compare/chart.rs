//! Charts for the README, from the figures in the file.

use alts_benches::chart::{ALTS, Bar, GROUND, RIVAL, draw};

use crate::csv::Medians;
use crate::report::number;

/// The peers, as they are named in the file and in charts, and their colors.
const PEERS: [(&str, &str, &str); 5] = [
    ("tcp", "plain TCP", GROUND),
    ("alts", "alts", ALTS),
    ("alts-aws-lc", "alts, aws-lc-rs", "#b3480a"),
    ("rustls-ring", "rustls, ring", RIVAL),
    ("rustls-aws-lc", "rustls, aws-lc-rs", "#2c9c8c"),
];

/// What an idle connection costs a server.
pub(crate) fn idle(medians: &Medians) -> String {
    let servers = [
        ("tokio task, after 1 KiB", "tokio, async task"),
        ("hand-written future, after 1 KiB", "tokio, hand-written future"),
        ("mio, after 1 KiB", "mio"),
    ];
    let groups = servers.map(|(variant, name)| {
        let bar = |(peer, label, color): (&str, &str, &'static str)| {
            let value = medians.get("idle", peer, variant, "heap")?;
            let shown = format!("{value:.0} B");
            Some(Bar { label: label.to_owned(), color, value, shown })
        };
        // What C allocates is not counted.
        let peers = PEERS.into_iter().filter(|(peer, ..)| !peer.ends_with("-aws-lc"));
        (name, peers.filter_map(bar).collect())
    });
    let title = "Live heap per idle connection, server side";
    draw(title, "bytes; shorter is better", &groups)
}

/// How much passes over one connection, of what rustls passes.
pub(crate) fn bulk(medians: &Medians) -> String {
    let writes = [
        ("1 KiB, one core", "writes of 1 KiB"),
        ("16 KiB, one core", "writes of 16 KiB"),
        ("64 KiB, one core", "writes of 64 KiB"),
        ("1 MiB, one core", "writes of 1 MiB"),
    ];
    let groups = writes.map(|(variant, name)| {
        let throughput = |peer: &str| medians.get("bulk", peer, variant, "throughput");
        let bar = |(peer, label, color): (&str, &str, &'static str)| {
            let (own, rival) = (throughput(peer)?, throughput("rustls-ring")?);
            let value = own / rival;
            let shown = format!("{} ({} GB/s)", number(value), number(own));
            Some(Bar { label: label.to_owned(), color, value, shown })
        };
        (name, PEERS.into_iter().filter_map(bar).collect())
    });
    let title = "Throughput of one connection, both ends on one core";
    draw(title, "times that of rustls with ring; longer is better", &groups)
}
