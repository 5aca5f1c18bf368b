//! What a tunnel counts, for Prometheus.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use alts::connect::Settings;
use alts::handshaker::cli::WatchedIdentity;
use alts::handshaker::resumption::{TicketCache, TicketKeys};
use alts::prometheus;
use alts::relay::{Path, RelayCounters, RelayOptions, Summary};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Metric, Registry};

pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) open: Gauge,
    accepted: Counter,
    ended: Family<Reason, Counter>,
    paths: Family<OfPath, Counter>,
    forward_bytes: Counter,
    backward_bytes: Counter,
    pipes: Family<State, Gauge>,
    counters: Arc<RelayCounters>,
    options: RelayOptions,
}

/// What a program secures its connections with, as far as it is watched.
#[derive(Clone, Debug)]
pub(crate) struct Secured {
    pub(crate) identity: WatchedIdentity,
    /// Of a server that lets clients resume.
    pub(crate) ticket_keys: Option<Arc<TicketKeys>>,
    /// Of a client that resumes.
    pub(crate) ticket_cache: Option<Arc<TicketCache>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfPath {
    path: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

impl Metrics {
    /// Counts the bytes of relays with `options`, which it changes for that; and what happens to connections under `secured`, if there
    /// are such, with whose identity and tickets.
    pub(crate) fn new(
        options: &mut RelayOptions,
        secured: Option<(&mut Settings, &Secured)>,
    ) -> Self {
        let counters = Arc::<RelayCounters>::default();
        options.counters = Some(Arc::clone(&counters));
        let mut all = Registry::with_prefix("alts_tunnel");
        match secured {
            Some((settings, Secured { identity, ticket_keys, ticket_cache })) => {
                prometheus::register(&mut all, settings, Some(identity));
                prometheus::register_tickets(&mut all, ticket_keys.clone(), ticket_cache.clone());
            }
            None => prometheus::register_pool(&mut all, options.pool.clone()),
        }
        Self {
            open: register(&mut all, "connections_open", "Connections that are open"),
            accepted: register(&mut all, "connections_accepted", "Connections accepted"),
            ended: register(&mut all, "connections_ended", "Connections that ended, by reason"),
            paths: register(&mut all, "relays", "Relays that ended, by how bytes were moved"),
            forward_bytes: register(
                &mut all,
                "forward_bytes",
                "Bytes passed from clients to targets",
            ),
            backward_bytes: register(
                &mut all,
                "backward_bytes",
                "Bytes passed from targets to clients",
            ),
            pipes: register(&mut all, "pipes", "Pipes for splice, by state"),
            registry: all,
            counters,
            options: options.clone(),
        }
    }

    pub(crate) fn accepted(&self) {
        self.accepted.inc();
        self.open.inc();
    }

    pub(crate) fn ended(&self, reason: &'static str) {
        self.ended.get_or_create(&Reason { reason }).inc();
    }

    pub(crate) fn relayed(&self, summary: &Summary) {
        let path = match summary.path {
            Path::Splice => "splice",
            _ => "copy",
        };
        self.paths.get_or_create(&OfPath { path }).inc();
        self.ended(if summary.is_clean() { "clean" } else { "cut" });
    }

    /// All of it in the text format of `OpenMetrics`, which Prometheus reads.
    pub(crate) fn text(&self) -> Result<String, fmt::Error> {
        let set = |counter: &Counter, value| counter.inner().store(value, Ordering::Relaxed);
        set(&self.forward_bytes, self.counters.a_to_b());
        set(&self.backward_bytes, self.counters.b_to_a());
        if let Some(pipes) = &self.options.pipes {
            let pipes = pipes.stats();
            for (state, count) in [("in_use", pipes.in_use), ("idle", pipes.idle)] {
                self.pipes.get_or_create(&State { state }).set(count.cast_signed() as i64);
            }
        }
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
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
