//! Streams over non-blocking sockets of mio and the standard library, for event loops without tokio.

use std::io::{self, IoSlice};
use std::time::Instant;

use super::AltsStream;
use crate::pool::{BufferPool, PooledBuf};
use crate::ready::{NonBlocking, TryReadyReader};

impl<S: io::Read + io::Write> AltsStream<S> {
    /// Sends what the kernel refused before, as far as it takes it. A reader does this too: its peer may be waiting for just
    /// these bytes. The next write reports failures; what was received can still be read.
    fn try_drain(&mut self) {
        let _ = self.channel.drain(&mut NonBlocking(&mut self.io));
    }

    /// Ends the sending direction with an authenticated close, if that was negotiated, and flushes. Afterwards the caller
    /// shuts the socket's write half down.
    ///
    /// # Errors
    /// `WouldBlock` if the kernel does not take all of it yet: call again when the socket is writable. Other errors are final
    /// and repeat.
    pub fn try_close(&mut self) -> io::Result<()> {
        let closed = self.channel.close(&mut NonBlocking(&mut self.io));
        self.channel.or_refusal(&mut NonBlocking(&mut self.io), closed)
    }

    /// Whether sealed bytes wait for the socket to become writable.
    pub fn wants_write(&self) -> bool {
        self.channel.has_outbound()
    }

    /// When part of a large record will have occupied its buffer for too long
    /// ([`StreamOptions::stall_limit`](super::StreamOptions::stall_limit)). Read at that time: if other readers have no buffer
    /// for as long, the read fails and the buffer is free. `None` if no record is incomplete, or the limit is never reached.
    pub fn stall_deadline(&self) -> Option<Instant> {
        self.channel.stall_deadline()
    }
}

/// Over mio's sockets, and any other that answer `WouldBlock`.
impl<S: io::Read + io::Write> TryReadyReader for AltsStream<S> {
    fn try_read_on_ready(&mut self, pool: &BufferPool) -> io::Result<Option<PooledBuf>> {
        self.try_drain();
        self.channel.read_on_ready(&mut NonBlocking(&mut self.io), pool, &mut None)
    }
}

/// Answers `WouldBlock` where the socket does, and `ResourceBusy` at the pool's cap.
impl<S: io::Read + io::Write> io::Read for AltsStream<S> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.try_drain();
        let room = buf.len();
        let mut rest = buf;
        self.channel.read(&mut NonBlocking(&mut self.io), room, |bytes| {
            let (now, later) = std::mem::take(&mut rest).split_at_mut(bytes.len());
            now.copy_from_slice(bytes);
            rest = later;
        })
    }
}

/// Answers `WouldBlock` only if nothing was sealed; see [`AltsStream::wants_write`].
impl<S: io::Read + io::Write> io::Write for AltsStream<S> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(buf)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        let written = self.channel.write(&mut NonBlocking(&mut self.io), bufs);
        self.channel.or_refusal(&mut NonBlocking(&mut self.io), written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.channel.flush(&mut NonBlocking(&mut self.io));
        self.channel.or_refusal(&mut NonBlocking(&mut self.io), flushed)
    }
}
