//! Handshakes that bring a byte now and then, beside pings over connections that are there. Periods of peace and of attack take turns, so
//! that what else the machine does falls on both. The times of pings are printed. In a full run they also decide, as a ratio and with much
//! room: the one place here where times do, since this is about time.

use std::time::Duration;

use serde_json::Value;

use crate::row::Row;
use crate::scale::Scale;
use crate::service;
use crate::tally::{CLOSED, TIMED_OUT};
use crate::target::Target;

/// The most that the attack may stretch the 99th percentile of pings, in a full run.
const MOST_STRETCH: f64 = 5.0;

pub(crate) fn run(row: &mut Row, scale: Scale) {
    let count = scale.of(300, 5_000);
    let target = Target::start(
        |settings, limits| {
            limits.half_open = count + 100;
            settings.handshake_timeout = Duration::from_secs(scale.of(2, 10));
            settings.first_bytes_timeout = settings.handshake_timeout / 2;
        },
        service::echo,
    );
    target.warm_up();
    let deadline = target.acceptor.settings().handshake_timeout;
    let peace = deadline / 2;
    let period = (deadline / 10).as_millis().to_string();
    let mut attacker = target.helper("loris", &[&period]);
    // For what is filled once.
    attacker.tell("attack 100");
    attacker.report();
    attacker.report();
    crate::gauges::wait_until(|| target.half_open() == 0);
    drop(attacker);

    let gauges = target.gauges();
    let mut live = target.helper("live", &["8"]);
    crate::gauges::wait_until(|| gauges.tasks() == 8);
    // With those of `live` that came too late on a busy machine.
    target.tally.clear();
    let mut attacker = target.helper("loris", &[&period]);
    let (mut connections, mut bytes, mut told, mut most) = (0, 0, 0, 0);
    for _ in 0..scale.of(1, 3) {
        live.tell("phase peace");
        std::thread::sleep(peace);
        live.tell("phase arriving");
        attacker.tell(&format!("attack {count}"));
        attacker.report();
        live.tell("phase dribbling");
        most = most.max(target.half_open());
        std::thread::sleep(deadline / 4);
        live.tell("phase leaving");
        let report = attacker.report();
        connections += report.get("connections");
        bytes += report.get("bytes");
        told += report.get("told");
    }
    live.tell("phase peace");
    std::thread::sleep(peace);
    let report = live.ask("end");
    row.thrown(connections, bytes, connections);
    row.honest(report.get("asked"), report.get("answered"), report.get("lost"));
    row.note("handshakes under way when all had come", most);
    target.wait_until_ended(connections + 8);
    row.require_count("server: timed out", target.tally.ended(TIMED_OUT), connections);
    row.require_count("told so by an alert", told, connections);
    row.require_count("live connections closed", target.tally.ended(CLOSED), 8);
    times(row, report.value(), scale);
    drop((live, attacker));
    row.left(&gauges.left());
}

fn times(row: &mut Row, report: &Value, scale: Scale) {
    let phases = &report["phases"];
    for phase in ["peace", "arriving", "dribbling", "leaving"] {
        let figures = &phases[phase];
        let of = |name: &str| figures[name].as_u64().unwrap_or(0);
        row.note(
            &format!("pings, {phase}"),
            format_args!(
                "{} of them, p50 {} us, p99 {} us, p99.9 {} us, most {} us",
                of("count"),
                of("p50"),
                of("p99"),
                of("p999"),
                of("max")
            ),
        );
    }
    let p99 = |phase: &str| phases[phase]["p99"].as_f64().unwrap_or(0.0);
    let ratio = p99("dribbling") / p99("peace").max(1.0);
    row.note("p99 beside dribbling handshakes, over that in peace", format_args!("{ratio:.2}"));
    if scale.is_full() {
        row.require(ratio <= MOST_STRETCH, || format!("p99 of pings grows by {ratio:.2}"));
    }
}
