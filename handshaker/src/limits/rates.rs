//! How many handshakes each source may begin per second.

use std::collections::HashMap;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// Sources whose rate is remembered: some 64 bytes each. When there are more, those that have been quiet are forgotten first.
const MAX_SOURCES: usize = 16 << 10;

/// Forgetting all of them takes as long as filling one bucket.
const QUIET: Duration = Duration::from_secs(1);

/// A token bucket for each source.
#[derive(Debug)]
pub(super) struct Rates {
    per_second: f64,
    buckets: HashMap<IpAddr, Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Rates {
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        Self { per_second: per_second.get().into(), buckets: HashMap::new() }
    }

    /// Whether one more handshake of `source` is within its rate, which it then counts towards.
    pub(super) fn admit(&mut self, source: IpAddr, now: Instant) -> bool {
        if self.buckets.len() >= MAX_SOURCES && !self.buckets.contains_key(&source) {
            // After a second every bucket is full again and says nothing. If all are newer, what is known is lost.
            self.buckets.retain(|_, bucket| now.duration_since(bucket.filled) < QUIET);
            if self.buckets.len() >= MAX_SOURCES {
                self.buckets.clear();
            }
        }
        let full = Bucket { tokens: self.per_second, filled: now };
        let bucket = self.buckets.entry(source).or_insert(full);
        let gained = now.duration_since(bucket.filled).as_secs_f64() * self.per_second;
        bucket.tokens = (bucket.tokens + gained).min(self.per_second);
        bucket.filled = now;
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn rates(per_second: u32) -> Rates {
        Rates::new(NonZeroU32::new(per_second).unwrap())
    }

    #[test]
    fn a_burst_and_then_so_many_per_second() {
        let mut rates = rates(5);
        let start = Instant::now();
        let source = "192.0.2.1".parse().unwrap();
        let mut within = |ms| rates.admit(source, start + Duration::from_millis(ms));
        for _ in 0..5 {
            assert!(within(0));
        }
        assert!(!within(0));
        assert!(!within(100));
        assert!(within(300));
        assert!(!within(300));
        // However long it was quiet, no more than a burst.
        for _ in 0..5 {
            assert!(within(3_600_000));
        }
        assert!(!within(3_600_000));
    }

    #[test]
    fn so_many_sources_are_remembered() {
        let mut rates = rates(1);
        let start = Instant::now();
        let source = |number: usize| IpAddr::from(Ipv4Addr::from_bits(number as u32));
        for number in 0..MAX_SOURCES {
            assert!(rates.admit(source(number), start));
        }
        // The quiet ones go.
        let later = start + QUIET / 2;
        assert!(!rates.admit(source(0), later));
        assert!(rates.admit(source(MAX_SOURCES), start + QUIET));
        assert_eq!(rates.buckets.len(), 2);
        // Where none is quiet, all do.
        for number in 0..MAX_SOURCES - 2 {
            rates.admit(source(2 * MAX_SOURCES + number), start + QUIET);
        }
        assert_eq!(rates.buckets.len(), MAX_SOURCES);
        assert!(rates.admit(source(MAX_SOURCES + 1), start + QUIET));
        assert_eq!(rates.buckets.len(), 1);
    }

    #[test]
    fn the_largest_rate_works() {
        let mut rates = rates(u32::MAX);
        let source = "192.0.2.1".parse().unwrap();
        assert!((0..100).all(|_| rates.admit(source, Instant::now())));
    }
}
