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

/// What was to be reached: at most, or at least where the stretch target is the greater one.
struct Target {
    what: &'static str,
    /// The peer of whose figure it is a share or a multiple; `None` for an amount.
    of: Option<&'static str>,
    required: f64,
    stretch: f64,
}

pub(crate) const DIRECT: &str = "256 B round trip, p50, direct (us)";
pub(crate) const THROUGH: &str = "256 B round trip, p50 (us)";

const TARGETS: &[Target] = &[
    target("1 GiB plain to plain, CPU (s/GiB)", Some("splice2"), 1.1, 1.0),
    target("1 GiB plain to plain, CPU (s/GiB)", Some("tokio-copy"), 0.5, 0.33),
    target("256 B round trip, p50 above direct (us)", None, 40.0, 20.0),
    // Delayed acknowledgments would make it 40 ms, segments that are held back 200.
    target("256 B round trip, p99 (us)", None, 35_000.0, 1000.0),
    // Two for each pair; the rest is a constant.
    target("idle pair, descriptors", None, 2.1, 2.01),
    target("idle pair, resident (B)", None, 6000.0, 3000.0),
    target("idle secured pair, descriptors", None, 2.1, 2.01),
    target("idle secured pair, live heap (B)", None, 1400.0, 1100.0),
    target("1 GiB secured to plain, CPU (s/GiB)", Some("stunnel"), 0.6, 0.4),
    target("handshakes a second of CPU", Some("stunnel"), 1.2, 1.5),
];

const fn target(
    what: &'static str,
    of: Option<&'static str>,
    required: f64,
    stretch: f64,
) -> Target {
    Target { what, of, required, stretch }
}

impl Target {
    fn verdict(&self, value: f64) -> &'static str {
        let reaches = |bound: f64| match self.stretch > self.required {
            true => value >= bound,
            false => value <= bound,
        };
        match (reaches(self.stretch), reaches(self.required)) {
            (true, _) => "stretch",
            (_, true) => "met",
            _ => "NOT MET",
        }
    }
}

/// Everything that was measured, and the targets.
pub(crate) fn table(samples: &mut Samples) -> String {
    if let Some((direct, through)) =
        samples.median(DIRECT, "none").zip(samples.median(THROUGH, "alts"))
    {
        samples.add("256 B round trip, p50 above direct (us)", "alts", through - direct);
    }
    let mut text = String::from("Measured, medians:\n");
    for (what, peer) in samples.0.keys() {
        if let Some(median) = samples.median(what, peer) {
            let _ = writeln!(text, "  {what:<42}{peer:<12}{median:>12.2}");
        }
    }
    text.push_str("\nOf alts, beside what was to be reached:\n");
    for target in TARGETS {
        let Target { what, of, required, stretch } = target;
        let name = of.map_or_else(|| "alone".to_owned(), |peer| format!("of {peer}"));
        let own = samples.median(what, "alts");
        let value = match of {
            None => own,
            Some(peer) => own.zip(samples.median(what, peer)).map(|(own, peer)| own / peer),
        };
        let _ = match value {
            Some(value) => writeln!(
                text,
                "  {what:<42}{name:<15}{value:>9.2}  required {required:>9.2}  stretch {stretch:>8.2}  {}",
                target.verdict(value)
            ),
            None => writeln!(text, "  {what:<42}{name:<15}not measured"),
        };
    }
    text
}
