//! What a receiver of records asks beyond a plain read: to grow what it holds, to let others run, to notice that the peer has
//! stopped in the middle of a record.

use std::io;
use std::time::{Duration, Instant};

use crate::pool::{BufferPool, PoolError, PooledBuf, Ticket};
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
    /// Whether `stall` has lasted for `limit` while others wait for buffers; arranges to be called again otherwise.
    fn stalled(
        &mut self,
        stall: &mut Option<Box<Stall>>,
        limit: Duration,
        pool: &BufferPool,
    ) -> bool;
}

/// A partial record in a pooled buffer that has stopped growing.
#[derive(Debug)]
pub(crate) struct Stall {
    /// When it stopped, or was last found to hurt nobody.
    since: Instant,
    /// How many readers had been turned away then.
    refusals: u64,
    #[cfg(feature = "tokio")]
    timer: Option<std::pin::Pin<Box<tokio::time::Sleep>>>,
}

impl Stall {
    fn begin(pool: &BufferPool) -> Self {
        Self {
            since: Instant::now(),
            refusals: pool.refusals(),
            #[cfg(feature = "tokio")]
            timer: None,
        }
    }

    /// When it is to be looked at again.
    pub(crate) fn deadline(&self, limit: Duration) -> Instant {
        self.since + limit
    }
}

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
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let grown = pool.poll_take_growing(&mut cx, ticket, size);
        // Nobody would be woken: the event loop calls again.
        *ticket = None;
        match grown {
            std::task::Poll::Ready(result) => result.map_err(|error| refused(pool, error)),
            std::task::Poll::Pending => Err(refused(pool, PoolError::AtCap)),
        }
    }

    fn yield_now(&mut self) -> bool {
        false
    }

    fn stalled(
        &mut self,
        stall: &mut Option<Box<Stall>>,
        limit: Duration,
        pool: &BufferPool,
    ) -> bool {
        let held = stall.get_or_insert_with(|| Box::new(Stall::begin(pool)));
        if held.since.elapsed() < limit {
            return false;
        }
        if pool.has_waiters() || pool.refusals() > held.refusals {
            return true;
        }
        *stall = Some(Box::new(Stall::begin(pool)));
        false
    }
}

#[cfg(feature = "tokio")]
mod polled {
    use std::io;
    use std::time::Duration;

    use tokio::io::AsyncRead;

    use super::{RecordSource, Stall};
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

        fn stalled(
            &mut self,
            stall: &mut Option<Box<Stall>>,
            limit: Duration,
            pool: &BufferPool,
        ) -> bool {
            let stall = stall.get_or_insert_with(|| Box::new(Stall::begin(pool)));
            let timer = stall.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
            while timer.as_mut().poll(self.cx).is_ready() {
                if pool.has_waiters() {
                    return true;
                }
                // Nobody is hurt yet: look again later. By tokio's clock, which tests can stop.
                timer.as_mut().reset(tokio::time::Instant::now() + limit);
            }
            false
        }
    }
}
