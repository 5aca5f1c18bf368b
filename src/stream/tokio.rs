//! Streams over tokio's sockets.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::AltsStream;
use crate::pool::{BufferPool, PooledBuf, Ticket};
use crate::ready::{Polled, ReadyReader, into_poll};

impl<S: AsyncWrite + Unpin> AltsStream<S> {
    /// Sends what the kernel refused before. A reader does this too: its peer may be waiting for just these bytes. Failures
    /// are reported to the writer; what was received can still be read.
    ///
    /// A socket wakes only the task that polled it last. With `tokio::io::split` the writer is another task than the reader,
    /// and must still be woken after the reader has polled.
    #[inline]
    fn drain(&mut self, cx: &mut Context<'_>) {
        if self.channel.has_outbound() {
            self.drain_outbound(cx);
        }
    }

    fn drain_outbound(&mut self, cx: &mut Context<'_>) {
        let writer = self.channel.waiting_writer().cloned();
        let Some(writer) = writer.filter(|writer| !writer.will_wake(cx.waker())) else {
            let _ = self.channel.drain(&mut Polled { io: &mut self.io, cx });
            return;
        };
        let both = both(cx.waker(), &writer);
        let cx = &mut Context::from_waker(&both);
        let drained = into_poll(self.channel.drain(&mut Polled { io: &mut self.io, cx }));
        if drained.is_ready() {
            writer.wake();
        }
    }
}

impl<S: ReadyReader + AsyncRead + AsyncWrite + Unpin> AltsStream<S> {
    /// Notes a reader that waits, for a writer that polls the read side in its place.
    #[inline]
    fn received<T>(
        &mut self,
        cx: &mut Context<'_>,
        received: io::Result<T>,
    ) -> Poll<io::Result<T>> {
        let received = into_poll(received);
        if received.is_pending() {
            self.channel.reader_waits(cx.waker());
        }
        received
    }

    /// Notes a writer that waits, and looks for a better reason behind a failure.
    fn sent<T>(&mut self, cx: &mut Context<'_>, sent: io::Result<T>) -> Poll<io::Result<T>> {
        let sent = match into_poll(sent) {
            Poll::Ready(Err(error)) => self.or_refusal(cx, error),
            sent => sent,
        };
        if sent.is_pending() {
            self.channel.writer_waits(cx.waker());
        }
        sent
    }

    /// Looks for the server's reason behind a failure to send. The socket wakes only the task that polled it last, so a
    /// waiting reader's waker is registered too.
    #[cold]
    fn or_refusal<T>(&mut self, cx: &mut Context<'_>, error: io::Error) -> Poll<io::Result<T>> {
        let both = self.channel.waiting_reader().map(|reader| both(cx.waker(), reader));
        let cx = &mut Context::from_waker(both.as_ref().unwrap_or(cx.waker()));
        into_poll(self.channel.or_refusal(&mut Polled { io: &mut self.io, cx }, Err(error)))
    }
}

fn both(one: &Waker, other: &Waker) -> Waker {
    Waker::from(Arc::new(Both(one.clone(), other.clone())))
}

/// Wakes two tasks.
struct Both(Waker, Waker);

impl Wake for Both {
    fn wake(self: Arc<Self>) {
        self.0.wake_by_ref();
        self.1.wake_by_ref();
    }
}

impl<S: ReadyReader + AsyncRead + AsyncWrite + Unpin> ReadyReader for AltsStream<S> {
    /// Plaintext that is buffered, a stored error and the end of the stream count as readable.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.drain(cx);
        let readable = self.channel.readable(&mut Polled { io: &mut self.io, cx });
        self.received(cx, readable)
    }

    fn poll_read_on_ready(
        &mut self,
        cx: &mut Context<'_>,
        pool: &BufferPool,
        ticket: &mut Option<Ticket>,
    ) -> Poll<io::Result<Option<PooledBuf>>> {
        self.drain(cx);
        let source = &mut Polled { io: &mut self.io, cx };
        let read = self.channel.read_on_ready(source, pool, ticket);
        self.received(cx, read)
    }
}

impl<S: ReadyReader + AsyncRead + AsyncWrite + Unpin> AsyncRead for AltsStream<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        this.drain(cx);
        let source = &mut Polled { io: &mut this.io, cx };
        let room = buf.remaining();
        let read = this.channel.read(source, room, |bytes| buf.put_slice(bytes));
        this.received(cx, read).map_ok(drop)
    }
}

impl<S: ReadyReader + AsyncRead + AsyncWrite + Unpin> AsyncWrite for AltsStream<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = this.channel.write(&mut Polled { io: &mut this.io, cx }, bufs);
        this.sent(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = this.channel.flush(&mut Polled { io: &mut this.io, cx });
        this.sent(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = this.channel.close(&mut Polled { io: &mut this.io, cx });
        this.sent(cx, shut)
    }
}
