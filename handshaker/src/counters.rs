//! Counts of handshakes, for whoever asks.

use std::collections::BTreeMap;
use std::iter;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::role::Role;

/// The first bound of [`Durations`], less than which no handshake takes. Each of the others is twice the one before.
const FIRST_BOUND: Duration = Duration::from_micros(500);
/// With so many bounds the last is 16 s, beyond the usual timeout of a handshake.
const BOUNDS: usize = 16;

/// Counts handshakes: how many succeeded, how long they took, and why others failed.
///
/// A lock is taken at the begin and at the end of each handshake, which costs nothing beside it.
#[derive(Debug, Default)]
pub struct HandshakeCounters(Mutex<HandshakeStats>);

/// What [`HandshakeCounters`] have counted up to one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandshakeStats {
    /// Handshakes in progress.
    pub in_flight: u64,
    /// Those of clients.
    pub client: RoleStats,
    /// Those of servers.
    pub server: RoleStats,
    /// Those that ended before a role was stated, as a `HandshakerService` may see them.
    pub unstated: RoleStats,
}

/// The handshakes in one role.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RoleStats {
    /// Those that succeeded.
    pub succeeded: u64,
    /// Those that failed, by the reason.
    pub failed: BTreeMap<&'static str, u64>,
    /// How long those took that succeeded.
    pub durations: Durations,
}

/// A histogram of durations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    sum: Duration,
    /// For each bound, and the last for what is beyond all.
    counts: [u64; BOUNDS + 1],
}

impl HandshakeCounters {
    /// Nothing is counted yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A handshake has begun.
    pub fn started(&self) {
        self.with(|stats| stats.in_flight += 1);
    }

    /// A handshake has ended, after so long: with success, or for a reason, one of a fixed set of words.
    pub fn finished(
        &self,
        role: Option<Role>,
        outcome: Result<(), &'static str>,
        elapsed: Duration,
    ) {
        self.with(|stats| {
            stats.in_flight = stats.in_flight.saturating_sub(1);
            let role = match role {
                Some(Role::Client) => &mut stats.client,
                Some(Role::Server) => &mut stats.server,
                None => &mut stats.unstated,
            };
            match outcome {
                Ok(()) => {
                    role.succeeded += 1;
                    role.durations.add(elapsed);
                }
                Err(reason) => *role.failed.entry(reason).or_default() += 1,
            }
        });
    }

    /// What was counted so far.
    pub fn stats(&self) -> HandshakeStats {
        self.with(|stats| stats.clone())
    }

    fn with<T>(&self, work: impl FnOnce(&mut HandshakeStats) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A `HandshakerService` tells them of the handshakes that it does for others.
#[cfg(feature = "service")]
impl crate::service::Observer for HandshakeCounters {
    fn started(&self) {
        self.started();
    }

    fn finished(&self, handshake: &crate::service::Finished) {
        self.finished(handshake.role, handshake.outcome, handshake.elapsed);
    }
}

impl HandshakeStats {
    /// The handshakes by role, each with its name.
    pub fn by_role(&self) -> [(&'static str, &RoleStats); 3] {
        [("client", &self.client), ("server", &self.server), ("none", &self.unstated)]
    }
}

impl Durations {
    fn add(&mut self, duration: Duration) {
        self.sum = self.sum.saturating_add(duration);
        let bucket = bounds().position(|bound| duration <= bound).unwrap_or(BOUNDS);
        self.counts[bucket] += 1;
    }

    /// The sum of all.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Upper bounds, from half a millisecond to 16 s, each with how many are at most as long and longer than the bound before. What is
    /// longer than all of them comes last, without a bound.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> {
        bounds().map(Some).chain(iter::once(None)).zip(self.counts)
    }
}

fn bounds() -> impl Iterator<Item = Duration> {
    iter::successors(Some(FIRST_BOUND), |bound| Some(*bound * 2)).take(BOUNDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_in_the_bucket_whose_bound_it_does_not_exceed() {
        let mut durations = Durations::default();
        let last = bounds().last().expect("there are bounds");
        for duration in [Duration::ZERO, FIRST_BOUND, FIRST_BOUND + Duration::from_nanos(1), last] {
            durations.add(duration);
        }
        durations.add(last + Duration::from_nanos(1));
        let counts: Vec<_> = durations.buckets().map(|(_, count)| count).collect();
        assert_eq!(counts[..3], [2, 1, 0]);
        assert_eq!(counts[BOUNDS - 1..], [1, 1]);
        assert_eq!((durations.count(), counts.len()), (5, BOUNDS + 1));
        assert_eq!(durations.sum(), FIRST_BOUND * 2 + last * 2 + Duration::from_nanos(2));
    }

    #[test]
    fn each_role_has_its_own_counts() {
        let counters = HandshakeCounters::new();
        for _ in 0..4 {
            counters.started();
        }
        counters.finished(Some(Role::Client), Ok(()), Duration::from_millis(3));
        counters.finished(Some(Role::Server), Err("timeout"), Duration::from_secs(10));
        counters.finished(None, Err("overloaded"), Duration::ZERO);
        let stats = counters.stats();
        assert_eq!(stats.in_flight, 1);
        assert_eq!((stats.client.succeeded, stats.client.durations.count()), (1, 1));
        assert!(stats.client.failed.is_empty());
        assert_eq!((stats.server.succeeded, stats.server.durations.count()), (0, 0));
        assert_eq!(stats.server.failed, BTreeMap::from([("timeout", 1)]));
        assert_eq!(stats.unstated.failed, BTreeMap::from([("overloaded", 1)]));
    }
}
