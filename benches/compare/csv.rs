//! The figures, for programs: a line for each, and what they were taken on in comments before.

use crate::samples::{Key, Samples, Spread};

const HEADING: &str = "scenario,peer,variant,metric,unit,median,min,max,rounds";

pub(crate) fn write(description: &[String], samples: &Samples) -> String {
    let mut lines: Vec<String> = description.iter().map(|line| format!("# {line}")).collect();
    lines.push(HEADING.to_owned());
    for series in samples.series() {
        let Some(Spread { median, min, max }) = Spread::of(&series.values) else { continue };
        let Key { scenario, peer, variant, metric } = &series.key;
        let (unit, rounds) = (series.unit, series.values.len());
        // Variants have commas in them.
        lines.push(format!(
            "{scenario},{peer},\"{variant}\",{metric},{unit},{median:.6},{min:.6},{max:.6},{rounds}"
        ));
    }
    lines.join("\n") + "\n"
}

/// The medians in such a file.
pub(crate) struct Medians(Vec<(Key, f64)>);

impl Medians {
    pub(crate) fn read(csv: &str) -> Self {
        let lines = csv.lines().filter(|line| !line.starts_with('#') && *line != HEADING);
        Self(lines.map(|line| parse(line).expect("a line as `write` makes it")).collect())
    }

    pub(crate) fn get(
        &self,
        scenario: &str,
        peer: &str,
        variant: &str,
        metric: &str,
    ) -> Option<f64> {
        let wanted = Key::new(scenario, peer, variant, metric);
        self.0.iter().find_map(|(key, median)| (*key == wanted).then_some(*median))
    }
}

fn parse(line: &str) -> Option<(Key, f64)> {
    let [before, variant, after] = line.split('"').collect::<Vec<_>>().try_into().ok()?;
    let (scenario, peer) = before.strip_suffix(',')?.split_once(',')?;
    let mut after = after.strip_prefix(',')?.split(',');
    let metric = after.next()?;
    let median = after.nth(1)?.parse().ok()?;
    Some((Key::new(scenario, peer, variant, metric), median))
}
