//! Pressure: for how long requests have waited without a pause, and which buffers wait for a peer meanwhile.

use std::collections::BTreeMap;
use std::task::Waker;
use std::time::{Duration, Instant};

use super::{AfterUnlock, State};

/// Requests wait "without a pause" if no more than this lies between two of them.
const GAP: Duration = Duration::from_secs(2);
/// How often the watch looks, unless a lease ends before.
const PERIOD: Duration = Duration::from_secs(1);
/// How long pressure lasts before it is reported, and how long until the next report.
const REPORT_AFTER: Duration = Duration::from_secs(5);
const REPORT_AGAIN: Duration = Duration::from_secs(60);

/// Requests that wait for a buffer, and holders of partial records that could free one.
#[derive(Default)]
pub(super) struct Want {
    /// A request was refused, and no buffer has come back since.
    pub(super) turned_away: bool,
    pub(super) pressure: Option<Pressure>,
    /// How long earlier stretches have lasted together.
    lasted: Duration,
    has_watch: bool,
    /// Buffers that wait for a peer, by number.
    leases: BTreeMap<u64, Lease>,
    last_lease: u64,
}

/// A stretch of time in which a request always waited.
#[derive(Clone, Copy)]
pub(super) struct Pressure {
    pub(super) since: Instant,
    /// When it was last seen.
    last: Instant,
    /// When it was last reported.
    reported: Option<Instant>,
}

impl Pressure {
    fn lasted(self) -> Duration {
        self.last.saturating_duration_since(self.since)
    }
}

/// A buffer that waits for a peer.
pub(super) struct Lease {
    /// Since when, without the time that its holder waited for memory itself.
    since: Instant,
    limit: Duration,
    /// To be woken when it is over.
    waker: Waker,
    woken: bool,
}

impl Lease {
    /// When it is over under this pressure; `None` is never.
    fn end(&self, pressure: Pressure) -> Option<Instant> {
        self.since.max(pressure.since).checked_add(self.limit)
    }
}

/// What the watch found.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::pool) enum Watch {
    /// No request waits any more. `true` if pressure had been reported.
    Relieved(bool),
    /// Look again after so much time.
    Again { after: Duration, report: Option<Report> },
}

/// Pressure that has lasted.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::pool) struct Report {
    pub(in crate::pool) lasted: Duration,
    pub(in crate::pool) waiting: usize,
    pub(in crate::pool) refused: u64,
    pub(in crate::pool) in_use_bytes: usize,
    pub(in crate::pool) cap_bytes: usize,
}

impl State {
    /// Notes that a request waits.
    pub(in crate::pool) fn press(&mut self, now: Instant, after: &mut AfterUnlock) {
        match &mut self.want.pressure {
            Some(pressure) => pressure.last = now,
            None => self.want.pressure = Some(Pressure { since: now, last: now, reported: None }),
        }
        if !self.want.has_watch && !self.closed {
            self.want.has_watch = true;
            after.start_watch = true;
        }
    }

    /// Notes that a request that cannot wait was refused. Until a buffer comes back it counts as waiting.
    pub(in crate::pool) fn refuse(&mut self, now: Instant, after: &mut AfterUnlock) {
        self.refused += 1;
        self.want.turned_away = true;
        self.press(now, after);
    }

    /// Whether a request waits, or has been refused and nothing came back since.
    pub(in crate::pool) fn is_pressed(&self) -> bool {
        self.want.turned_away || !self.nobody_waits()
    }

    /// Returns whether and when it has to be called again, and what to report. Wakes the holders of leases that are over.
    pub(in crate::pool) fn watch(&mut self, now: Instant, after: &mut AfterUnlock) -> Watch {
        let pressed = self.is_pressed();
        let Some(pressure) = &mut self.want.pressure else { return self.relieved(false) };
        if pressed {
            pressure.last = now;
        } else if self.closed || now.saturating_duration_since(pressure.last) > GAP {
            let reported = pressure.reported.is_some();
            return self.relieved(reported);
        }
        let lasted = now.saturating_duration_since(pressure.since);
        let due = match pressure.reported {
            Some(reported) => now.saturating_duration_since(reported) >= REPORT_AGAIN,
            None => lasted >= REPORT_AFTER,
        };
        if due && pressed {
            pressure.reported = Some(now);
        }
        let pressure = *pressure;
        let report = (due && pressed).then(|| Report {
            lasted,
            waiting: self.ordinary.len() + self.growing.len(),
            refused: self.refused,
            in_use_bytes: self.used.bytes,
            cap_bytes: self.cap,
        });
        let mut next = now + PERIOD;
        for lease in self.want.leases.values_mut().filter(|lease| !lease.woken) {
            match lease.end(pressure) {
                Some(end) if end > now => next = next.min(end),
                Some(_) if pressed => {
                    lease.woken = true;
                    after.wake.push(std::mem::replace(&mut lease.waker, Waker::noop().clone()));
                }
                _ => {}
            }
        }
        Watch::Again { after: next - now, report }
    }

    fn relieved(&mut self, reported: bool) -> Watch {
        if let Some(pressure) = self.want.pressure.take() {
            self.want.lasted += pressure.lasted();
        }
        self.want.has_watch = false;
        Watch::Relieved(reported)
    }

    /// For how long requests have waited in all, as far as the watch has seen it, which looks once a second.
    pub(super) fn pressed(&self) -> Duration {
        self.want.lasted + self.want.pressure.map_or(Duration::ZERO, Pressure::lasted)
    }

    /// The watch could not be started.
    pub(in crate::pool) fn watch_ended(&mut self) {
        self.want.has_watch = false;
    }

    pub(in crate::pool) fn has_watch(&self) -> bool {
        self.want.has_watch
    }

    /// Notes that a buffer has waited for a peer since then. Returns the number of the lease.
    pub(in crate::pool) fn begin_lease(
        &mut self,
        since: Instant,
        limit: Duration,
        waker: Waker,
    ) -> u64 {
        self.want.last_lease += 1;
        self.want.leases.insert(self.want.last_lease, Lease { since, limit, waker, woken: false });
        self.want.last_lease
    }

    /// Exchanges `waker` for the stored one, and returns whether the lease is over: both it and the pressure have lasted for
    /// its limit.
    pub(in crate::pool) fn check_lease(
        &mut self,
        id: u64,
        now: Instant,
        waker: &mut Waker,
    ) -> bool {
        let pressure = self.want.pressure.filter(|_| self.is_pressed());
        let Some(lease) = self.want.leases.get_mut(&id) else { return false };
        std::mem::swap(&mut lease.waker, waker);
        lease.woken = false;
        pressure.and_then(|pressure| lease.end(pressure)).is_some_and(|end| end <= now)
    }

    /// The waker is returned so that it is dropped outside the lock.
    pub(in crate::pool) fn end_lease(&mut self, id: u64) -> Option<Waker> {
        self.want.leases.remove(&id).map(|lease| lease.waker)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;
    use crate::pool::class::Class;
    use crate::pool::config::Retention;
    use crate::pool::state::Line;

    const SECOND: Duration = Duration::from_secs(1);

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A pool of one small buffer, which is out; somebody waits from the first second on.
    struct Pressed {
        state: State,
        start: Instant,
        waiting: u64,
    }

    impl Pressed {
        fn new() -> Self {
            let class = Class::fitting(1).unwrap();
            let mut state = State::new(class.capacity(), Retention::NeverKeep);
            let mut after = AfterUnlock::default();
            let _out = state.claim_at_once(class, Line::Ordinary, &mut after).unwrap();
            let start = Instant::now();
            let waiting = state.join(Line::Ordinary, class, Waker::noop().clone());
            state.press(start + SECOND, &mut after);
            assert!(after.start_watch);
            Self { state, start, waiting }
        }

        /// What the watch finds after so many seconds, and how many it wakes.
        fn watch(&mut self, seconds: u32) -> (Watch, usize) {
            let mut after = AfterUnlock::default();
            let watch = self.state.watch(self.start + seconds * SECOND, &mut after);
            let woken = after.wake.len();
            after.wake.into_iter().for_each(Waker::wake);
            (watch, woken)
        }

        fn lease(&mut self, since: u32, limit: Duration) -> (u64, Arc<Wakes>) {
            let wakes = Arc::new(Wakes::default());
            let since = self.start + since * SECOND;
            (self.state.begin_lease(since, limit, wakes.clone().into()), wakes)
        }

        fn is_over(&mut self, id: u64, seconds: u32) -> bool {
            let now = self.start + seconds * SECOND;
            self.state.check_lease(id, now, &mut Waker::noop().clone())
        }

        fn give_up(&mut self) {
            self.state.leave(Line::Ordinary, self.waiting, &mut AfterUnlock::default());
        }
    }

    fn again(after: Duration) -> Watch {
        Watch::Again { after, report: None }
    }

    #[test]
    fn a_lease_is_over_when_both_it_and_the_pressure_have_lasted_for_its_limit() {
        let mut pressed = Pressed::new();
        let (old, old_wakes) = pressed.lease(0, 10 * SECOND);
        let (young, young_wakes) = pressed.lease(4, 10 * SECOND);
        let (endless, _) = pressed.lease(0, Duration::MAX);
        assert_eq!(pressed.watch(2), (again(SECOND), 0));
        assert_eq!(pressed.watch(10).1, 0, "the pressure is younger than the lease");
        assert_eq!(pressed.watch(11).1, 1);
        assert_eq!(pressed.watch(12).1, 0, "once is enough");
        assert_eq!(old_wakes.0.load(Ordering::Relaxed), 1);
        assert!(pressed.is_over(old, 11) && !pressed.is_over(old, 10));
        assert!(pressed.is_over(old, 13) && !pressed.is_over(young, 13));
        assert!(pressed.is_over(young, 14));
        assert!(!pressed.is_over(endless, u32::MAX / 2));
        assert_eq!(young_wakes.0.load(Ordering::Relaxed), 0);
        pressed.give_up();
        assert!(!pressed.is_over(old, 20), "nobody wants it any more");
    }

    #[test]
    fn the_watch_looks_when_a_lease_ends_and_leaves_when_nobody_waits() {
        let mut pressed = Pressed::new();
        pressed.lease(0, 2 * SECOND + SECOND / 2);
        assert_eq!(pressed.watch(3), (again(SECOND / 2), 0));
        assert_eq!(pressed.state.stats().pressed, 2 * SECOND);
        pressed.give_up();
        assert_eq!(pressed.watch(4), (again(SECOND), 0), "it may come back");
        assert_eq!(pressed.watch(5), (again(SECOND), 0));
        assert_eq!(pressed.watch(6), (Watch::Relieved(false), 0));
        assert_eq!(pressed.state.stats().pressed, 2 * SECOND, "nobody has waited since");
        let mut after = AfterUnlock::default();
        pressed.state.refuse(pressed.start + 7 * SECOND, &mut after);
        assert!(after.start_watch, "another watch");
        assert_eq!(pressed.state.stats().refused, 1);
        pressed.watch(8);
        assert_eq!(pressed.state.stats().pressed, 3 * SECOND);
    }

    #[test]
    fn lasting_pressure_is_reported_once_a_minute() {
        let mut pressed = Pressed::new();
        let mut reports = Vec::new();
        for seconds in 1..=130 {
            match pressed.watch(seconds).0 {
                Watch::Again { report: Some(report), .. } => reports.push((seconds, report)),
                watch => assert_eq!(watch, again(SECOND)),
            }
        }
        assert_eq!(reports.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [6, 66, 126]);
        let (_, Report { lasted, waiting, in_use_bytes, cap_bytes, .. }) = reports[1];
        assert_eq!((lasted, waiting), (65 * SECOND, 1));
        assert_eq!((in_use_bytes, cap_bytes), (4608, 4608));
        pressed.give_up();
        pressed.watch(131);
        assert_eq!(pressed.watch(140).0, Watch::Relieved(true));
    }
}
