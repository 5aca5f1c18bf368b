//! Connections that end at every stage of a handshake, of a record and of an answer, by a reset or a half-close.

use std::sync::Arc;

use crate::gauges::wait_until;
use crate::row::Row;
use crate::scale::Scale;
use crate::service;
use crate::tally::Tally;
use crate::target::Target;

pub(crate) fn handshakes(row: &mut Row, scale: Scale) {
    resets(row, scale.of(29, 1), &["handshakes"]);
}

pub(crate) fn records(row: &mut Row, scale: Scale) {
    // A small one, cut everywhere, and a large one.
    let step = scale.of(9, 1);
    let large = format!("records {}", scale.of(20_000, 100_000));
    resets(row, step, &["records 124", &large]);
}

/// The large record has too many bytes to be cut after each.
const LARGE_STEP: usize = 97;

fn resets(row: &mut Row, step: usize, orders: &[&str]) {
    let target = Target::start(
        |_, _| (),
        |handshake, pool, tally: Arc<Tally>| {
            service::guarded(handshake, pool, tally, service::a_minute)
        },
    );
    target.warm_up();
    let all_ended = || Tally::get(&target.tally.ended) == Tally::get(&target.tally.accepted);
    let mut coarse = target.helper("resets", &["311"]);
    coarse.ask(orders[0]);
    drop(coarse);
    wait_until(all_ended);
    target.tally.clear();

    let gauges = target.gauges();
    let mut live = target.helper("live", &["8"]);
    live.tell("phase beside");
    let (mut connections, mut bytes) = (0, 0);
    for (at, order) in orders.iter().enumerate() {
        let step = if at == 0 { step } else { step * LARGE_STEP };
        let mut resets = target.helper("resets", &[&step.to_string()]);
        let report = resets.ask(order);
        connections += report.get("connections");
        bytes += report.get("bytes");
        // One handshake by hand tells how long the messages are.
        connections += u64::from(order.starts_with("handshakes"));
    }
    row.thrown(connections, bytes, connections);
    let report = live.ask("end");
    row.honest(report.get("asked"), report.get("answered"), report.get("lost"));
    drop(live);
    let left = gauges.left();
    row.require_count("server: connections", Tally::get(&target.tally.ended), connections + 8);
    row.note("server", target.tally.ends());
    row.left(&left);
}
