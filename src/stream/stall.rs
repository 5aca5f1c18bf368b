//! What a receiver of records needs beyond a plain read: to grow its buffer, to let other tasks run, to notice that the peer
//! keeps it waiting inside a record.

use std::io;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::pool::{BufferPool, Lease, PoolError, PooledBuf, Ticket};
use crate::ready::{NonBlocking, Source, refused};

/// A socket from which records are received.
pub(crate) trait RecordSource: Source {
    /// As [`take`](Source::take), for a record that has begun to arrive, part of it in `held`.
    fn grow(
        &mut self,
        pool: &BufferPool,
        ticket: &mut Option<Ticket>,
        held: &PooledBuf,
        size: usize,
    ) -> io::Result<PooledBuf>;
    /// Lets other tasks run. `false` if the caller's loop does that by itself.
    fn yield_now(&mut self) -> bool;
    /// The task to wake, if there is one.
    fn waker(&self) -> &Waker;
}

/// The time for which part of a record has been in a pooled buffer.
///
/// The whole record has to arrive within a limit while others wait for memory. Progress alone is not enough, or a peer that
/// sends a byte now and then would keep the buffer forever. The time in which this side waits for memory does not count.
#[derive(Debug)]
pub(crate) struct Stall {
    since: Instant,
    /// Since when this side waits for memory.
    paused: Option<Instant>,
    lease: Option<Lease>,
}

impl Stall {
    pub(super) fn begin() -> Self {
        Self { since: Instant::now(), paused: None, lease: None }
    }

    /// This side waits for memory now, not for the peer.
    pub(super) fn pause(&mut self) {
        self.lease = None;
        self.paused.get_or_insert_with(Instant::now);
    }

    /// This side waits for the peer, with part of a record in `buffer`. Returns whether that has lasted for too long while
    /// others wait for memory; otherwise `waker` is woken when it has.
    pub(super) fn is_over(&mut self, buffer: &PooledBuf, limit: Duration, waker: &Waker) -> bool {
        let now = Instant::now();
        if let Some(paused) = self.paused.take() {
            self.since += now.saturating_duration_since(paused);
        }
        let lease = self.lease.take().filter(|lease| lease.is_for(buffer));
        let lease = lease.unwrap_or_else(|| Lease::new(buffer, self.since, limit, waker));
        self.lease.insert(lease).is_over(now, waker)
    }

    /// When a caller that is not woken has to look again; `None` is never.
    pub(super) fn deadline(&self, limit: Duration) -> Option<Instant> {
        let end = self.since.checked_add(limit)?;
        let now = Instant::now();
        if end > now { Some(end) } else { now.checked_add(limit.max(MIN_PERIOD)) }
    }
}

#[cfg(test)]
impl Stall {
    pub(super) fn is_paused(&self) -> bool {
        self.paused.is_some()
    }
}

/// How often a caller that is not woken is asked to look, at most.
const MIN_PERIOD: Duration = Duration::from_millis(100);

impl<S: io::Read> RecordSource for NonBlocking<'_, S> {
    fn grow(
        &mut self,
        pool: &BufferPool,
        ticket: &mut Option<Ticket>,
        held: &PooledBuf,
        size: usize,
    ) -> io::Result<PooledBuf> {
        if let Some(taken) = pool.take_on_overdraft(held, size) {
            return taken.map_err(|error| refused(pool, error));
        }
        let mut cx = std::task::Context::from_waker(Waker::noop());
        let grown = pool.poll_take_growing(&mut cx, ticket, size);
        // There is no task to wake: the event loop calls again.
        *ticket = None;
        match grown {
            std::task::Poll::Ready(result) => result.map_err(|error| refused(pool, error)),
            std::task::Poll::Pending => Err(refused(pool, PoolError::AtCap)),
        }
    }

    fn yield_now(&mut self) -> bool {
        false
    }

    fn waker(&self) -> &Waker {
        Waker::noop()
    }
}

#[cfg(feature = "tokio")]
mod polled {
    use std::io;
    use std::task::Waker;

    use tokio::io::AsyncRead;

    use super::RecordSource;
    use crate::pool::{BufferPool, PooledBuf, Ticket};
    use crate::ready::{Polled, ReadyReader, or_would_block};

    impl<S: ReadyReader + AsyncRead + Unpin> RecordSource for Polled<'_, '_, S> {
        fn grow(
            &mut self,
            pool: &BufferPool,
            ticket: &mut Option<Ticket>,
            held: &PooledBuf,
            size: usize,
        ) -> io::Result<PooledBuf> {
            match pool.take_on_overdraft(held, size) {
                Some(taken) => taken.map_err(Into::into),
                None => or_would_block(pool.poll_take_growing(self.cx, ticket, size)),
            }
        }

        fn yield_now(&mut self) -> bool {
            self.cx.waker().wake_by_ref();
            true
        }

        fn waker(&self) -> &Waker {
            self.cx.waker()
        }
    }
}
