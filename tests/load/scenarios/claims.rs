//! Connections that each claim the largest message and send 8 bytes of it. What they cost is what has arrived, not what they claim.

use crate::gauges::{live_heap, settle, signed, wait_until};
use crate::row::{Row, grouped};
use crate::scale::Scale;
use crate::service;
use crate::tally::Tally;
use crate::target::Target;

/// Bytes of live heap that a connection in this state may hold, its task included.
const RECORD_LIMIT: i64 = 1_200;
const HANDSHAKE_LIMIT: i64 = 4_200;
const LAST_MESSAGE_LIMIT: i64 = 4_600;

pub(crate) fn record(row: &mut Row, scale: Scale) {
    claims(row, scale, "record", RECORD_LIMIT, "ended inside a record");
}

pub(crate) fn first_message(row: &mut Row, scale: Scale) {
    claims(row, scale, "first-message", HANDSHAKE_LIMIT, "ended inside the handshake");
}

pub(crate) fn last_message(row: &mut Row, scale: Scale) {
    claims(row, scale, "last-message", LAST_MESSAGE_LIMIT, "ended inside the handshake");
}

fn claims(row: &mut Row, scale: Scale, kind: &str, limit: i64, end: &str) {
    let count = scale.of(600, 10_000);
    let target = Target::start(
        |settings, limits| {
            // So that all of them are there at the same time, for as long as they stay.
            limits.half_open = count + 100;
            settings.handshake_timeout = scale.patience();
            settings.first_bytes_timeout = scale.patience();
        },
        service::echo,
    );
    target.warm_up();
    // Two processes, as one may not have that many descriptors.
    let mut attackers = [(); 2].map(|()| target.helper("claims", &[kind]));
    for attacker in &mut attackers {
        attacker.ask("open 50");
    }
    drop(attackers);
    wait_until(|| Tally::get(&target.tally.ended) == Tally::get(&target.tally.accepted));
    target.tally.clear();

    let gauges = target.gauges();
    let mut live = target.helper("live", &["8"]);
    live.tell("phase before");
    let mut attackers = [(); 2].map(|()| target.helper("claims", &[kind]));
    live.tell("phase beside");
    for attacker in &mut attackers {
        attacker.tell(&format!("open {}", count / 2));
    }
    let (mut connections, mut bytes) = (0, 0);
    for attacker in &mut attackers {
        let report = attacker.report();
        connections += report.get("connections");
        bytes += report.get("bytes");
    }
    row.thrown(connections, bytes, connections);
    // All are there, and nothing moves but their own bytes.
    live.ask("pause");
    wait_until(|| gauges.tasks() == count + 8);
    settle();
    let before = live_heap();
    let stats = target.pool().stats();
    row.note("bytes claimed, in MiB", claimed(kind, connections) >> 20);
    let buffers = stats.in_use_buffers + stats.beyond_cap_buffers;
    row.require_count("buffers out while they wait", buffers as u64, 0);
    row.require_at_most("buffers idle, bytes", stats.idle_bytes as u64, 1 << 20);
    live.tell("phase beside");
    drop(attackers);
    wait_until(|| gauges.tasks() == 8);
    live.ask("pause");
    settle();
    let freed = (before - live_heap()) as i64 / signed(count);
    row.note("live heap of each, bytes", grouped(freed));
    row.require(freed <= limit, || format!("{freed} bytes each, more than {limit}"));
    // Attackers leave with a reset where they have something unread.
    let ended = target.tally.ended(end) + target.tally.ended("reset");
    row.require_count(&format!("server: {end}, or reset"), ended, connections);
    let report = live.ask("end");
    row.honest(report.get("asked"), report.get("answered"), report.get("lost"));
    drop(live);
    row.left(&gauges.left());
}

fn claimed(kind: &str, connections: u64) -> u64 {
    connections
        * match kind {
            "record" => 1 << 20,
            "first-message" => 4_092,
            _ => 32_764,
        }
}
