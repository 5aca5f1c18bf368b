//! How an on-ready reader sees a socket: calls that do what can be done now and answer `WouldBlock` otherwise.
//!
//! Two adaptors provide it, so that everything above exists once: [`Polled`](super::polled::Polled) for tokio, where
//! `WouldBlock` stands for `Pending` and the waker is registered, and [`NonBlocking`](super::nonblocking::NonBlocking) for
//! sockets of mio or the standard library.

use std::io;

use crate::pool::{BufferPool, PooledBuf, Ticket};

/// The receiving direction of a socket.
pub(crate) trait Source {
    /// Whether a read is worth a buffer.
    fn readable(&mut self) -> io::Result<()>;
    /// Reads once.
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize>;
    /// Takes a buffer of at least `size` bytes. At the pool's cap it queues for one, if it can.
    fn take(
        &mut self,
        pool: &BufferPool,
        ticket: &mut Option<Ticket>,
        size: usize,
    ) -> io::Result<PooledBuf>;
}

/// The sending direction of a socket.
pub(crate) trait Sink {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize>;
    fn flush(&mut self) -> io::Result<()>;
    /// Ends the direction, where the socket supports it.
    fn shutdown(&mut self) -> io::Result<()>;
}

/// Waits for readability, then reads once into a buffer from `pool`. A spurious readiness costs a buffer for the duration of
/// the call.
#[cfg(any(feature = "mio", feature = "tokio"))]
pub(crate) fn read_on_ready(
    source: &mut impl Source,
    pool: &BufferPool,
    ticket: &mut Option<Ticket>,
) -> io::Result<Option<PooledBuf>> {
    source.readable()?;
    let mut buf = source.take(pool, ticket, pool.buffer_size())?;
    match source.read(&mut buf)? {
        0 => Ok(None),
        n => {
            buf.truncate(n);
            Ok(Some(buf))
        }
    }
}
