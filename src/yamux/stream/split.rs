//! The two directions of a stream as objects of their own.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::Handle;
use super::deadline::Deadline;
use crate::pool::{BufferPool, PooledBuf, Ticket};
use crate::ready::ReadyReader;
use crate::yamux::error::Error;

/// The receiving half of a [`Stream`](super::Stream).
///
/// When it is dropped, what still arrives is dropped too, and the peer gets no more credit.
pub struct ReadHalf {
    handle: Handle,
    deadline: Deadline,
}

/// The sending half of a [`Stream`](super::Stream).
///
/// Dropped without [`close_write`](Self::close_write) it resets the stream, both ways: what the peer has is not complete.
pub struct WriteHalf {
    handle: Handle,
    deadline: Deadline,
}

impl ReadHalf {
    pub(super) fn new(handle: Handle, deadline: Deadline) -> Self {
        Self { handle, deadline }
    }

    /// The stream's number in the session.
    pub fn id(&self) -> u32 {
        self.handle.id
    }

    /// See [`Stream::set_read_deadline`](super::Stream::set_read_deadline).
    pub fn set_read_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline.set(deadline);
    }
}

impl WriteHalf {
    pub(super) fn new(handle: Handle, deadline: Deadline) -> Self {
        Self { handle, deadline }
    }

    /// The stream's number in the session.
    pub fn id(&self) -> u32 {
        self.handle.id
    }

    /// See [`Stream::close_write`](super::Stream::close_write).
    pub fn close_write(&self) {
        self.handle.close_write();
    }

    /// See [`Stream::reset`](super::Stream::reset).
    pub fn reset(self, code: u32) {
        self.handle.reset(code);
    }

    /// See [`Stream::set_write_deadline`](super::Stream::set_write_deadline).
    pub fn set_write_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline.set(deadline);
    }
}

/// An answer, unless the deadline has passed while there is none.
fn within<T>(
    answer: Poll<io::Result<T>>,
    deadline: &mut Deadline,
    cx: &mut Context<'_>,
) -> Poll<io::Result<T>> {
    if answer.is_pending() {
        ready!(deadline.poll_passed(cx));
        return Poll::Ready(Err(Error::Deadline.into()));
    }
    answer
}

impl ReadyReader for ReadHalf {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        within(self.handle.poll_readable(cx).map(Ok), &mut self.deadline, cx)
    }

    fn poll_read_on_ready(
        &mut self,
        cx: &mut Context<'_>,
        _pool: &BufferPool,
        _ticket: &mut Option<Ticket>,
    ) -> Poll<io::Result<Option<PooledBuf>>> {
        within(self.handle.poll_chunk(cx), &mut self.deadline, cx)
    }
}

impl AsyncRead for ReadHalf {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        within(self.handle.poll_read(cx, buf), &mut self.deadline, cx)
    }
}

impl AsyncWrite for WriteHalf {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        within(self.handle.poll_write(cx, bufs), &mut self.deadline, cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close_write();
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for ReadHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadHalf").field("id", &self.id()).finish_non_exhaustive()
    }
}

impl fmt::Debug for WriteHalf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteHalf").field("id", &self.id()).finish_non_exhaustive()
    }
}
