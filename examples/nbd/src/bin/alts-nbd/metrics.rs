//! What a server has done, for Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use alts::Fault;
use alts::handshaker::cli::WatchedIdentity;
use alts::handshaker::identity::IdentitySource;
use alts_nbd::server::Server;
use alts_nbd::wire::request::Command;

/// What is counted here and not by the server.
#[derive(Debug, Default)]
pub(crate) struct Handshakes(Mutex<BTreeMap<&'static str, u64>>);

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
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(outcome).or_default() += 1;
    }
}

/// All of it in the text format of `OpenMetrics`, which Prometheus reads.
pub(crate) fn text(
    server: &Server,
    handshakes: &Handshakes,
    identity: Option<&WatchedIdentity>,
) -> String {
    let mut text = Text(String::new());
    let figures = server.figures();
    text.gauge("connections_open", "Connections that are open", &[("", figures.open)]);
    text.counter("connections_accepted", "Connections accepted", &[("", figures.accepted)]);
    text.counter("connections_failed", "Connections that were given up", &[("", figures.failed)]);
    let requests: Vec<_> = server
        .requests()
        .map(|(command, count)| (format!("command=\"{}\"", name(command)), count))
        .collect();
    text.counter("requests", "Requests, by command", &requests);
    text.gauge(
        "requests_in_flight",
        "Requests that are being worked on",
        &[("", figures.in_flight)],
    );
    text.counter("errors", "Requests that were answered by an error", &[("", figures.errors)]);
    text.counter("read_bytes", "Bytes that clients have read", &[("", figures.read_bytes)]);
    text.counter(
        "written_bytes",
        "Bytes that clients have written",
        &[("", figures.written_bytes)],
    );
    text.counter(
        "released",
        "How often memory was given back because a client took or sent nothing",
        &[("", figures.released)],
    );
    let pool = server.pool().stats();
    let states =
        [("in_use", pool.in_use_bytes), ("idle", pool.idle_bytes), ("cap", pool.cap_bytes)];
    let states = states.map(|(state, bytes)| (format!("state=\"{state}\""), bytes as u64));
    text.gauge("pool_bytes", "Bytes of the buffer pool, by state", &states);
    let high_water = pool.high_water_bytes as u64;
    text.gauge("pool_high_water_bytes", "The most bytes ever in use", &[("", high_water)]);
    let waiting = pool.waiting as u64;
    text.gauge("pool_waiting", "Requests that wait for a buffer", &[("", waiting)]);
    if let Some(files) = identity {
        let counts = handshakes.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let counts: Vec<_> = counts
            .into_iter()
            .map(|(outcome, count)| (format!("outcome=\"{outcome}\""), count))
            .collect();
        text.counter("alts_handshakes", "Handshakes of ALTS, by outcome", &counts);
        if let Ok(identity) = files.snapshot() {
            let expiry = identity.not_after().duration_since(SystemTime::UNIX_EPOCH);
            text.gauge(
                "identity_expiry_timestamp_seconds",
                "When the first certificate of this side's chain expires",
                &[("", expiry.map_or(0, |since| since.as_secs()))],
            );
        }
        let (reloads, failures) = (files.reloads(), files.failures());
        text.counter(
            "identity_reloads",
            "Changed identity files that were loaded",
            &[("", reloads)],
        );
        text.counter(
            "identity_reload_failures",
            "Changed identity files that could not be loaded, so that the old identity stayed",
            &[("", failures)],
        );
    }
    text.0.push_str("# EOF\n");
    text.0
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

/// Lines, each metric with its type and its help.
struct Text(String);

impl Text {
    fn counter(&mut self, name: &str, help: &str, samples: &[(impl AsRef<str>, u64)]) {
        self.metric(name, "counter", "_total", help, samples);
    }

    fn gauge(&mut self, name: &str, help: &str, samples: &[(impl AsRef<str>, u64)]) {
        self.metric(name, "gauge", "", help, samples);
    }

    fn metric(
        &mut self,
        name: &str,
        kind: &str,
        suffix: &str,
        help: &str,
        samples: &[(impl AsRef<str>, u64)],
    ) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP alts_nbd_{name} {help}.");
        let _ = writeln!(self.0, "# TYPE alts_nbd_{name} {kind}");
        for (label, value) in samples {
            let _ = match label.as_ref() {
                "" => writeln!(self.0, "alts_nbd_{name}{suffix} {value}"),
                label => writeln!(self.0, "alts_nbd_{name}{suffix}{{{label}}} {value}"),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use alts_nbd::server::Settings;

    use super::*;

    #[test]
    fn every_metric_has_a_type_and_a_value() {
        let text = text(&Server::new(Settings::default()), &Handshakes::default(), None);
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
