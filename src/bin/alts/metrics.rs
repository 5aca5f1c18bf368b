//! What a tunnel counts, for Prometheus.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use alts::handshaker::cli::WatchedIdentity;
use alts::handshaker::identity::IdentitySource;
use alts::relay::{Path, RelayCounters, RelayOptions, Summary};
use alts::{Error, Truncation};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};

pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) open: Gauge,
    accepted: Counter,
    ended: Family<Reason, Counter>,
    paths: Family<OfPath, Counter>,
    handshakes: Family<Reason, Counter>,
    handshake_seconds: Histogram,
    forward_bytes: Counter,
    backward_bytes: Counter,
    pool_bytes: Family<State, Gauge>,
    pool_high_water: Gauge,
    pool_waiting: Gauge,
    pipes: Family<State, Gauge>,
    identity_expiry: Gauge,
    identity_reloads: Counter,
    identity_failures: Counter,
    counters: Arc<RelayCounters>,
    options: RelayOptions,
    identity: Option<WatchedIdentity>,
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
    /// Counts the bytes of relays with `options`, which it changes for that.
    pub(crate) fn new(options: &mut RelayOptions, identity: Option<WatchedIdentity>) -> Self {
        let counters = Arc::<RelayCounters>::default();
        options.counters = Some(Arc::clone(&counters));
        let mut all = Registry::with_prefix("alts_tunnel");
        // From half a millisecond to the usual timeout of a handshake.
        let handshake_seconds = Histogram::new(exponential_buckets(0.0005, 2.0, 16));
        all.register(
            "handshake_seconds",
            "Duration of handshakes that succeeded",
            handshake_seconds.clone(),
        );
        Self {
            open: register(&mut all, "connections_open", "Connections that are open"),
            accepted: register(&mut all, "connections_accepted", "Connections accepted"),
            ended: register(&mut all, "connections_ended", "Connections that ended, by reason"),
            paths: register(&mut all, "relays", "Relays that ended, by how bytes were moved"),
            handshakes: register(&mut all, "handshakes", "Handshakes, by outcome"),
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
            pool_bytes: register(&mut all, "pool_bytes", "Bytes of the buffer pool, by state"),
            pool_high_water: register(
                &mut all,
                "pool_high_water_bytes",
                "The most bytes of the pool ever in use",
            ),
            pool_waiting: register(
                &mut all,
                "pool_waiting",
                "Readers that wait for a buffer at the pool's cap",
            ),
            pipes: register(&mut all, "pipes", "Pipes for splice, by state"),
            identity_expiry: register(
                &mut all,
                "identity_expiry_timestamp_seconds",
                "When the first certificate of this side's chain expires",
            ),
            identity_reloads: register(
                &mut all,
                "identity_reloads",
                "Changed identity files that were loaded",
            ),
            identity_failures: register(
                &mut all,
                "identity_reload_failures",
                "Changed identity files that could not be loaded, so that the old identity stayed",
            ),
            handshake_seconds,
            registry: all,
            counters,
            options: options.clone(),
            identity,
        }
    }

    pub(crate) fn accepted(&self) {
        self.accepted.inc();
        self.open.inc();
    }

    pub(crate) fn handshake(&self, outcome: Result<Duration, &Error>) {
        let reason = match outcome {
            Ok(taken) => {
                self.handshake_seconds.observe(taken.as_secs_f64());
                "ok"
            }
            Err(error) => handshake_reason(error),
        };
        self.handshakes.get_or_create(&Reason { reason }).inc();
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
        let pool = self.options.pool.stats();
        let of = |family: &Family<State, Gauge>, state, value: usize| {
            family.get_or_create(&State { state }).set(value.cast_signed() as i64);
        };
        of(&self.pool_bytes, "in_use", pool.in_use_bytes + pool.beyond_cap_bytes);
        of(&self.pool_bytes, "idle", pool.idle_bytes);
        of(&self.pool_bytes, "cap", pool.cap_bytes);
        self.pool_high_water.set(pool.high_water_bytes.cast_signed() as i64);
        self.pool_waiting.set(pool.waiting.cast_signed() as i64);
        if let Some(pipes) = &self.options.pipes {
            let pipes = pipes.stats();
            of(&self.pipes, "in_use", pipes.in_use);
            of(&self.pipes, "idle", pipes.idle);
        }
        if let Some(files) = &self.identity {
            set(&self.identity_reloads, files.reloads());
            set(&self.identity_failures, files.failures());
            if let Ok(identity) = files.snapshot() {
                let expiry = identity.not_after().duration_since(SystemTime::UNIX_EPOCH);
                self.identity_expiry.set(expiry.map_or(0, |since| since.as_secs().cast_signed()));
            }
        }
        let mut out = String::new();
        text::encode(&mut out, &self.registry)?;
        Ok(out)
    }
}

/// A word for what went wrong, of few, for a label.
fn handshake_reason(error: &Error) -> &'static str {
    use alts::handshaker::Error as Handshake;
    match error {
        Error::Truncated { at: Truncation::BeforeHandshake } => "probe",
        Error::Truncated { .. } => "truncated",
        Error::Handshake(error) => match error {
            Handshake::Foreign(_) => "foreign_protocol",
            Handshake::Incompatible { .. } => "incompatible",
            Handshake::Limit { .. } => "limit",
            Handshake::Denied { .. } => "denied",
            Handshake::Alert { .. } => "refused_by_peer",
            Handshake::Identity(_) => "own_identity",
            Handshake::Unavailable(_) => "handshaker_unavailable",
            _ => "peer",
        },
        Error::Io { .. } => "network",
        Error::Pool(_) => "no_buffer",
        _ => "other",
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
