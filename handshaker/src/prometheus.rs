//! Metrics for Prometheus, of handshakes, of identities and of tickets.
//!
//! They are made of what is counted anyway when Prometheus asks for them. Names begin with the registry's prefix, those of counters end
//! in `_total`:
//!
//! | metric | what it is |
//! | --- | --- |
//! | `handshakes_total{role}` | handshakes that succeeded; roles are `client`, `server`, and `none` where none was stated |
//! | `handshake_failures_total{role,reason}` | and those that failed |
//! | `handshake_seconds{role}` | how long those took that succeeded |
//! | `identity_info{serial}` | 1; the serial number of this side's certificate, as `openssl x509 -serial` shows it. No identity is named anywhere |
//! | `identity_expiry_timestamp_seconds` | when the first certificate of this side's chain expires |
//! | `identity_reloads_total` | how often something new took effect |
//! | `identity_reload_failures_total` | looks at the source that found something wrong |
//! | `trust_domain_authorities{trust_domain}` | authorities that are trusted for it; at 0 none of its peers is accepted |
//! | `trust_domain_usable{trust_domain}` | 1 if its bundle is valid; 0 if it is missing, empty or broken, and none of its peers is accepted |
//! | `trust_domain_updated_timestamp_seconds{trust_domain}` | since when its bundle is as it is; where bundles are renewed |
//! | `tickets_issued_total{role}` | tickets that a server gave, or a client received |
//! | `tickets_offered_total{role}` | tickets that clients offered to this server, or this client to servers |
//! | `tickets_accepted_total{role}` | and those that a handshake was resumed with |
//! | `tickets_refused_total{role,reason}` | those that were not accepted; at a client: dropped, before they were offered or before the end |
//! | `tickets_returned_total` | those that went back to a client because no server answered |
//! | `tickets_kept` | tickets that a client has |

mod samples;
mod tickets;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;

use crate::counters::HandshakeCounters;
use crate::identity::{IdentitySource, IdentityStats};

pub use self::samples::{Labels, Samples, one};
pub use self::tickets::register_tickets;

/// Shows the handshakes that `counters` have counted.
pub fn register_handshakes(registry: &mut Registry, counters: Arc<HandshakeCounters>) {
    registry.register_collector(Box::new(Handshakes(counters)));
}

/// Shows an identity that is renewed.
pub fn register_identity(registry: &mut Registry, source: impl IdentitySource) {
    let sources = vec![(Labels::new(), Arc::new(source) as Arc<dyn IdentitySource>)];
    registry.register_collector(Box::new(Identities(sources)));
}

/// As [`register_identity`], for several: each metric has the label `certificate` besides, with a name for each.
pub fn register_identities(
    registry: &mut Registry,
    sources: impl IntoIterator<Item = (String, Arc<dyn IdentitySource>)>,
) {
    let labelled = |(name, source)| (vec![("certificate", name)], source);
    let sources = sources.into_iter().map(labelled).collect();
    registry.register_collector(Box::new(Identities(sources)));
}

/// Writes what was counted of handshakes, for a [`Collector`] of one's own.
pub fn write_handshakes(
    out: &mut Samples<'_>,
    stats: &crate::counters::HandshakeStats,
) -> Result<(), fmt::Error> {
    let roles = || {
        let by_role = stats.by_role().into_iter();
        by_role.map(|(role, stats)| (vec![("role", role.to_owned())], stats))
    };
    let seen = || roles().filter(|(_, stats)| stats.succeeded > 0);
    out.counter(
        "handshakes",
        "Handshakes that succeeded, by role",
        seen().map(|(labels, stats)| (labels, stats.succeeded)),
    )?;
    let failures = roles().flat_map(|(labels, stats)| {
        stats.failed.iter().map(move |(reason, count)| {
            let reason = ("reason", (*reason).to_owned());
            (labels.iter().cloned().chain([reason]).collect(), *count)
        })
    });
    out.counter("handshake_failures", "Handshakes that failed, by role and reason", failures)?;
    out.histogram(
        "handshake_seconds",
        "How long handshakes took that succeeded, the time spent waiting for the peer included",
        seen().map(|(labels, stats)| (labels, &stats.durations)),
    )
}

#[derive(Debug)]
struct Handshakes(Arc<HandshakeCounters>);

impl Collector for Handshakes {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        write_handshakes(&mut Samples::new(encoder), &self.0.stats())
    }
}

/// Identities, and the labels of each.
#[derive(Debug)]
struct Identities(Vec<(Labels, Arc<dyn IdentitySource>)>);

impl Collector for Identities {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let out = &mut Samples::new(encoder);
        let all: Vec<_> =
            self.0.iter().map(|(labels, source)| (labels.clone(), source.stats())).collect();
        let with = |labels: &Labels, more: &[(&'static str, &str)]| -> Labels {
            let more = more.iter().map(|(name, value)| (*name, (*value).to_owned()));
            labels.iter().cloned().chain(more).collect()
        };
        let known =
            || all.iter().filter_map(|(labels, stats)| Some((labels, stats.identity.as_ref()?)));
        let domains = || {
            all.iter().flat_map(|(labels, IdentityStats { bundles, .. })| {
                bundles.iter().map(move |bundle| {
                    (with(labels, &[("trust_domain", bundle.domain.as_str())]), bundle)
                })
            })
        };
        out.gauge(
            "identity_info",
            "The serial number of this side's certificate",
            known()
                .map(|(labels, identity)| (with(labels, &[("serial", &identity.serial())]), 1_u64)),
        )?;
        out.gauge(
            "identity_expiry_timestamp_seconds",
            "When the first certificate of this side's chain expires",
            known().map(|(labels, identity)| (labels.clone(), seconds(identity.not_after()))),
        )?;
        out.counter(
            "identity_reloads",
            "How often something new of an identity or of a trust domain took effect",
            all.iter().map(|(labels, stats)| (labels.clone(), stats.reloads)),
        )?;
        out.counter(
            "identity_reload_failures",
            "Looks at the source of an identity that found something wrong with it or with a trust domain",
            all.iter().map(|(labels, stats)| (labels.clone(), stats.failures)),
        )?;
        out.gauge(
            "trust_domain_authorities",
            "Authorities that are trusted for a trust domain; at 0 none of its peers is accepted",
            domains().map(|(labels, bundle)| (labels, bundle.authorities as u64)),
        )?;
        out.gauge(
            "trust_domain_usable",
            "1 if the bundle of a trust domain is valid; 0 if it is missing, empty or broken, and none of its peers is accepted",
            domains().map(|(labels, bundle)| (labels, u64::from(bundle.is_usable))),
        )?;
        out.gauge(
            "trust_domain_updated_timestamp_seconds",
            "Since when the bundle of a trust domain is as it is",
            domains().filter_map(|(labels, bundle)| Some((labels, seconds(bundle.since?)))),
        )
    }
}

/// Since 1970.
fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(all(test, feature = "dev-ca"))]
mod tests;
