//! Charts for the README, from the figures in the file. No color of theirs assumes a light or a dark background.

use crate::csv::Medians;
use crate::report::{number, put};

const WIDTH: u32 = 720;
const BAR: u32 = 18;
/// From one bar to the next.
const STEP: u32 = 24;
/// Between groups of bars.
const GAP: u32 = 14;
const TOP: u32 = 62;
/// Where bars begin, and how long the longest is.
const LEFT: u32 = 150;
const LONGEST: f64 = 410.0;
/// Readable on white and on black.
const TEXT: &str = "#7a828c";

/// The peers, as they are named in the file and in charts, and their colors.
const PEERS: [(&str, &str, &str); 5] = [
    ("tcp", "plain TCP", "#98a1ab"),
    ("alts", "alts", "#e8680c"),
    ("alts-aws-lc", "alts, aws-lc-rs", "#b3480a"),
    ("rustls-ring", "rustls, ring", "#3f87d0"),
    ("rustls-aws-lc", "rustls, aws-lc-rs", "#2c9c8c"),
];

struct Bar {
    label: String,
    color: &'static str,
    value: f64,
    shown: String,
}

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

fn draw(title: &str, subtitle: &str, groups: &[(&str, Vec<Bar>)]) -> String {
    let bars = || groups.iter().flat_map(|(_, bars)| bars);
    let most = bars().map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
    let mut body = String::new();
    let mut y = TOP;
    for (name, bars) in groups.iter().filter(|(_, bars)| !bars.is_empty()) {
        text(&mut body, 8, y + 14, "font-weight=\"600\"", name);
        y += STEP;
        for bar in bars {
            let width = (bar.value / most * LONGEST).max(1.0);
            text(&mut body, LEFT - 10, y + 13, "text-anchor=\"end\"", &bar.label);
            let color = bar.color;
            put(
                &mut body,
                format_args!(
                    "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{BAR}\" rx=\"2\" \
                     fill=\"{color}\"/>\n"
                ),
            );
            let end = f64::from(LEFT) + width + 8.0;
            text(&mut body, end, y + 13, "", &bar.shown);
            y += STEP;
        }
        y += GAP;
    }
    let mut svg = String::new();
    put(
        &mut svg,
        format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y}\" \
             viewBox=\"0 0 {WIDTH} {y}\" role=\"img\" aria-label=\"{title}\" \
             font-family=\"system-ui, sans-serif\" font-size=\"13\">\n"
        ),
    );
    text(&mut svg, 8, 22, "font-size=\"16\" font-weight=\"600\"", title);
    text(&mut svg, 8, 42, "", subtitle);
    svg + &body + "</svg>\n"
}

fn text(svg: &mut String, x: impl Into<f64>, y: u32, how: &str, what: &str) {
    let x = x.into();
    put(svg, format_args!("<text x=\"{x:.0}\" y=\"{y}\" fill=\"{TEXT}\" {how}>{what}</text>\n"));
}
