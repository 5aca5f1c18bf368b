//! The daemon's metrics.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use alts_handshaker::Role;
use alts_handshaker::identity::IdentitySource;
use alts_handshaker::service::{Finished, Observer};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};

use super::identities::{DaemonIdentities, DaemonIdentity};

pub(super) struct Metrics {
    registry: Registry,
    handshakes: Family<OfRole, Counter>,
    failures: Family<Failure, Counter>,
    in_flight: Gauge,
    seconds: Family<OfRole, Histogram>,
    pub(super) connections: Gauge,
    closed: Family<OfReason, Counter>,
    expiry: Family<OfFile, Gauge>,
    reloads: Family<OfFile, Counter>,
    reload_failures: Family<OfFile, Counter>,
    authorities: Family<OfDomain, Gauge>,
    usable: Family<OfDomain, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfRole {
    role: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Failure {
    role: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfReason {
    reason: &'static str,
}

/// Why the daemon closes a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closed {
    /// It has no call.
    Silent,
    /// A call has lasted longer than any can: its answer is not read.
    Unread,
    /// There was no room for another one.
    Displaced,
}

impl Closed {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Unread => "unread",
            Self::Displaced => "displaced",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfFile {
    certificate: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfDomain {
    certificate: String,
    trust_domain: String,
}

impl Metrics {
    /// Names of counters get `_total` appended, as the format wants it.
    pub(super) fn new() -> Self {
        let mut all = Registry::with_prefix("alts_handshaker");
        // From half a millisecond, less than which a handshake cannot take, to its usual deadline.
        let seconds = Family::<OfRole, Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(0.0005, 2.0, 16))
        });
        all.register(
            "handshake_seconds",
            "Time from the start of a call to its result, including the time spent waiting for the peer",
            seconds.clone(),
        );
        Self {
            handshakes: register(
                &mut all,
                "handshakes",
                "Handshakes that succeeded, by the caller's role",
            ),
            failures: register(
                &mut all,
                "handshake_failures",
                "Handshakes that failed, by the caller's role and the reason",
            ),
            in_flight: register(&mut all, "in_flight", "Handshakes in progress"),
            connections: register(&mut all, "connections", "Open connections of callers"),
            closed: register(
                &mut all,
                "connections_closed",
                "Connections that the daemon closed: silent (no call for too long), unread (an answer not read for too long), \
                 displaced (there was no room for another one)",
            ),
            expiry: register(
                &mut all,
                "identity_expiry_timestamp_seconds",
                "When the first certificate of an identity's chain expires",
            ),
            reloads: register(
                &mut all,
                "identity_reloads",
                "How often changed files of an identity or of a trust domain took effect",
            ),
            authorities: register(
                &mut all,
                "trust_domain_authorities",
                "Authorities that are trusted for a trust domain; at 0 none of its peers is accepted",
            ),
            usable: register(
                &mut all,
                "trust_domain_usable",
                "1 if the files of a trust domain are valid; 0 if they are missing, empty or broken, and none of its peers is accepted",
            ),
            reload_failures: register(
                &mut all,
                "identity_reload_failures",
                "Looks at the files of an identity that found something wrong with it or with a trust domain",
            ),
            seconds,
            registry: all,
        }
    }

    pub(super) fn closed(&self, why: Closed) {
        self.closed.get_or_create(&OfReason { reason: why.name() }).inc();
    }

    /// All of it in the text format of `OpenMetrics`, which Prometheus reads.
    pub(super) fn text(&self, identities: &DaemonIdentities) -> Result<String, fmt::Error> {
        for identity in identities.iter() {
            let of_file = OfFile { certificate: identity.name.clone() };
            if let Ok(snapshot) = identity.source.snapshot() {
                let expiry = snapshot.not_after().duration_since(SystemTime::UNIX_EPOCH);
                let seconds = expiry.map_or(0, |since| since.as_secs().cast_signed());
                self.expiry.get_or_create(&of_file).set(seconds);
            }
            self.note_trust(identity);
            for (family, count) in [
                (&self.reloads, identity.source.reloads()),
                (&self.reload_failures, identity.source.failures()),
            ] {
                family.get_or_create(&of_file).inner().store(count, Ordering::Relaxed);
            }
        }
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

impl Metrics {
    /// The state of each trust domain, for one identity.
    fn note_trust(&self, identity: &DaemonIdentity) {
        let Ok(snapshot) = identity.source.snapshot() else { return };
        let trust = snapshot.trust();
        let unusable = identity.source.unusable_trust_domains();
        let domains: BTreeSet<_> = trust.domains().chain(&unusable).collect();
        for domain in domains {
            let of_domain = OfDomain {
                certificate: identity.name.clone(),
                trust_domain: domain.as_str().to_owned(),
            };
            let is_usable = !unusable.contains(domain);
            let authorities = if is_usable { trust.authorities(domain) } else { 0 };
            self.authorities.get_or_create(&of_domain).set(authorities.cast_signed() as i64);
            self.usable.get_or_create(&of_domain).set(i64::from(is_usable));
        }
    }
}

fn register<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

impl Observer for Metrics {
    fn started(&self) {
        self.in_flight.inc();
    }

    fn finished(&self, handshake: &Finished) {
        self.in_flight.dec();
        let role = match handshake.role {
            Some(Role::Client) => "client",
            Some(Role::Server) => "server",
            None => "none",
        };
        match handshake.outcome {
            Ok(()) => {
                self.handshakes.get_or_create(&OfRole { role }).inc();
                let seconds = handshake.elapsed.as_secs_f64();
                self.seconds.get_or_create(&OfRole { role }).observe(seconds);
            }
            Err(reason) => {
                self.failures.get_or_create(&Failure { role, reason }).inc();
            }
        }
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
