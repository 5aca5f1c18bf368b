//! How the layers above see a socket: calls that do what can be done now and answer `WouldBlock` otherwise.
//!
//! Two shells provide it, so that everything above exists once: [`Polled`] for tokio, where `WouldBlock` stands for `Pending`
//! and the waker is registered, and [`NonBlocking`] for sockets of mio or the standard library.

use std::io;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::pool::{BufferPool, PoolError, PooledBuf, Ticket};

/// The receiving direction of a socket.
pub(crate) trait Source {
    /// Whether a read is worth a buffer.
    fn readable(&mut self) -> io::Result<()>;
    /// Reads once.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize>;
    /// A buffer of at least `size` bytes. At the pool's cap it waits for its turn, if it can.
    fn take(
        &mut self,
        pool: &BufferPool,
        place: &mut Option<Ticket>,
        size: usize,
    ) -> io::Result<PooledBuf>;
    /// As `take`, for a record that has begun to arrive, part of it in `held`.
    fn grow(
        &mut self,
        pool: &BufferPool,
        place: &mut Option<Ticket>,
        held: &PooledBuf,
        size: usize,
    ) -> io::Result<PooledBuf>;
    /// Lets other tasks run. `false` if the caller's loop does that by itself.
    fn yield_now(&mut self) -> bool;
    /// Whether `stall` has lasted for `limit` while others wait for buffers; sees to being called again otherwise.
    fn stalled(
        &mut self,
        stall: &mut Option<Box<Stall>>,
        limit: Duration,
        pool: &BufferPool,
    ) -> bool;
}

/// The sending direction of a socket.
pub(crate) trait Sink {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize>;
    fn flush(&mut self) -> io::Result<()>;
    /// Ends the direction, where the socket can be asked to.
    fn shutdown(&mut self) -> io::Result<()>;
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

/// Waits for readability, then reads once into a buffer from `pool`: what every on-ready read comes down to. A readiness that
/// was false costs a buffer for the moment of the call.
pub(crate) fn read_ready(
    source: &mut impl Source,
    pool: &BufferPool,
    place: &mut Option<Ticket>,
) -> io::Result<Option<PooledBuf>> {
    source.readable()?;
    let mut buf = source.take(pool, place, pool.buffer_size())?;
    match source.read(&mut buf)? {
        0 => Ok(None),
        n => {
            buf.truncate(n);
            Ok(Some(buf))
        }
    }
}

/// A socket that answers `WouldBlock` itself and is polled by its owner's event loop.
#[derive(Debug)]
pub(crate) struct NonBlocking<'io, S>(pub(crate) &'io mut S);

impl<S: io::Read> Source for NonBlocking<'_, S> {
    fn readable(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buf) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn take(
        &mut self,
        pool: &BufferPool,
        _place: &mut Option<Ticket>,
        size: usize,
    ) -> io::Result<PooledBuf> {
        pool.take(size).map_err(|error| refused(pool, error))
    }

    fn grow(
        &mut self,
        pool: &BufferPool,
        place: &mut Option<Ticket>,
        held: &PooledBuf,
        size: usize,
    ) -> io::Result<PooledBuf> {
        if let Some(taken) = pool.take_on_overdraft(held, size) {
            return taken.map_err(|error| refused(pool, error));
        }
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let grown = pool.poll_take_growing(&mut cx, place, size);
        // Nobody would be woken: the event loop calls again.
        *place = None;
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

/// The error for a caller that cannot wait; that it would have to is remembered, for those who hold memory in vain.
fn refused(pool: &BufferPool, error: PoolError) -> io::Error {
    if error == PoolError::AtCap {
        pool.note_refusal();
    }
    Error::Pool(error).into()
}

impl<S: io::Write> Sink for NonBlocking<'_, S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(buf) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    fn shutdown(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(feature = "tokio")]
pub(crate) use polled::{Polled, into_poll};

#[cfg(feature = "tokio")]
mod polled {
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use std::time::Duration;

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    use super::{Sink, Source, Stall};
    use crate::error::Error;
    use crate::pool::{BufferPool, PoolError, PooledBuf, Ticket};
    use crate::ready::ReadyReader;

    /// A tokio socket within a poll.
    #[derive(Debug)]
    pub(crate) struct Polled<'call, 'task, S> {
        pub(crate) io: &'call mut S,
        pub(crate) cx: &'call mut Context<'task>,
    }

    /// `WouldBlock` becomes `Pending`: the socket or the pool has taken the waker.
    pub(crate) fn into_poll<T>(result: io::Result<T>) -> Poll<io::Result<T>> {
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
            result => Poll::Ready(result),
        }
    }

    fn or_would_block<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
        match poll {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn buffer(poll: Poll<Result<PooledBuf, PoolError>>) -> io::Result<PooledBuf> {
        or_would_block(poll.map_err(|error| Error::Pool(error).into()))
    }

    impl<S: ReadyReader + AsyncRead + Unpin> Source for Polled<'_, '_, S> {
        fn readable(&mut self) -> io::Result<()> {
            or_would_block(self.io.poll_readable(self.cx))
        }

        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let mut buf = ReadBuf::new(buf);
            or_would_block(Pin::new(&mut *self.io).poll_read(self.cx, &mut buf))?;
            Ok(buf.filled().len())
        }

        fn take(
            &mut self,
            pool: &BufferPool,
            place: &mut Option<Ticket>,
            size: usize,
        ) -> io::Result<PooledBuf> {
            buffer(pool.poll_take(self.cx, place, size))
        }

        fn grow(
            &mut self,
            pool: &BufferPool,
            place: &mut Option<Ticket>,
            held: &PooledBuf,
            size: usize,
        ) -> io::Result<PooledBuf> {
            if let Some(taken) = pool.take_on_overdraft(held, size) {
                return taken.map_err(|error| Error::Pool(error).into());
            }
            buffer(pool.poll_take_growing(self.cx, place, size))
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

    impl<S: AsyncWrite + Unpin> Sink for Polled<'_, '_, S> {
        fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
            or_would_block(Pin::new(&mut *self.io).poll_write(self.cx, buf))
        }

        fn flush(&mut self) -> io::Result<()> {
            or_would_block(Pin::new(&mut *self.io).poll_flush(self.cx))
        }

        fn shutdown(&mut self) -> io::Result<()> {
            or_would_block(Pin::new(&mut *self.io).poll_shutdown(self.cx))
        }
    }
}
