//! What `libmemusage.so` prints.

use std::collections::BTreeMap;

/// How often blocks were taken, by the least size of a step.
#[derive(Debug)]
pub(crate) struct Histogram(BTreeMap<usize, isize>);

impl Histogram {
    /// Finds it in what a program wrote: a headline, then lines like `4096-4111   12   1% ===` and `large   3   1% =`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut steps = BTreeMap::new();
        let (_, lines) = text.split_once("Histogram for block sizes:")?;
        for line in lines.lines() {
            let mut words = line.split_whitespace();
            let (Some(range), Some(count)) = (words.next(), words.next()) else { continue };
            let from = match range.split_once('-') {
                Some((from, _)) => from.parse().ok()?,
                None if range.ends_with("large") => 1 << 16,
                None => continue,
            };
            steps.insert(from, count.parse().ok()?);
        }
        (!steps.is_empty()).then_some(Self(steps))
    }

    /// Takes away what another process took as well.
    pub(crate) fn subtract(&mut self, other: &Self) {
        for (from, count) in &other.0 {
            *self.0.entry(*from).or_default() -= count;
        }
    }

    /// The steps in which all blocks are larger than `limit`, and how many there were.
    pub(crate) fn above(&self, limit: usize) -> impl Iterator<Item = (usize, isize)> {
        let larger = self.0.iter().filter(move |(from, count)| **from > limit && **count > 0);
        larger.map(|(from, count)| (*from, *count))
    }
}
