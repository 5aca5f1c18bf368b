//! What strangers may make this side do at the same time.
//!
//! A first message of some 150 bytes costs a server tens of microseconds before its sender has proved anything, and a silent
//! peer costs a connection's memory for as long as it is waited for. So handshakes that are not finished yet are counted, over
//! all and for each source address, and only some of the processor's cores work on them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::error::{AlertCode, Error};

/// Settings of [`HandshakeLimits`].
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct LimitOptions {
    /// Unfinished handshakes at a time. Default 1,024: each holds some KiB.
    pub half_open: usize,
    /// Unfinished handshakes at a time from one source: an IPv4 address, or a /64 of IPv6. Default 64, so that one source
    /// cannot take all of `half_open`.
    pub half_open_per_source: usize,
    /// Handshakes that may wait for a place. Default 256; one more is refused with the alert `overloaded`.
    pub queue: usize,
    /// Handshakes that may use a core at a time. Default half of the cores, at least one, so that a flood of first messages
    /// leaves the others to established connections.
    pub crypto: usize,
    /// New handshakes per second from one source, and as many at once. Default `None`: no limit.
    pub rate_per_source: Option<f64>,
}

impl Default for LimitOptions {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, Into::into);
        Self {
            half_open: 1_024,
            half_open_per_source: 64,
            queue: 256,
            crypto: (cores / 2).max(1),
            rate_per_source: None,
        }
    }
}

/// Sources whose rate is remembered. The memory is bounded; when it is full the sources that have been quiet go first.
const MAX_RATED_SOURCES: usize = 16 << 10;

/// Limits that all clones share: give one to every acceptor of a process.
#[derive(Clone, Debug)]
pub struct HandshakeLimits(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    options: LimitOptions,
    half_open: Arc<Semaphore>,
    crypto: Semaphore,
    queued: AtomicUsize,
    sources: Mutex<Sources>,
}

#[derive(Debug, Default)]
struct Sources {
    half_open: HashMap<IpAddr, Arc<Semaphore>>,
    rates: HashMap<IpAddr, Bucket>,
}

/// A token bucket.
#[derive(Debug)]
struct Bucket {
    tokens: f64,
    filled: Instant,
}

/// The place of one unfinished handshake. Dropping it makes room.
#[derive(Debug)]
pub struct HalfOpen {
    limits: HandshakeLimits,
    source: Option<IpAddr>,
    _place: OwnedSemaphorePermit,
    source_place: Option<OwnedSemaphorePermit>,
}

/// The right to use a core, until it is dropped.
#[derive(Debug)]
pub struct CorePermit<'limits>(
    #[expect(dead_code, reason = "held for its drop")] Option<SemaphorePermit<'limits>>,
);

/// What a semaphore takes of a setting.
fn permits(count: usize) -> usize {
    count.clamp(1, Semaphore::MAX_PERMITS)
}

impl Default for HandshakeLimits {
    fn default() -> Self {
        Self::new(LimitOptions::default())
    }
}

impl HandshakeLimits {
    /// Limits with these settings; a number of 0 counts as 1.
    pub fn new(options: LimitOptions) -> Self {
        Self(Arc::new(Shared {
            half_open: Arc::new(Semaphore::new(permits(options.half_open))),
            crypto: Semaphore::new(permits(options.crypto)),
            queued: AtomicUsize::new(0),
            sources: Mutex::default(),
            options,
        }))
    }

    /// The settings.
    pub fn options(&self) -> &LimitOptions {
        &self.0.options
    }

    /// Handshakes under way.
    pub fn half_open(&self) -> usize {
        permits(self.0.options.half_open) - self.0.half_open.available_permits()
    }

    /// Waits for a place for a handshake with `source`; `None` is not limited by source. The caller's deadline ends the wait.
    ///
    /// # Errors
    /// [`Error::Limit`] with [`AlertCode::Overloaded`] when the queue is full or the source's rate is exceeded.
    pub async fn enter(&self, source: Option<IpAddr>) -> Result<HalfOpen, Error> {
        let source = source.map(prefix);
        let per_source = match source {
            Some(source) => {
                let mut sources = self.0.sources.lock().unwrap_or_else(PoisonError::into_inner);
                if !self.within_rate(&mut sources, source, Instant::now()) {
                    return Err(overloaded("too many handshakes per second from this source"));
                }
                let places = permits(self.0.options.half_open_per_source);
                let of_source = sources
                    .half_open
                    .entry(source)
                    .or_insert_with(|| Arc::new(Semaphore::new(places)));
                Some(Arc::clone(of_source))
            }
            None => None,
        };
        // From here on the source's entry is looked after by this guard, whether or not a place is found.
        let mut guard = SourceGuard { limits: self, source };
        let source_place = match per_source {
            Some(places) => Some(self.place_in(places).await?),
            None => None,
        };
        let place = self.place_in(Arc::clone(&self.0.half_open)).await?;
        let source = guard.source.take();
        Ok(HalfOpen { limits: self.clone(), source, _place: place, source_place })
    }

    /// Waits for the right to use a core.
    pub async fn crypto(&self) -> CorePermit<'_> {
        // Only a closed semaphore gives none, and this one is never closed.
        CorePermit(self.0.crypto.acquire().await.ok())
    }

    async fn place_in(&self, places: Arc<Semaphore>) -> Result<OwnedSemaphorePermit, Error> {
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            return Ok(place);
        }
        let _queued = Queued::enter(self)?;
        Ok(places.acquire_owned().await.expect("the semaphore is never closed"))
    }

    fn within_rate(&self, sources: &mut Sources, source: IpAddr, now: Instant) -> bool {
        let Some(rate) = self.0.options.rate_per_source else { return true };
        let burst = rate.max(1.0);
        if sources.rates.len() >= MAX_RATED_SOURCES && !sources.rates.contains_key(&source) {
            // A bucket that is full again says nothing. If none is, the oldest knowledge goes.
            let quiet = Duration::from_secs_f64((burst / rate.max(f64::MIN_POSITIVE)).min(3600.0));
            sources.rates.retain(|_, bucket| now.duration_since(bucket.filled) < quiet);
            if sources.rates.len() >= MAX_RATED_SOURCES {
                sources.rates.clear();
            }
        }
        let bucket = sources.rates.entry(source).or_insert(Bucket { tokens: burst, filled: now });
        let gained = now.duration_since(bucket.filled).as_secs_f64() * rate;
        bucket.tokens = (bucket.tokens + gained).min(burst);
        bucket.filled = now;
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }

    /// Forgets the source if nothing of it is under way.
    fn leave(&self, source: IpAddr) {
        let mut sources = self.0.sources.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever waits or works holds a reference beside the map's.
        if sources.half_open.get(&source).is_some_and(|places| Arc::strong_count(places) == 1) {
            sources.half_open.remove(&source);
        }
    }
}

impl Drop for HalfOpen {
    fn drop(&mut self) {
        drop(self.source_place.take());
        if let Some(source) = self.source {
            self.limits.leave(source);
        }
    }
}

/// Cleans up after a handshake that gets no place.
struct SourceGuard<'limits> {
    limits: &'limits HandshakeLimits,
    source: Option<IpAddr>,
}

impl Drop for SourceGuard<'_> {
    fn drop(&mut self) {
        if let Some(source) = self.source {
            self.limits.leave(source);
        }
    }
}

/// One that waits in the queue.
struct Queued<'limits>(&'limits HandshakeLimits);

impl<'limits> Queued<'limits> {
    fn enter(limits: &'limits HandshakeLimits) -> Result<Self, Error> {
        let entered =
            limits.0.queued.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |queued| {
                (queued < limits.0.options.queue).then_some(queued + 1)
            });
        match entered {
            Ok(_) => Ok(Self(limits)),
            Err(_) => Err(overloaded("the queue for handshakes is full")),
        }
    }
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        self.0.0.queued.fetch_sub(1, Ordering::Relaxed);
    }
}

fn overloaded(detail: &'static str) -> Error {
    Error::Limit { code: AlertCode::Overloaded, detail: detail.into() }
}

/// What counts as one source: an IPv4 address, also when it is written as IPv6, or a /64, which one host can fill at will.
fn prefix(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    /// Polls once.
    fn poll<T>(future: impl Future<Output = T>) -> Poll<T> {
        pin!(future).poll(&mut Context::from_waker(Waker::noop()))
    }

    fn enter(limits: &HandshakeLimits, source: &str) -> Poll<Result<HalfOpen, Error>> {
        poll(limits.enter(Some(source.parse().unwrap())))
    }

    fn admitted(entered: Poll<Result<HalfOpen, Error>>) -> HalfOpen {
        match entered {
            Poll::Ready(Ok(place)) => place,
            other => panic!("not admitted: {other:?}"),
        }
    }

    fn limits(change: impl FnOnce(&mut LimitOptions)) -> HandshakeLimits {
        let mut options = LimitOptions::default();
        change(&mut options);
        HandshakeLimits::new(options)
    }

    #[test]
    fn one_source_cannot_take_every_place() {
        let limits = limits(|options| options.half_open_per_source = 2);
        let _first = admitted(enter(&limits, "192.0.2.1"));
        let second = admitted(enter(&limits, "::ffff:192.0.2.1"));
        assert!(enter(&limits, "192.0.2.1").is_pending());
        let _other = admitted(enter(&limits, "192.0.2.2"));
        drop(second);
        let _third = admitted(enter(&limits, "192.0.2.1"));
        assert_eq!(limits.half_open(), 3);
    }

    #[test]
    fn a_prefix_of_64_bits_is_one_source() {
        let limits = limits(|options| options.half_open_per_source = 1);
        let _one = admitted(enter(&limits, "2001:db8::1"));
        assert!(enter(&limits, "2001:db8::2:3").is_pending());
        let _other = admitted(enter(&limits, "2001:db8:0:1::1"));
    }

    #[test]
    fn the_queue_is_bounded_and_moves_on() {
        let limits = limits(|options| {
            options.half_open = 1;
            options.queue = 1;
        });
        let first = admitted(poll(limits.enter(None)));
        let mut waiting = pin!(limits.enter(None));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(waiting.as_mut().poll(&mut cx).is_pending());
        match poll(limits.enter(None)) {
            Poll::Ready(Err(Error::Limit { code: AlertCode::Overloaded, .. })) => {}
            other => panic!("{other:?}"),
        }
        drop(first);
        assert!(matches!(waiting.as_mut().poll(&mut cx), Poll::Ready(Ok(_))));
    }

    #[test]
    fn the_largest_and_the_smallest_settings_work() {
        for count in [0, usize::MAX] {
            let limits = limits(|options| {
                options.half_open = count;
                options.half_open_per_source = count;
                options.queue = count;
                options.crypto = count;
            });
            let place = admitted(enter(&limits, "192.0.2.1"));
            assert_eq!(limits.half_open(), 1);
            drop(place);
            assert_eq!(limits.half_open(), 0);
        }
    }

    #[test]
    fn nothing_is_remembered_of_sources_that_are_gone() {
        let limits = limits(|options| {
            options.half_open_per_source = 1;
            options.queue = 1;
        });
        let place = admitted(enter(&limits, "192.0.2.1"));
        assert!(enter(&limits, "192.0.2.1").is_pending());
        assert_eq!(limits.0.sources.lock().unwrap().half_open.len(), 1);
        drop(place);
        assert_eq!(limits.0.sources.lock().unwrap().half_open.len(), 0);
        assert_eq!(limits.0.queued.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_rate_lets_a_burst_through_and_then_refuses() {
        let limits = limits(|options| options.rate_per_source = Some(5.0));
        let start = Instant::now();
        let source = "192.0.2.1".parse().unwrap();
        let within = |after: Duration| {
            let mut sources = limits.0.sources.lock().unwrap();
            limits.within_rate(&mut sources, source, start + after)
        };
        for _ in 0..5 {
            assert!(within(Duration::ZERO));
        }
        assert!(!within(Duration::ZERO));
        assert!(!within(Duration::from_millis(100)));
        assert!(within(Duration::from_millis(300)));
        assert!(!within(Duration::from_millis(300)));
    }

    #[test]
    fn crypto_permits_are_few() {
        let limits = limits(|options| options.crypto = 1);
        let Poll::Ready(permit) = poll(limits.crypto()) else { panic!("no permit") };
        assert!(poll(poll_fn(|cx| pin!(limits.crypto()).poll(cx))).is_pending());
        drop(permit);
        assert!(poll(limits.crypto()).is_ready());
    }
}
