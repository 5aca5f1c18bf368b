//! Values that are counted elsewhere, as metrics.

use std::fmt;

use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeMetric, MetricEncoder,
    NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::counters::Durations;

/// Names of labels, each with a value.
pub type Labels = Vec<(&'static str, String)>;

/// A metric with one value and no labels.
pub fn one<T>(value: T) -> [(Labels, T); 1] {
    [(Labels::new(), value)]
}

/// Writes metrics for a collector, each with its values by labels. One without any value is left out.
#[derive(Debug)]
pub struct Samples<'out>(DescriptorEncoder<'out>);

impl<'out> Samples<'out> {
    /// Writes to `encoder`, which collectors are given.
    pub fn new(encoder: DescriptorEncoder<'out>) -> Self {
        Self(encoder)
    }

    /// Writes a counter. The format appends `_total` to its name.
    pub fn counter<N: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels, N)>,
    ) -> Result<(), fmt::Error> {
        self.write(name, help, MetricType::Counter, values, |value, encoder| {
            ConstCounter::new(value).encode(encoder)
        })
    }

    /// Writes a gauge.
    pub fn gauge<N: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels, N)>,
    ) -> Result<(), fmt::Error> {
        self.write(name, help, MetricType::Gauge, values, |value, encoder| {
            ConstGauge::new(value).encode(encoder)
        })
    }

    /// Writes a histogram, in seconds.
    pub fn histogram<'durations>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (Labels, &'durations Durations)>,
    ) -> Result<(), fmt::Error> {
        self.write(name, help, MetricType::Histogram, values, |value, mut encoder| {
            let bucket = |(bound, count): (Option<std::time::Duration>, u64)| {
                (bound.map_or(f64::MAX, |bound| bound.as_secs_f64()), count)
            };
            let buckets: Vec<_> = value.buckets().map(bucket).collect();
            let (sum, count) = (value.sum().as_secs_f64(), value.count());
            encoder.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
        })
    }

    fn write<T>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        values: impl IntoIterator<Item = (Labels, T)>,
        encode: impl Fn(T, MetricEncoder<'_>) -> Result<(), fmt::Error>,
    ) -> Result<(), fmt::Error> {
        let mut values = values.into_iter();
        let Some((labels, first)) = values.next() else { return Ok(()) };
        // As registries end those of metrics.
        let help = format!("{help}.");
        let mut encoder = self.0.encode_descriptor(name, &help, None, kind)?;
        if labels.is_empty() {
            return encode(first, encoder);
        }
        encode(first, encoder.encode_family(&labels)?)?;
        for (labels, value) in values {
            encode(value, encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
