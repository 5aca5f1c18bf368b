//! The daemon's metrics.

use std::fmt;
use std::sync::Arc;

use alts_handshaker::HandshakeCounters;
use alts_handshaker::identity::IdentitySource;
use alts_handshaker::prometheus::{
    Samples, one, register_handshakes, register_identities, register_tickets,
};
use alts_handshaker::resumption::{TicketCache, TicketKeys};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry};

use super::identities::DaemonIdentities;

pub(super) struct Metrics {
    registry: Registry,
    pub(super) handshakes: Arc<HandshakeCounters>,
    pub(super) connections: Gauge,
    closed: Family<OfReason, Counter>,
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

impl Metrics {
    /// Names of counters get `_total` appended, as the format wants it.
    pub(super) fn new(
        identities: &DaemonIdentities,
        ticket_keys: Option<Arc<TicketKeys>>,
        ticket_cache: Option<Arc<TicketCache>>,
    ) -> Self {
        let mut all = Registry::with_prefix("alts_handshaker");
        let handshakes = Arc::<HandshakeCounters>::default();
        register_handshakes(&mut all, Arc::clone(&handshakes));
        all.register_collector(Box::new(InFlight(Arc::clone(&handshakes))));
        let sources = identities.iter().map(|identity| {
            let source: Arc<dyn IdentitySource> = Arc::new(identity.source.clone());
            (identity.name.clone(), source)
        });
        register_identities(&mut all, sources);
        register_tickets(&mut all, ticket_keys, ticket_cache);
        Self {
            handshakes,
            connections: register(&mut all, "connections", "Open connections of callers"),
            closed: register(
                &mut all,
                "connections_closed",
                "Connections that the daemon closed: silent (no call for too long), unread (an answer not read for too long), \
                 displaced (there was no room for another one)",
            ),
            registry: all,
        }
    }

    pub(super) fn closed(&self, why: Closed) {
        self.closed.get_or_create(&OfReason { reason: why.name() }).inc();
    }

    /// All of it in the text format of `OpenMetrics`, which Prometheus reads.
    pub(super) fn text(&self) -> Result<String, fmt::Error> {
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

#[derive(Debug)]
struct InFlight(Arc<HandshakeCounters>);

impl Collector for InFlight {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let in_flight = self.0.stats().in_flight;
        Samples::new(encoder).gauge("in_flight", "Handshakes in progress", one(in_flight))
    }
}

fn register<M: Metric + Clone + Default>(registry: &mut Registry, name: &str, help: &str) -> M {
    let metric = M::default();
    registry.register(name, help, metric.clone());
    metric
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}
