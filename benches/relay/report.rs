//! Medians, and what was to be reached.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Measured values by what and by whom.
#[derive(Default)]
pub(crate) struct Samples(BTreeMap<(&'static str, &'static str), Vec<f64>>);

impl Samples {
    pub(crate) fn add(&mut self, what: &'static str, peer: &'static str, value: f64) {
        self.0.entry((what, peer)).or_default().push(value);
    }

    fn median(&self, what: &'static str, peer: &'static str) -> Option<f64> {
        let mut values = self.0.get(&(what, peer))?.clone();
        values.sort_by(f64::total_cmp);
        Some(values[values.len() / 2])
    }
}

/// At most so much, required and as a stretch.
struct Target {
    what: &'static str,
    /// The peer whose figure it is a share of; `None` for an amount.
    of: Option<&'static str>,
    required: f64,
    stretch: f64,
}

const TARGETS: &[Target] = &[
    target("1 GiB plain to plain, CPU (s/GiB)", Some("splice2"), 1.1, 1.0),
    target("1 GiB plain to plain, CPU (s/GiB)", Some("tokio-copy"), 0.5, 0.33),
    target("idle pair, descriptors", None, 2.1, 2.1),
    target("idle pair, resident (B)", None, 6000.0, 3000.0),
    target("1 GiB secured to plain, CPU (s/GiB)", Some("stunnel"), 0.6, 0.4),
    target("connection with a handshake, CPU (us)", Some("stunnel"), 1.0 / 1.2, 1.0 / 1.5),
    target("idle secured pair, descriptors", None, 2.1, 2.1),
];

const fn target(
    what: &'static str,
    of: Option<&'static str>,
    required: f64,
    stretch: f64,
) -> Target {
    Target { what, of, required, stretch }
}

pub(crate) fn table(samples: &Samples) -> String {
    let mut text = String::from("Measured, medians:\n");
    for (what, peer) in samples.0.keys() {
        if let Some(median) = samples.median(what, peer) {
            let _ = writeln!(text, "  {what:<42}{peer:<12}{median:>12.2}");
        }
    }
    text.push_str("\nOf alts, beside what was to be reached:\n");
    for Target { what, of, required, stretch } in TARGETS {
        let Some(own) = samples.median(what, "alts") else { continue };
        let (value, name) = match of {
            None => (own, "alone".to_owned()),
            Some(peer) => match samples.median(what, peer) {
                Some(other) => (own / other, format!("of {peer}")),
                None => continue,
            },
        };
        line(&mut text, what, &name, value, *required, *stretch);
    }
    let direct = samples.median("256 B round trip, p50, direct (us)", "none");
    if let (Some(direct), Some(own)) =
        (direct, samples.median("256 B round trip, p50 (us)", "alts"))
    {
        line(&mut text, "256 B round trip, p50 (us)", "above direct", own - direct, 40.0, 20.0);
    }
    text
}

fn line(text: &mut String, what: &str, of: &str, value: f64, required: f64, stretch: f64) {
    let verdict = match value {
        value if value <= stretch => "stretch",
        value if value <= required => "met",
        _ => "NOT MET",
    };
    let _ = writeln!(
        text,
        "  {what:<42}{of:<14}{value:>10.2}  required {required:>8.2}  stretch {stretch:>8.2}  {verdict}"
    );
}
