//! What became of tickets, as metrics.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;

use super::samples::{Labels, Samples, one};
use crate::resumption::{Refused, TicketCache, TicketKeys, TicketStats};

/// Shows what became of tickets: those that a server gives under `keys`, and those that a client has in `cache`. A program that is only
/// one of both gives only that.
pub fn register_tickets(
    registry: &mut Registry,
    keys: Option<Arc<TicketKeys>>,
    cache: Option<Arc<TicketCache>>,
) {
    registry.register_collector(Box::new(Tickets { keys, cache }));
}

#[derive(Debug)]
struct Tickets {
    keys: Option<Arc<TicketKeys>>,
    cache: Option<Arc<TicketCache>>,
}

impl Collector for Tickets {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let out = &mut Samples::new(encoder);
        let server = self.keys.as_ref().map(|keys| ("server", keys.stats()));
        let client = self.cache.as_ref().map(|cache| ("client", cache.stats()));
        let roles = || server.iter().chain(&client);
        let of = |figure: fn(&TicketStats) -> u64| {
            roles().map(move |(role, stats)| (labels(role), figure(stats)))
        };
        out.counter(
            "tickets_issued",
            "Tickets that were given to clients, or received from servers, by role of this side",
            of(|stats| stats.issued),
        )?;
        out.counter(
            "tickets_offered",
            "Tickets that clients have offered, or that were offered to servers, by role of this side",
            of(|stats| stats.offered),
        )?;
        out.counter(
            "tickets_accepted",
            "Tickets that a handshake was resumed with, by role of this side",
            of(|stats| stats.accepted),
        )?;
        let refused = roles().flat_map(|(role, stats)| {
            Refused::ALL.into_iter().map(move |reason| {
                let reason_label = ("reason", reason.as_str().to_owned());
                let labels = labels(role).into_iter().chain([reason_label]).collect();
                (labels, stats.refused(reason))
            })
        });
        out.counter(
            "tickets_refused",
            "Tickets that were not accepted, or dropped before they were offered, by role of this side and reason",
            refused,
        )?;
        let Some((cache, (_, stats))) = self.cache.as_ref().zip(client) else { return Ok(()) };
        out.counter(
            "tickets_returned",
            "Tickets that went back to this client unused because no server answered",
            one(stats.returned),
        )?;
        out.gauge(
            "tickets_kept",
            "Tickets that this client has, some of which may have ended",
            one(cache.len() as u64),
        )
    }
}

fn labels(role: &str) -> Labels {
    vec![("role", role.to_owned())]
}
