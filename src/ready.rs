//! On-ready reads: a source reports that bytes are waiting, and only then is memory taken for them.
//!
//! A program with many quiet connections pays for the read buffers that wait in them. A [`ReadyReader`] has none: it waits for
//! readability without memory, then takes a buffer from the [`BufferPool`], reads once, and hands the buffer up. Dropping it,
//! or the last slice of it after [`PooledBuf::freeze`], returns the memory.

use std::io;
use std::task::{Context, Poll};

use crate::pool::{BufferPool, PooledBuf, Ticket};

#[cfg(feature = "codec")]
mod framed;
#[cfg(feature = "mio")]
mod mio;
mod nonblocking;
#[cfg(feature = "tokio")]
mod polled;
#[cfg(feature = "tokio")]
mod probed;
mod socket;
#[cfg(feature = "tokio")]
mod tokio;

#[cfg(feature = "codec")]
pub use framed::{Framed, FramedParts};
pub(crate) use nonblocking::{NonBlocking, refused};
#[cfg(feature = "tokio")]
pub(crate) use polled::{Polled, into_poll, or_would_block};
#[cfg(feature = "tokio")]
pub use probed::Probed;
#[cfg(any(feature = "mio", feature = "tokio"))]
pub(crate) use socket::read_on_ready;
pub(crate) use socket::{Sink, Source};

/// A byte source that reports when bytes are waiting, and only then takes memory for them.
///
/// Implemented for tokio's `TcpStream` and `UnixStream` and their owned read halves, for
/// [`AltsStream`](crate::AltsStream), and through [`Probed`] for any `AsyncRead`.
pub trait ReadyReader {
    /// Waits for readability. Holds nothing while pending. Readiness may be spurious, and it lasts until a read finds nothing.
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Waits as above, then reads once into a buffer taken from `pool`. `None` is the end of the stream; a buffer is never
    /// empty.
    ///
    /// At the pool's cap it queues for a buffer. `ticket` is the caller's ticket in that queue: keep it between calls that
    /// return `Pending`, drop it to give up.
    fn poll_read_on_ready(
        &mut self,
        cx: &mut Context<'_>,
        pool: &BufferPool,
        ticket: &mut Option<Ticket>,
    ) -> Poll<io::Result<Option<PooledBuf>>>;

    /// [`poll_read_on_ready`](Self::poll_read_on_ready) as a future. Dropping it loses nothing.
    fn read_on_ready<'read>(
        &'read mut self,
        pool: &'read BufferPool,
    ) -> impl Future<Output = io::Result<Option<PooledBuf>>> + use<'read, Self>
    where
        Self: Sized,
    {
        let mut ticket = None;
        std::future::poll_fn(move |cx| self.poll_read_on_ready(cx, pool, &mut ticket))
    }
}

/// The non-blocking half of [`ReadyReader`], for event loops that wait by themselves: mio's sockets and
/// [`AltsStream`](crate::AltsStream) over them.
pub trait TryReadyReader {
    /// Reads once into a buffer taken from `pool`, which goes back at once if nothing has arrived. `None` is the end of the
    /// stream; a buffer is never empty.
    ///
    /// # Errors
    /// `WouldBlock` only when the socket reported it: wait for the next readiness event. `ResourceBusy` when there may be more
    /// to read, but not now, and no event will report it: at the pool's cap, call again when buffers have come back; after
    /// many empty records, call again after other connections had their turn.
    fn try_read_on_ready(&mut self, pool: &BufferPool) -> io::Result<Option<PooledBuf>>;
}
