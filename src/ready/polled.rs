//! tokio's sockets within a poll.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::ReadyReader;
use super::socket::{Sink, Source};
use crate::pool::{BufferPool, PooledBuf, Ticket};

/// A tokio socket within a poll.
#[derive(Debug)]
pub(crate) struct Polled<'call, 'task, S> {
    pub(crate) io: &'call mut S,
    pub(crate) cx: &'call mut Context<'task>,
}

/// Turns `WouldBlock` into `Pending`: the socket or the pool has registered the waker.
pub(crate) fn into_poll<T>(result: io::Result<T>) -> Poll<io::Result<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}

/// Turns `Pending` into `WouldBlock`.
pub(crate) fn or_would_block<T, E: Into<io::Error>>(poll: Poll<Result<T, E>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result.map_err(Into::into),
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
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
        ticket: &mut Option<Ticket>,
        size: usize,
    ) -> io::Result<PooledBuf> {
        or_would_block(pool.poll_take(self.cx, ticket, size))
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
