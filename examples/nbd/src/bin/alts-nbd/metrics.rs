//! What a server has done, for Prometheus.

use std::fmt;
use std::sync::Arc;

use alts::connect::Settings;
use alts::handshaker::cli::WatchedIdentity;
use alts::handshaker::resumption::TicketKeys;
use alts::prometheus::{Samples, one};
use alts_nbd::server::Server;
use alts_nbd::wire::request::Command;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, text};
use prometheus_client::registry::Registry;

/// All that is counted.
#[derive(Debug)]
pub(crate) struct Metrics(Registry);

impl Metrics {
    /// Shows what happens to connections under `secured`, if there are such, with whose identity and tickets. Names of counters get
    /// `_total` appended, as the format wants it.
    pub(crate) fn new(
        server: Server,
        secured: Option<(&mut Settings, &WatchedIdentity, Option<Arc<TicketKeys>>)>,
    ) -> Self {
        let mut all = Registry::with_prefix("alts_nbd");
        alts::prometheus::register_pool(&mut all, server.pool().clone());
        all.register_collector(Box::new(Served(server)));
        if let Some((settings, identity, ticket_keys)) = secured {
            // With a prefix of its own: connections have another pool than requests.
            let connections = all.sub_registry_with_prefix("alts");
            alts::prometheus::register(connections, settings, None::<&WatchedIdentity>);
            alts::prometheus::register_tickets(connections, ticket_keys, None);
            alts::prometheus::register_identity(&mut all, identity.clone());
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
        let (mut out, figures) = (Samples::new(encoder), self.0.figures());
        out.gauge("connections_open", "Connections that are open", one(figures.open))?;
        out.counter("connections_accepted", "Connections accepted", one(figures.accepted))?;
        out.counter("connections_failed", "Connections that were given up", one(figures.failed))?;
        let requests = self.0.requests();
        out.counter(
            "requests",
            "Requests, by command",
            requests.map(|(command, count)| (vec![("command", name(command).to_owned())], count)),
        )?;
        let in_flight = figures.in_flight;
        out.gauge("requests_in_flight", "Requests that are being worked on", one(in_flight))?;
        out.counter("errors", "Requests that were answered by an error", one(figures.errors))?;
        out.counter("read_bytes", "Bytes that clients have read", one(figures.read_bytes))?;
        out.counter(
            "written_bytes",
            "Bytes that clients have written",
            one(figures.written_bytes),
        )?;
        out.counter(
            "released",
            "How often memory was given back because a client took or sent nothing",
            one(figures.released),
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

#[cfg(test)]
mod tests {
    use alts_nbd::server::Settings;

    use super::*;

    #[test]
    fn every_metric_has_a_type_and_a_value() {
        let server = Server::new(Settings::default());
        let text = Metrics::new(server, None).text().unwrap();
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
                value.parse::<f64>().unwrap();
            }
            assert!(values.count() > 0, "{sample}");
        }
        assert!(text.contains("alts_nbd_requests_total{command=\"write_zeroes\"} 0\n"));
    }
}
