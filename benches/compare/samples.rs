//! Figures, as they were taken.

/// What a figure is of. Two with the same key were taken in different rounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) scenario: String,
    pub(crate) peer: String,
    pub(crate) variant: String,
    pub(crate) metric: String,
}

impl Key {
    pub(crate) fn new(scenario: &str, peer: &str, variant: &str, metric: &str) -> Self {
        Self {
            scenario: scenario.to_owned(),
            peer: peer.to_owned(),
            variant: variant.to_owned(),
            metric: metric.to_owned(),
        }
    }
}

/// All figures, in the order in which they were first taken.
#[derive(Debug, Default)]
pub(crate) struct Samples {
    series: Vec<Series>,
}

#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) key: Key,
    pub(crate) unit: &'static str,
    /// One of each round.
    pub(crate) values: Vec<f64>,
}

impl Samples {
    pub(crate) fn add(&mut self, key: Key, unit: &'static str, value: f64) {
        match self.series.iter_mut().find(|series| series.key == key) {
            Some(series) => series.values.push(value),
            None => self.series.push(Series { key, unit, values: vec![value] }),
        }
    }

    pub(crate) fn series(&self) -> &[Series] {
        &self.series
    }

    /// The values of each round.
    pub(crate) fn values(&self, key: &Key) -> Option<&[f64]> {
        let series = self.series.iter().find(|series| series.key == *key)?;
        Some(&series.values)
    }

    pub(crate) fn spread(&self, key: &Key) -> Option<Spread> {
        Spread::of(self.values(key)?)
    }

    /// Compares two round by round: what both were subject to falls out.
    pub(crate) fn against(
        &self,
        one: &Key,
        other: &Key,
        compare: impl Fn(f64, f64) -> f64,
    ) -> Option<Spread> {
        let pairs = self.values(one)?.iter().zip(self.values(other)?);
        Spread::of(&pairs.map(|(&one, &other)| compare(one, other)).collect::<Vec<_>>())
    }
}

/// Where values lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = match sorted.len() % 2 {
            1 => sorted[middle],
            _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
        };
        Some(Self { median, min, max })
    }
}
