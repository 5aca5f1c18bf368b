//! Streams as an application sees them.

mod deadline;
mod split;

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::session::{Core, Half};
use super::shared::Shared;
use crate::pool::{BufferPool, PooledBuf, Ticket};
use crate::ready::ReadyReader;
use deadline::Deadline;

pub use split::{ReadHalf, WriteHalf};

/// A stream of a [`Session`](super::Session): reads and writes like a socket, in one connection with others.
///
/// While no bytes wait it consists of this handle, 32 bytes, and a record of some 130 bytes in the session, and holds nothing of the pool.
///
/// * **Reading** copies from received buffers; [`ReadyReader`] hands the buffers themselves up. Credit goes back to the peer with what
///   was read, so a stream that is not read holds up its sender after a window (512 KiB unless set), and nobody else.
/// * **Writing** hands bytes to the session, which sends them by itself: many small writes become one frame, and flushing does
///   nothing. A write waits while the peer grants no credit, or while 128 KiB of the session wait to be sent; streams take turns then.
/// * Both sides writing more than a window each before they read wait for one another forever: an application's mistake that no
///   protocol of this kind can repair.
/// * **Cancellation**: any read or write may be dropped; nothing is lost.
/// * **End**: [`close_write`](Self::close_write), or `shutdown` of `AsyncWrite`, ends this side's direction in order, and the peer may go
///   on. Three ends of the peer's direction are told apart: the end in order (0 bytes, `None`), a reset
///   (`ConnectionReset`, [`Error::Reset`](super::Error::Reset) with its code), and the end of the connection (`UnexpectedEof`, or whatever ended the session).
/// * **Drop** without `close_write` resets the stream, so that the peer does not take what it has for complete.
pub struct Stream {
    handle: Handle,
    deadlines: Option<Box<Deadlines>>,
}

/// Only there once one was set.
#[derive(Default)]
struct Deadlines {
    read: Deadline,
    write: Deadline,
}

/// One or both directions of a stream.
struct Handle {
    shared: Arc<Shared>,
    slot: u32,
    id: u32,
    halves: &'static [Half],
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.with(|core, after| {
            for &half in self.halves {
                core.drop_half(self.slot, half, after);
            }
        });
    }
}

impl Handle {
    fn with<R>(&self, change: impl FnOnce(&mut Core, u32, &mut super::session::After) -> R) -> R {
        self.shared.with(|core, after| change(core, self.slot, after))
    }

    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.with(|core, slot, after| core.readable(slot, cx.waker(), after))
    }

    fn poll_chunk(&self, cx: &mut Context<'_>) -> Poll<io::Result<Option<PooledBuf>>> {
        self.with(|core, slot, after| core.take_chunk(slot, cx.waker(), after)).map_err(Into::into)
    }

    fn poll_read(&self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let room = buf.remaining();
        let read = self.with(|core, slot, after| {
            core.read(slot, room, |bytes| buf.put_slice(bytes), cx.waker(), after)
        });
        read.map_ok(drop).map_err(Into::into)
    }

    fn poll_write(&self, cx: &mut Context<'_>, bufs: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        self.with(|core, slot, after| core.write(slot, bufs, cx.waker(), after)).map_err(Into::into)
    }

    fn close_write(&self) {
        self.with(Core::close_write);
    }

    fn reset(&self, code: u32) {
        self.with(|core, slot, after| core.reset(slot, code, after));
    }
}

impl Stream {
    pub(super) fn new(shared: &Arc<Shared>, slot: u32, id: u32) -> Self {
        let halves = &[Half::Read, Half::Write];
        let handle = Handle { shared: Arc::clone(shared), slot, id, halves };
        Self { handle, deadlines: None }
    }

    /// Its number in the session: odd if the client opened it.
    pub fn id(&self) -> u32 {
        self.handle.id
    }

    /// Ends this side's direction behind what was written. The peer's goes on.
    pub fn close_write(&self) {
        self.handle.close_write();
    }

    /// Ends the stream at once, both ways, and tells the peer so. libp2p's peers are shown `code`; to others it is a reset. What was
    /// written and not yet sent may be lost.
    pub fn reset(self, code: u32) {
        self.handle.reset(code);
    }

    /// Until when a read may wait; `None`, as at first, is forever. A read that is over its deadline fails with `TimedOut`. Nothing is lost,
    /// and with a later deadline reading goes on.
    pub fn set_read_deadline(&mut self, deadline: Option<Instant>) {
        self.deadlines.get_or_insert_default().read.set(deadline);
    }

    /// Until when a write may wait, as [`set_read_deadline`](Self::set_read_deadline). What a write has taken before is sent.
    pub fn set_write_deadline(&mut self, deadline: Option<Instant>) {
        self.deadlines.get_or_insert_default().write.set(deadline);
    }

    /// Takes the stream apart into halves that may live in different tasks.
    pub fn into_split(self) -> (ReadHalf, WriteHalf) {
        let Self { mut handle, deadlines } = self;
        let Deadlines { read, write } = deadlines.map_or_else(Deadlines::default, |both| *both);
        let shared = Arc::clone(&handle.shared);
        let (slot, id) = (handle.slot, handle.id);
        handle.halves = &[Half::Write];
        let reader = Handle { shared, slot, id, halves: &[Half::Read] };
        (ReadHalf::new(reader, read), WriteHalf::new(handle, write))
    }
}

/// An answer, unless the deadline has passed while there is none.
fn within<T>(
    answer: Poll<io::Result<T>>,
    deadlines: &mut Option<Box<Deadlines>>,
    which: impl FnOnce(&mut Deadlines) -> &mut Deadline,
    cx: &mut Context<'_>,
) -> Poll<io::Result<T>> {
    match deadlines {
        Some(deadlines) if answer.is_pending() => {
            ready!(which(deadlines).poll_passed(cx));
            Poll::Ready(Err(super::Error::Deadline.into()))
        }
        _ => answer,
    }
}

impl ReadyReader for Stream {
    /// Received bytes, an error and the end of the stream count as readable.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let answer = self.handle.poll_readable(cx).map(Ok);
        within(answer, &mut self.deadlines, |both| &mut both.read, cx)
    }

    /// The buffer is the one in which the bytes were received, from the session's pool; `pool` is not used.
    fn poll_read_on_ready(
        &mut self,
        cx: &mut Context<'_>,
        _pool: &BufferPool,
        _ticket: &mut Option<Ticket>,
    ) -> Poll<io::Result<Option<PooledBuf>>> {
        let answer = self.handle.poll_chunk(cx);
        within(answer, &mut self.deadlines, |both| &mut both.read, cx)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let answer = self.handle.poll_read(cx, buf);
        within(answer, &mut self.deadlines, |both| &mut both.read, cx)
    }
}

impl AsyncWrite for Stream {
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
        let answer = self.handle.poll_write(cx, bufs);
        within(answer, &mut self.deadlines, |both| &mut both.write, cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// The session sends by itself: there is nothing to do.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.close_write();
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("id", &self.id()).finish_non_exhaustive()
    }
}
