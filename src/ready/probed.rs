//! On-ready reads from a source that cannot report its readiness.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::ReadyReader;
use super::{Polled, into_poll, read_on_ready};
use crate::pool::{BufferPool, PooledBuf, Ticket};

/// How many bytes a [`Probed`] waits with.
const PROBE_LEN: usize = 54;

/// Gives any `AsyncRead` the interface of [`ReadyReader`].
///
/// Such a source reports bytes only by reading them, so this type waits with a probe of 54 bytes inside itself. It adds 64 bytes
/// to the source: the probe, two positions and room for an error. A buffer is taken only when bytes arrive in the probe, and
/// the rest is read straight into it.
#[derive(Debug)]
pub struct Probed<S> {
    io: S,
    probe: [u8; PROBE_LEN],
    start: u8,
    end: u8,
    /// An error that came after the bytes in the probe; the next read reports it.
    failed: Option<io::Error>,
}

impl<S> Probed<S> {
    /// Wraps `io`.
    pub fn new(io: S) -> Self {
        Self { io, probe: [0; PROBE_LEN], start: 0, end: 0, failed: None }
    }

    /// The source.
    pub fn get_ref(&self) -> &S {
        &self.io
    }

    /// The source; reading from it directly loses the order of bytes.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.io
    }

    fn probed(&self) -> &[u8] {
        &self.probe[self.start.into()..self.end.into()]
    }
}

impl<S: AsyncRead + Unpin> ReadyReader for Probed<S> {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.probed().is_empty() && self.failed.is_none() {
            let mut probe = ReadBuf::new(&mut self.probe);
            ready!(Pin::new(&mut self.io).poll_read(cx, &mut probe))?;
            self.start = 0;
            self.end = probe.filled().len() as u8;
        }
        // An empty probe now is the end of the stream, which counts as readable.
        Poll::Ready(Ok(()))
    }

    fn poll_read_on_ready(
        &mut self,
        cx: &mut Context<'_>,
        pool: &BufferPool,
        ticket: &mut Option<Ticket>,
    ) -> Poll<io::Result<Option<PooledBuf>>> {
        into_poll(read_on_ready(&mut Polled { io: self, cx }, pool, ticket))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Probed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.probed().is_empty() {
            if let Some(error) = self.failed.take() {
                return Poll::Ready(Err(error));
            }
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let count = self.probed().len().min(buf.remaining());
        buf.put_slice(&self.probed()[..count]);
        self.start += count as u8;
        // A full probe means that more may be waiting.
        if usize::from(self.end) == PROBE_LEN
            && buf.remaining() > 0
            && let Poll::Ready(Err(error)) = Pin::new(&mut self.io).poll_read(cx, buf)
        {
            self.failed = Some(error);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Probed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
