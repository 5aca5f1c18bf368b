//! Metrics for Prometheus: one call shows all that an operator sees of connections.
//!
//! ```
//! use std::sync::Arc;
//! use alts::connect::Settings;
//! # use std::time::SystemTime;
//! # use alts::handshaker::{LocalHandshaker, dev_ca::DevCa};
//! use prometheus_client::registry::Registry;
//!
//! # let now = SystemTime::now();
//! # let identity = DevCa::new(now)?.issue("spiffe://dev.local/us", now)?.identity(now)?;
//! let mut registry = Registry::with_prefix("alts");
//! let mut settings = Settings::default();
//! alts::prometheus::register(&mut registry, &mut settings, Some(&Arc::new(identity.clone())));
//! let acceptor = alts::Acceptor::with_settings(LocalHandshaker::builder(identity).build(), settings);
//!
//! let mut page = String::new(); // for /metrics
//! prometheus_client::encoding::text::encode(&mut page, &registry)?;
//! assert!(page.contains("alts_identity_expiry_timestamp_seconds"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Where handshakes are resumed, [`register_tickets`] shows what became of tickets. Beside those of [`alts_handshaker::prometheus`]:
//!
//! | metric | what it is |
//! | --- | --- |
//! | `handshakes_unfinished{state}` | connections of a server that are `silent`, `queued` for a place, or `started` (feature `tokio`) |
//! | `handshakes_in_flight` | handshakes in progress, in both roles; on a server the silent and the queued are among them |
//! | `secured_connections` | secured connections that are open |
//! | `secured_bytes_total{direction}` | bytes of payload; the direction is `received` or `sent` |
//! | `secured_records_total{direction}` | records, of 24 bytes each beside the payload |
//! | `secured_rekeys_total{direction}` | how often a new key came into use |
//! | `pool_bytes{state}` | the pool's bytes that are `in_use`, those that are `idle`, and its `cap` |
//! | `pool_high_water_bytes` | the most that was ever in use |
//! | `pool_waiting` | readers that wait for a buffer at the cap |
//! | `pool_waits_total`, `pool_refusals_total` | requests that had to wait, or found no room and could not wait |
//! | `pool_pressed_seconds_total` | for how long requests have waited |
//! | `pool_hits_total`, `pool_misses_total` | requests that found an idle buffer, and those for which memory was mapped |
//! | `pool_returned_bytes_total` | what was given back to the operating system |

use std::fmt;
use std::sync::Arc;

use alts_handshaker::identity::IdentitySource;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;

use crate::connect::Settings;
use crate::observer::{Counters, Traffic};
use crate::pool::BufferPool;

pub use alts_handshaker::prometheus::{
    Labels, Samples, one, register_handshakes, register_identities, register_identity,
    register_tickets, write_handshakes,
};

/// Counts what happens under `settings` from here on, and shows it: handshakes, connections, what they carry, and the pool; and
/// `identity`, if it is given.
///
/// The counters become the observer of `settings`. Give clones of these settings to all acceptors and connectors that are to be
/// counted together.
pub fn register<I: IdentitySource + Clone>(
    registry: &mut Registry,
    settings: &mut Settings,
    identity: Option<&I>,
) -> Arc<Counters> {
    let counters = Arc::new(Counters::new());
    settings.observer = Some(counters.clone());
    registry.register_collector(Box::new(Connections {
        counters: Arc::clone(&counters),
        #[cfg(feature = "tokio")]
        limits: settings.limits.clone(),
    }));
    register_pool(registry, settings.pool.clone());
    if let Some(identity) = identity {
        register_identity(registry, identity.clone());
    }
    counters
}

/// Shows a pool.
pub fn register_pool(registry: &mut Registry, pool: BufferPool) {
    registry.register_collector(Box::new(Pool(pool)));
}

#[derive(Debug)]
struct Connections {
    counters: Arc<Counters>,
    #[cfg(feature = "tokio")]
    limits: alts_handshaker::HandshakeLimits,
}

impl Collector for Connections {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let out = &mut Samples::new(encoder);
        let stats = self.counters.stats();
        write_handshakes(out, &stats.handshakes)?;
        #[cfg(feature = "tokio")]
        out.gauge(
            "handshakes_unfinished",
            "Accepted connections that are not secured yet, by how far they are",
            [
                ("silent", self.limits.silent()),
                ("queued", self.limits.queued()),
                ("started", self.limits.half_open()),
            ]
            .map(|(state, count)| (vec![("state", state.to_owned())], count as u64)),
        )?;
        let in_flight = stats.handshakes.in_flight;
        out.gauge("handshakes_in_flight", "Handshakes in progress", one(in_flight))?;
        out.gauge("secured_connections", "Secured connections that are open", one(stats.open))?;
        let both = |figure: fn(&Traffic) -> u64| {
            [("received", &stats.received), ("sent", &stats.sent)].map(|(direction, traffic)| {
                (vec![("direction", direction.to_owned())], figure(traffic))
            })
        };
        out.counter(
            "secured_bytes",
            "Bytes of payload that were secured, by direction",
            both(|traffic| traffic.bytes),
        )?;
        out.counter("secured_records", "Records, by direction", both(|traffic| traffic.records))?;
        out.counter(
            "secured_rekeys",
            "How often a new key came into use, by direction",
            both(|traffic| traffic.rekeys),
        )
    }
}

#[derive(Debug)]
struct Pool(BufferPool);

impl Collector for Pool {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let out = &mut Samples::new(encoder);
        let stats = self.0.stats();
        let in_use = stats.in_use_bytes + stats.overdraft_bytes + stats.beyond_cap_bytes;
        out.gauge(
            "pool_bytes",
            "Bytes of the buffer pool, by state",
            [("in_use", in_use), ("idle", stats.idle_bytes), ("cap", stats.cap_bytes)]
                .map(|(state, bytes)| (vec![("state", state.to_owned())], bytes as u64)),
        )?;
        let high_water = stats.high_water_bytes as u64;
        out.gauge(
            "pool_high_water_bytes",
            "The most bytes of the pool ever in use",
            one(high_water),
        )?;
        out.gauge(
            "pool_waiting",
            "Readers that wait for a buffer at the pool's cap",
            one(stats.waiting as u64),
        )?;
        out.counter(
            "pool_waits",
            "Requests for a buffer that had to wait at the pool's cap",
            one(stats.waited),
        )?;
        out.counter(
            "pool_refusals",
            "Requests for a buffer that found no room at the pool's cap and could not wait",
            one(stats.refused),
        )?;
        out.counter(
            "pool_pressed_seconds",
            "For how long requests have waited at the pool's cap",
            one(stats.pressed.as_secs_f64()),
        )?;
        out.counter("pool_hits", "Requests served with an idle buffer", one(stats.hits))?;
        out.counter("pool_misses", "Requests that had to be mapped", one(stats.misses))?;
        out.counter(
            "pool_returned_bytes",
            "Bytes given back to the operating system",
            one(stats.returned_bytes),
        )
    }
}
