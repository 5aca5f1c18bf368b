//! What a server has done, for Prometheus.

use std::fmt;
use std::time::SystemTime;

use alts::Fault;
use alts::handshaker::cli::WatchedIdentity;
use alts::handshaker::identity::IdentitySource;
use alts_nbd::server::Server;
use alts_nbd::wire::request::Command;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::{ConstCounter, Counter};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// What is counted here and not by the server.
#[derive(Clone, Debug, Default)]
pub(crate) struct Handshakes(Family<Outcome, Counter>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

impl Handshakes {
    /// Counts one that ended so.
    pub(crate) fn ended(&self, result: Result<(), Fault>) {
        let outcome = match result {
            Ok(()) => "ok",
            Err(Fault::Peer) => "peer",
            Err(Fault::Incompatible) => "incompatible",
            Err(Fault::Local) => "local",
            Err(Fault::Limit) => "limit",
            Err(Fault::Refused) => "refused",
            Err(Fault::Handshaker) => "handshaker",
            Err(Fault::Network) => "network",
            Err(_) => "other",
        };
        self.0.get_or_create(&Outcome { outcome }).inc();
    }
}

/// All that is counted.
#[derive(Debug)]
pub(crate) struct Metrics(Registry);

impl Metrics {
    /// Handshakes are shown, and the identity, where there is one. Names of counters get `_total` appended, as the format wants it.
    pub(crate) fn new(
        server: Server,
        handshakes: &Handshakes,
        identity: Option<WatchedIdentity>,
    ) -> Self {
        let mut all = Registry::with_prefix("alts_nbd");
        all.register_collector(Box::new(Served(server)));
        if let Some(files) = identity {
            let handshakes = handshakes.0.clone();
            all.register("alts_handshakes", "Handshakes of ALTS, by outcome", handshakes);
            all.register_collector(Box::new(OfIdentity(files)));
        }
        Self(all)
    }

    /// All of it in the text format of `OpenMetrics`, which Prometheus reads.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.0)?;
        Ok(out)
    }
}

/// What the server itself counts.
#[derive(Debug)]
struct Served(Server);

impl Collector for Served {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (mut out, figures) = (Samples(encoder), self.0.figures());
        out.gauge("connections_open", "Connections that are open", figures.open)?;
        out.counter("connections_accepted", "Connections accepted", figures.accepted)?;
        out.counter("connections_failed", "Connections that were given up", figures.failed)?;
        out.counters(
            ("requests", "Requests, by command"),
            "command",
            self.0.requests().map(|(command, count)| (name(command), count)),
        )?;
        out.gauge("requests_in_flight", "Requests that are being worked on", figures.in_flight)?;
        out.counter("errors", "Requests that were answered by an error", figures.errors)?;
        out.counter("read_bytes", "Bytes that clients have read", figures.read_bytes)?;
        out.counter("written_bytes", "Bytes that clients have written", figures.written_bytes)?;
        out.counter(
            "released",
            "How often memory was given back because a client took or sent nothing",
            figures.released,
        )?;
        let pool = self.0.pool().stats();
        out.gauges(
            ("pool_bytes", "Bytes of the buffer pool, by state"),
            "state",
            [("in_use", pool.in_use_bytes), ("idle", pool.idle_bytes), ("cap", pool.cap_bytes)],
        )?;
        let high_water = pool.high_water_bytes as u64;
        out.gauge("pool_high_water_bytes", "The most bytes ever in use", high_water)?;
        out.gauge("pool_waiting", "Requests that wait for a buffer", pool.waiting as u64)
    }
}

/// What is known of this side's identity.
#[derive(Debug)]
struct OfIdentity(WatchedIdentity);

impl Collector for OfIdentity {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut out = Samples(encoder);
        if let Ok(identity) = self.0.snapshot() {
            let expiry = identity.not_after().duration_since(SystemTime::UNIX_EPOCH);
            out.gauge(
                "identity_expiry_timestamp_seconds",
                "When the first certificate of this side's chain expires",
                expiry.map_or(0, |since| since.as_secs()),
            )?;
        }
        out.counter(
            "identity_reloads",
            "Changed identity files that were loaded",
            self.0.reloads(),
        )?;
        out.counter(
            "identity_reload_failures",
            "Changed identity files that could not be loaded, so that the old identity stayed",
            self.0.failures(),
        )
    }
}

fn name(command: Command) -> &'static str {
    match command {
        Command::Read => "read",
        Command::Write => "write",
        Command::Flush => "flush",
        Command::Trim => "trim",
        Command::Cache => "cache",
        Command::WriteZeroes => "write_zeroes",
        Command::BlockStatus => "block_status",
        _ => "other",
    }
}

/// Writes values that are counted elsewhere.
struct Samples<'out>(DescriptorEncoder<'out>);

impl Samples<'_> {
    fn counter(&mut self, name: &str, help: &str, value: u64) -> Result<(), fmt::Error> {
        let help = format!("{help}.");
        let encoder = self.0.encode_descriptor(name, &help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(encoder)
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> Result<(), fmt::Error> {
        let help = format!("{help}.");
        let encoder = self.0.encode_descriptor(name, &help, None, MetricType::Gauge)?;
        ConstGauge::new(value).encode(encoder)
    }

    fn counters(
        &mut self,
        (name, help): (&str, &str),
        label: &str,
        values: impl IntoIterator<Item = (&'static str, u64)>,
    ) -> Result<(), fmt::Error> {
        let help = format!("{help}.");
        let mut encoder = self.0.encode_descriptor(name, &help, None, MetricType::Counter)?;
        for (of, value) in values {
            ConstCounter::new(value).encode(encoder.encode_family(&[(label, of)])?)?;
        }
        Ok(())
    }

    fn gauges(
        &mut self,
        (name, help): (&str, &str),
        label: &str,
        values: impl IntoIterator<Item = (&'static str, usize)>,
    ) -> Result<(), fmt::Error> {
        let help = format!("{help}.");
        let mut encoder = self.0.encode_descriptor(name, &help, None, MetricType::Gauge)?;
        for (of, value) in values {
            ConstGauge::new(value as u64).encode(encoder.encode_family(&[(label, of)])?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alts_nbd::server::Settings;

    use super::*;

    #[test]
    fn every_metric_has_a_type_and_a_value() {
        let server = Server::new(Settings::default());
        let text = Metrics::new(server, &Handshakes::default(), None).text().unwrap();
        assert!(text.ends_with("\n# EOF\n"));
        let types: Vec<_> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
        assert!(types.len() > 10);
        for (name, kind) in types {
            let suffix = if kind == "counter" { "_total" } else { "" };
            let sample = format!("{name}{suffix}");
            let values = text.lines().filter_map(|line| line.strip_prefix(&sample));
            for value in values.clone() {
                let (_, value) = value.rsplit_once(' ').unwrap();
                value.parse::<u64>().unwrap();
            }
            assert!(values.count() > 0, "{sample}");
        }
        assert!(text.contains("alts_nbd_requests_total{command=\"write_zeroes\"} 0\n"));
    }
}
