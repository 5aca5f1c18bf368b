//! Limits on unfinished handshakes, whose peers are unknown.
//!
//! A first message of some 150 bytes costs a server tens of microseconds before its sender has proved anything, and a silent
//! peer costs a socket for as long as it is waited for. So connections whose handshake is not finished are counted, over
//! all and for each source address, and only some of the processor's cores work on them.
//!
//! A connection that is accepted is silent first ([`HandshakeLimits::arrive`]), then it queues for a place
//! ([`Arrival::admitted`]), then it has one ([`HalfOpen`]) until its handshake is over. Where more come than there is room for, the
//! source with the most connections pays for it: `places.rs` has the rules.

mod places;
mod rates;

use std::fmt;
use std::future::poll_fn;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::sync::oneshot::Receiver;
use tokio::sync::{Semaphore, SemaphorePermit};

use self::places::{Bounds, Id, Places, Verdict};
use self::rates::Rates;
use crate::alert::AlertCode;
use crate::error::Error;

/// Settings of [`HandshakeLimits`]. Every value of every field is accepted; where at least one is needed, 0 counts as 1.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitOptions {
    /// Unfinished handshakes at a time with peers that have spoken. Default 1,024: each holds some KiB.
    pub half_open: usize,
    /// The same from one source: an IPv4 address, or a /64 of IPv6. Default 64, so that one source
    /// cannot take all of `half_open`.
    pub half_open_per_source: usize,
    /// Peers that have spoken and wait for a place, until their handshake's timeout. Default 4,096: each holds a socket and some
    /// hundred bytes. When there are more, the source with the most loses its newest, which is refused with `overloaded`.
    pub queue: usize,
    /// Connections that have said nothing yet. Default 4,096: each holds a socket and some hundred bytes. When there are more, the
    /// source with the most loses the one that has been silent longest, which is refused with `overloaded`.
    pub silent: usize,
    /// Handshakes that may use a core at a time. Default half of the cores, at least one, so that a flood of first messages
    /// leaves the others to established connections.
    pub crypto: usize,
    /// New connections per second from one source, and as many at once. Those beyond are refused with `overloaded`. Default
    /// `None`: no limit.
    pub rate_per_source: Option<NonZeroU32>,
}

impl Default for LimitOptions {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, Into::into);
        Self {
            half_open: 1_024,
            half_open_per_source: 64,
            queue: 4_096,
            silent: 4_096,
            crypto: (cores / 2).max(1),
            rate_per_source: None,
        }
    }
}

/// Refused connections that are told so at a time, which takes up to a round trip and a tenth of a second each. Others are closed
/// without an answer.
const REFUSALS: usize = 256;

/// Limits that all clones share: give one to every acceptor of a process.
///
/// They concern unknown peers. A connector's handshakes, which this side begins itself, only wait for a core.
#[derive(Clone, Debug)]
pub struct HandshakeLimits(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    options: LimitOptions,
    places: Mutex<Places<IpAddr>>,
    rates: Option<Mutex<Rates>>,
    crypto: Semaphore,
    refusals: Semaphore,
}

/// The place of one unfinished handshake. Dropping it makes room.
#[derive(Debug)]
pub struct HalfOpen {
    limits: HandshakeLimits,
    source: Option<IpAddr>,
}

/// The right to use a core, until it is dropped.
#[derive(Debug)]
pub struct CorePermit<'limits>(
    #[expect(dead_code, reason = "held for its drop")] Option<SemaphorePermit<'limits>>,
);

/// The right to tell one peer without a place that it is refused, until it is dropped.
#[derive(Debug)]
pub struct RefusalPermit<'limits>(
    #[expect(dead_code, reason = "held for its drop")] SemaphorePermit<'limits>,
);

impl Default for HandshakeLimits {
    fn default() -> Self {
        Self::new(LimitOptions::default())
    }
}

impl HandshakeLimits {
    /// Limits with these settings.
    pub fn new(options: LimitOptions) -> Self {
        let bounds = Bounds {
            places: options.half_open,
            places_per_source: options.half_open_per_source,
            silent: options.silent,
            queue: options.queue,
        };
        Self(Arc::new(Shared {
            places: Mutex::new(Places::new(bounds)),
            rates: options.rate_per_source.map(|rate| Mutex::new(Rates::new(rate))),
            crypto: Semaphore::new(options.crypto.clamp(1, Semaphore::MAX_PERMITS)),
            refusals: Semaphore::new(REFUSALS),
            options,
        }))
    }

    /// The settings.
    pub fn options(&self) -> &LimitOptions {
        &self.0.options
    }

    /// Unfinished handshakes that have a place.
    pub fn half_open(&self) -> usize {
        lock(&self.0.places).held()
    }

    /// Connections that have no place yet: those that are silent, and those that queue.
    pub fn waiting(&self) -> usize {
        lock(&self.0.places).waiting()
    }

    /// Connections that have said nothing yet.
    pub fn silent(&self) -> usize {
        lock(&self.0.places).silent()
    }

    /// Connections that have spoken and wait for a place.
    pub fn queued(&self) -> usize {
        lock(&self.0.places).queued()
    }

    /// The most connections there can be at a time that are not secured: with a place, waiting, or being told that they are
    /// refused. An accept loop that has begun so many waits for one to end.
    pub fn most_connections(&self) -> usize {
        let LimitOptions { half_open, queue, silent, .. } = &self.0.options;
        half_open.max(&1).saturating_add(*queue).saturating_add(*silent).saturating_add(REFUSALS)
    }

    /// Counts a connection that was accepted and has said nothing yet. `source` is the peer's address; `None` is not limited by
    /// source.
    ///
    /// # Errors
    /// [`Error::Limit`] with [`AlertCode::Overloaded`] when the source's rate is exceeded.
    pub fn arrive(&self, source: Option<IpAddr>) -> Result<Arrival, Error> {
        let source = source.map(prefix);
        if let (Some(rates), Some(source)) = (&self.0.rates, source)
            && !lock(rates).admit(source, Instant::now())
        {
            return Err(overloaded("too many connections per second from this source"));
        }
        let (id, verdict) = self.with_places(|places| places.arrive(source));
        Ok(Arrival { limits: self.clone(), source, id, verdict, settled: None })
    }

    /// Waits for a place for a handshake with `source`, as for a peer that has spoken. The caller's deadline ends the wait.
    ///
    /// # Errors
    /// [`Error::Limit`] with [`AlertCode::Overloaded`] when the queue is full and this connection the newest of the source that has
    /// the most in it; or when the source's rate is exceeded.
    pub async fn enter(&self, source: Option<IpAddr>) -> Result<HalfOpen, Error> {
        self.arrive(source)?.admitted().await
    }

    /// Makes room where something runs short that is not counted here, file descriptors say: displaces the connection that has
    /// been silent longest, of the source with the most of them. Whether there was one.
    pub fn displace_silent(&self) -> bool {
        self.with_places(Places::displace_silent)
    }

    /// Waits for the right to use a core.
    pub async fn crypto(&self) -> CorePermit<'_> {
        // Only a closed semaphore gives none, and this one is never closed.
        CorePermit(self.0.crypto.acquire().await.ok())
    }

    /// The right to tell a peer that it is refused, unless too many are being told already.
    pub fn refusal(&self) -> Option<RefusalPermit<'_>> {
        self.0.refusals.try_acquire().ok().map(RefusalPermit)
    }

    /// Sends what is decided after the lock is gone: to be woken may run other code.
    fn with_places<T>(&self, change: impl FnOnce(&mut Places<IpAddr>) -> T) -> T {
        let mut places = lock(&self.0.places);
        let changed = change(&mut places);
        let mut notices = places.take_notices();
        drop(places);
        while let Some(notice) = notices.pop() {
            let lost = notice.to.send(notice.verdict).is_err();
            if lost && notice.verdict == Verdict::Admitted {
                // It stopped waiting in this moment.
                let mut places = lock(&self.0.places);
                places.release(notice.source);
                notices.extend(places.take_notices());
            }
        }
        changed
    }
}

/// A connection that waits: until its peer has spoken, then for a place. Dropping it gives up.
pub struct Arrival {
    limits: HandshakeLimits,
    source: Option<IpAddr>,
    id: Id,
    verdict: Receiver<Verdict>,
    settled: Option<Verdict>,
}

impl Arrival {
    /// Ready when the connection has to make room for others while its peer is silent.
    pub fn poll_displaced(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        match self.poll_verdict(cx) {
            Poll::Ready(_) => {
                Poll::Ready(overloaded("too many connections are silent, and this one longest"))
            }
            Poll::Pending => Poll::Pending,
        }
    }

    /// Waits for a place, now that the peer has spoken. The caller's deadline ends the wait.
    ///
    /// # Errors
    /// [`Error::Limit`] with [`AlertCode::Overloaded`] when it has to make room for others.
    pub async fn admitted(mut self) -> Result<HalfOpen, Error> {
        self.limits.with_places(|places| places.spoken(self.source, self.id));
        match poll_fn(|cx| self.poll_verdict(cx)).await {
            Verdict::Admitted => Ok(HalfOpen { limits: self.limits.clone(), source: self.source }),
            Verdict::Displaced => Err(overloaded("too many connections wait for a handshake")),
        }
    }

    fn poll_verdict(&mut self, cx: &mut Context<'_>) -> Poll<Verdict> {
        if let Some(verdict) = self.settled {
            return Poll::Ready(verdict);
        }
        Pin::new(&mut self.verdict).poll(cx).map(|verdict| {
            // A sender is never dropped unused while somebody waits.
            *self.settled.insert(verdict.unwrap_or(Verdict::Displaced))
        })
    }
}

impl Drop for Arrival {
    fn drop(&mut self) {
        if self.settled.is_some()
            || self.limits.with_places(|places| places.withdraw(self.source, self.id))
        {
            return;
        }
        // The verdict is here, or it comes too late, and then its sender looks after it.
        self.verdict.close();
        if self.verdict.try_recv() == Ok(Verdict::Admitted) {
            self.limits.with_places(|places| places.release(self.source));
        }
    }
}

impl fmt::Debug for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arrival").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Drop for HalfOpen {
    fn drop(&mut self) {
        self.limits.with_places(|places| places.release(self.source));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
mod tests;
