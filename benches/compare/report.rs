//! The figures, for people.

use std::fmt::Write;

use crate::samples::{Samples, Spread};

/// A table for each scenario: a line for each metric of each variant, a column for each peer.
pub(crate) fn tables(samples: &Samples) -> String {
    let mut text = String::new();
    let mut scenarios: Vec<&str> = Vec::new();
    for series in samples.series() {
        if !scenarios.contains(&series.key.scenario.as_str()) {
            scenarios.push(&series.key.scenario);
        }
    }
    for scenario in scenarios {
        table(&mut text, samples, scenario);
    }
    text
}

fn table(text: &mut String, samples: &Samples, scenario: &str) {
    let series = || samples.series().iter().filter(|series| series.key.scenario == scenario);
    let mut peers: Vec<&str> = Vec::new();
    let mut lines: Vec<(&str, &str, &str)> = Vec::new();
    for series in series() {
        let key = &series.key;
        if !peers.contains(&key.peer.as_str()) {
            peers.push(&key.peer);
        }
        let line = (key.variant.as_str(), key.metric.as_str(), series.unit);
        if !lines.contains(&line) {
            lines.push(line);
        }
    }
    peers.sort_by_key(|&peer| order(peer));
    put(text, format_args!("\n{scenario:<64}"));
    for peer in &peers {
        put(text, format_args!("{peer:>26}"));
    }
    text.push('\n');
    for (variant, metric, unit) in lines {
        let unit = if unit.is_empty() { String::new() } else { format!(", {unit}") };
        put(text, format_args!("{:<64}", format!("{variant}: {metric}{unit}")));
        for peer in &peers {
            let found = series().find(|series| {
                let key = &series.key;
                key.peer == *peer && key.variant == variant && key.metric == metric
            });
            let cell = found.and_then(|series| Spread::of(&series.values)).map(shown);
            put(text, format_args!("{:>26}", cell.as_deref().unwrap_or("-")));
        }
        text.push('\n');
    }
}

/// The order of the enumeration, whatever the order of measurement.
fn order(peer: &str) -> usize {
    crate::roles::transport::Peer::all().iter().position(|known| known.name() == peer).unwrap_or(0)
}

/// Median, and in brackets the least and the most.
fn shown(spread: Spread) -> String {
    let Spread { median, min, max } = spread;
    if (min - max).abs() <= f64::EPSILON {
        return number(median);
    }
    format!("{} ({}-{})", number(median), number(min), number(max))
}

/// Three digits or more.
pub(crate) fn number(value: f64) -> String {
    match value.abs() {
        large if large >= 99.95 => format!("{value:.0}"),
        medium if medium >= 9.995 => format!("{value:.1}"),
        medium if medium >= 0.9995 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// Into memory, which does not fail.
pub(crate) fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("a string takes what it is given");
}
