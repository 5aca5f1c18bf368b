//! Clients that resume, at a server that has no room, and at one that others keep busy with full handshakes: their tickets are not lost by
//! that, and they get their turn.

use std::sync::Arc;

use alts::handshaker::resumption::{DEFAULT_MAX_AGE, TicketKeys};
use alts::handshaker::{LimitOptions, LocalHandshaker};

use crate::files::load;
use crate::gauges::{Gauges, wait_until};
use crate::helper::{Helper, Report};
use crate::identities::Identities;
use crate::row::Row;
use crate::scale::Scale;
use crate::service;
use crate::tally::{OVERLOADED, Tally};
use crate::target::{self, Target};

/// All places are taken, and the queue for them is full. Whoever is refused comes again when there is room, with the same ticket.
pub(crate) fn no_room(row: &mut Row, scale: Scale) {
    let (target, keys) = start(|limits| (limits.half_open, limits.queue) = (32, 8));
    let bounds = target.acceptor.settings().limits.options().clone();
    let count = scale.of(60, 400);
    let (mut clients, gauges) = with_tickets(&target, count);
    let waiting = bounds.half_open + bounds.queue;
    let mut attacker = target.helper("flood", &["1", &waiting.to_string()]);
    attacker.tell("hold");
    wait_until(|| target.half_open() == bounds.half_open);
    wait_until(|| Tally::get(&target.tally.accepted) == waiting as u64);
    clients.tell("storm");
    // As many wait for a place as may, and the others have been refused.
    wait_until(|| target.tally.ended(OVERLOADED) == count);
    drop(attacker);
    // Those that waited have had their turn.
    wait_until(|| target.half_open() == 0);
    clients.tell("go");
    let report = clients.report();
    row.thrown(waiting as u64, 0, waiting as u64);
    resumed(row, &report, &keys);
    let refused = report.get("refused");
    row.require_at_least("refused at first", refused, count - bounds.queue as u64);
    // The tickets of all that were refused went back, and were used later.
    row.require_count("tickets put back", report.get("returned"), refused);
    row.require_count("tickets offered", report.get("offered"), count + refused);
    drop(clients);
    row.left(&gauges.left());
}

/// One source keeps the server busy with first messages that each cost it a full handshake's work.
pub(crate) fn beside_full_handshakes(row: &mut Row, scale: Scale) {
    let (target, keys) = start(|limits| {
        limits.half_open_per_source = LimitOptions::default().half_open_per_source;
    });
    let (mut clients, gauges) = with_tickets(&target, scale.of(100, 2_000));
    let mut attacker = target.helper("flood", &["1", "400"]);
    attacker.tell("answered");
    wait_until(|| Tally::get(&target.tally.accepted) > 1_000);
    let report = clients.ask("return 16");
    let flood = attacker.ask("stop");
    row.thrown(flood.get("connections"), flood.get("bytes"), flood.get("connections"));
    resumed(row, &report, &keys);
    row.require_count("refused", report.get("refused"), 0);
    row.note("flood: answered with a handshake", flood.get("answered"));
    drop((clients, attacker));
    row.left(&gauges.left());
}

fn start(change: impl FnOnce(&mut LimitOptions)) -> (Target, Arc<TicketKeys>) {
    let identities = Identities::new();
    let keys = TicketKeys::generate(DEFAULT_MAX_AGE).expect("keys");
    let handshaker = LocalHandshaker::builder(load(identities.path(), "server"))
        .ticket_keys(Arc::clone(&keys))
        .build();
    let target = Target::launch(
        identities,
        handshaker,
        |_, limits| change(limits),
        |listener, acceptor, tally| target::accept(listener, acceptor, tally, service::echo),
    );
    (target, keys)
}

/// Clients that have been there: each has a ticket.
fn with_tickets(target: &Target, count: u64) -> (Helper, Gauges) {
    target.warm_up();
    let mut clients = target.helper("returning", &[&count.to_string()]);
    let first = clients.ask("first");
    assert_eq!((first.get("resumed"), first.get("tickets")), (0, count));
    // Once with all of it, so that nothing that is made once counts as left behind.
    assert_eq!(clients.ask("return 8").get("resumed"), count);
    drop(clients);
    let all_ended = || Tally::get(&target.tally.ended) == Tally::get(&target.tally.accepted);
    wait_until(all_ended);
    let gauges = target.gauges();
    let mut clients = target.helper("returning", &[&count.to_string()]);
    assert_eq!(clients.ask("first").get("tickets"), count);
    wait_until(all_ended);
    target.tally.clear();
    (clients, gauges)
}

/// All have resumed, with one ticket each.
fn resumed(row: &mut Row, report: &Report, keys: &TicketKeys) {
    row.honest(report.get("asked"), report.get("answered"), report.get("lost"));
    row.require_count("resumed", report.get("resumed"), report.get("asked"));
    row.require_count("tickets accepted", report.get("accepted"), report.get("asked"));
    row.note("tickets, at the server", format_args!("{:?}", keys.stats()));
}
