//! Valid first messages, each of which costs the server a key exchange and a signature before its sender has proved anything. Honest
//! clients from another source come meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use alts::connect::Settings;
use alts::handshaker::LimitOptions;

use crate::double::Double;
use crate::identities::{self, Identities};
use crate::row::Row;
use crate::scale::Scale;
use crate::service;
use crate::tally::{OVERLOADED, Tally};
use crate::target::{self, Target};

/// Sources and connections at a time from each; how many honest clients come.
struct Flood {
    sources: usize,
    each: usize,
    honest: usize,
}

/// More connections than one source may have places.
pub(crate) fn one_source(row: &mut Row, scale: Scale) {
    let flood = Flood { sources: 1, each: 400, honest: scale.of(100, 2_000) };
    let most = LimitOptions::default().half_open_per_source + HONEST_AT_A_TIME;
    answered(row, &flood, |_, limits| limits.half_open_per_source = 64, most);
}

/// As many as there are places, from sources that each stay within their limits.
pub(crate) fn many_sources(row: &mut Row, scale: Scale) {
    let flood = Flood { sources: scale.of(20, 60), each: 16, honest: scale.of(100, 2_000) };
    // A connection that was reset keeps its place until the server comes to it; its successor is there already.
    let most = LimitOptions::default().half_open;
    answered(row, &flood, |_, limits| limits.half_open_per_source = 64, most);
}

/// With a limit of so many handshakes per second from one source. It holds for the source of the honest clients too.
pub(crate) fn over_the_rate(row: &mut Row, scale: Scale) {
    let flood = Flood { sources: 1, each: 50, honest: scale.of(50, 500) };
    let rate = |_: &mut Settings, limits: &mut LimitOptions| {
        limits.half_open_per_source = 64;
        limits.rate_per_source = std::num::NonZeroU32::new(1_000);
    };
    let most = LimitOptions::default().half_open_per_source + HONEST_AT_A_TIME;
    answered(row, &flood, rate, most);
}

const HONEST_AT_A_TIME: usize = 16;

fn answered(
    row: &mut Row,
    flood: &Flood,
    change: impl FnOnce(&mut Settings, &mut LimitOptions),
    most_half_open: usize,
) {
    let (target, crypto) = counted(change);
    let words = [flood.sources.to_string(), flood.each.to_string()];
    let words = words.each_ref().map(String::as_str);
    target.warm_up();
    let mut attacker = target.helper("flood", &words);
    // Tables grow to the number of sources once.
    attacker.tell("answered");
    crate::gauges::wait_until(|| Tally::get(&target.tally.accepted) > 1_000);
    attacker.ask("stop");
    drop(attacker);
    crate::gauges::wait_until(|| {
        Tally::get(&target.tally.ended) == Tally::get(&target.tally.accepted)
    });
    target.tally.clear();
    crypto.clear();

    let gauges = target.gauges();
    let most = MostHalfOpen::watch(&target);
    let mut attacker = target.helper("flood", &words);
    let mut visitors = target.helper("visitors", &[]);
    attacker.tell("answered");
    crate::gauges::wait_until(|| Tally::get(&target.tally.accepted) > 1_000);
    let honest = visitors.ask(&format!("visit {} {HONEST_AT_A_TIME}", flood.honest));
    let report = attacker.ask("stop");
    let connections = report.get("connections");
    row.thrown(connections, report.get("bytes"), connections);
    row.honest(honest.get("asked"), honest.get("answered"), honest.get("lost"));
    row.note("honest attempts refused, and made again", honest.get("overloaded"));
    row.note("flood: answered with a handshake", report.get("answered"));
    row.note("flood: refused as too much", report.get("refused"));
    row.note("flood: closed without sending anything", report.get("ended"));
    drop((attacker, visitors));
    let left = gauges.left();
    row.require_at_most("handshakes under way, at most", most.end(), most_half_open as u64);
    row.require_at_most("computing at a time", crypto.most(), crypto_limit(&target));
    row.note("server", target.tally.ends());
    let secured = Tally::get(&target.tally.secured);
    row.require_count("secured", secured, honest.get("answered"));
    row.left(&left);
}

/// Sources enough to take all places and keep them as long as they may. Honest clients are refused until those run out of time, and come
/// again.
pub(crate) fn all_places_held(row: &mut Row, scale: Scale) {
    let (sources, each) = (24_usize, 64);
    let (target, crypto) = counted(|settings, limits| {
        (limits.half_open_per_source, limits.queue) = (64, 256);
        settings.handshake_timeout = std::time::Duration::from_secs(scale.of(3, 10));
        settings.first_bytes_timeout = settings.handshake_timeout / 2;
    });
    target.warm_up();
    let words = [sources.to_string(), each.to_string()];
    let words = words.each_ref().map(String::as_str);
    target.helper("flood", &words).ask("hold");
    crate::gauges::wait_until(|| {
        Tally::get(&target.tally.ended) == Tally::get(&target.tally.accepted)
    });
    target.tally.clear();
    crypto.clear();

    let gauges = target.gauges();
    let most = MostHalfOpen::watch(&target);
    let limit = target.acceptor.settings().limits.options().half_open;
    let mut live = target.helper("live", &["4"]);
    live.tell("phase beside");
    let mut visitors = target.helper("visitors", &[]);
    let mut attacker = target.helper("flood", &words);
    attacker.tell("hold");
    // Places are taken, the queue is full, and the rest has been refused.
    let all = (sources * each + 4) as u64;
    crate::gauges::wait_until(|| Tally::get(&target.tally.accepted) == all);
    let honest = visitors.ask("visit 50 10");
    let report = attacker.report();
    let pings = live.ask("end");
    let connections = report.get("connections");
    row.thrown(connections, report.get("bytes"), connections);
    row.honest(
        honest.get("asked") + pings.get("asked"),
        honest.get("answered") + pings.get("answered"),
        honest.get("lost") + pings.get("lost"),
    );
    row.note("honest attempts refused, and made again", honest.get("overloaded"));
    row.note("honest attempts late, and made again", honest.get("late"));
    row.note("flood: answered with a handshake, and held", report.get("answered"));
    row.note("flood: refused as too much", report.get("refused"));
    row.note("flood: ended in the queue", report.get("ended"));
    drop((attacker, visitors, live));
    let left = gauges.left();
    row.require_at_most("handshakes under way, at most", most.end(), limit as u64);
    row.require_at_most("computing at a time", crypto.most(), crypto_limit(&target));
    row.note("server", target.tally.ends());
    row.require_at_least("server: refused", target.tally.ended(OVERLOADED), 1);
    row.left(&left);
}

/// One source with more connections than may wait at all, which keep what they have as long as they may. Clients of another source are
/// served meanwhile, and none of them is refused: what one source waits for takes nothing from others.
pub(crate) fn a_queue_of_one_source(row: &mut Row, scale: Scale) {
    let target = Target::start(
        |_, limits| {
            (limits.half_open, limits.half_open_per_source) = (128, 64);
            limits.queue = scale.of(100, 1_000);
        },
        service::echo,
    );
    target.warm_up();
    let bounds = target.acceptor.settings().limits.options().clone();
    let count = (bounds.half_open_per_source + 2 * bounds.queue) as u64;
    let gauges = target.gauges();
    let mut attacker = target.helper("flood", &["1", &count.to_string()]);
    attacker.tell("hold");
    // All have come and spoken; those for whom there is no room in the queue have been refused.
    let held = (bounds.half_open_per_source + bounds.queue) as u64;
    crate::gauges::wait_until(|| target.tally.ended(OVERLOADED) == count - held);
    let mut visitors = target.helper("visitors", &[]);
    let honest = visitors.ask(&format!("visit {} 16", scale.of(100, 1_000)));
    row.thrown(count, 0, count);
    row.honest(honest.get("asked"), honest.get("answered"), honest.get("lost"));
    row.require_count("honest attempts refused", honest.get("overloaded"), 0);
    row.require_at_least("flood: refused", target.tally.ended(OVERLOADED), bounds.queue as u64);
    drop((attacker, visitors));
    crate::gauges::wait_until(|| {
        Tally::get(&target.tally.ended) == Tally::get(&target.tally.accepted)
    });
    row.left(&gauges.left());
}

fn counted(change: impl FnOnce(&mut Settings, &mut LimitOptions)) -> (Target, Arc<Computing>) {
    let identities = Identities::new();
    let computing = Arc::<Computing>::default();
    let inner = identities::server(identities.path());
    let counting = Arc::clone(&computing);
    let handshaker = Double::around(inner, move |step| {
        let others = counting.now.fetch_add(1, Ordering::AcqRel);
        counting.most.fetch_max(others + 1, Ordering::Relaxed);
        let stepped = step();
        counting.now.fetch_sub(1, Ordering::AcqRel);
        stepped
    });
    let target = Target::launch(identities, handshaker, change, |listener, acceptor, tally| {
        target::accept(listener, acceptor, tally, service::echo)
    });
    (target, computing)
}

fn crypto_limit(target: &Target) -> u64 {
    target.acceptor.settings().limits.options().crypto as u64
}

/// How many sessions compute at a time.
#[derive(Debug, Default)]
struct Computing {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Computing {
    fn most(&self) -> u64 {
        self.most.load(Ordering::Relaxed) as u64
    }

    fn clear(&self) {
        self.most.store(0, Ordering::Relaxed);
    }
}

/// A thread that looks at how many handshakes are under way, every millisecond.
struct MostHalfOpen {
    ended: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<usize>,
}

impl MostHalfOpen {
    fn watch(target: &Target) -> Self {
        let ended = Arc::new(AtomicBool::new(false));
        let limits = target.acceptor.settings().limits.clone();
        let end = Arc::clone(&ended);
        let thread = std::thread::spawn(move || {
            let mut most = 0;
            while !end.load(Ordering::Relaxed) {
                most = most.max(limits.half_open());
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            most
        });
        Self { ended, thread }
    }

    fn end(self) -> u64 {
        self.ended.store(true, Ordering::Relaxed);
        self.thread.join().expect("it only looks") as u64
    }
}
