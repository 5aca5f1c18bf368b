//! Moving bytes between bare sockets without taking them into this process.
//!
//! * A pipe is filled only while it is empty: then "would block" means that the socket has nothing, and clears its readiness.
//!   In a pipe with bytes it could mean that the pipe has no slot, and a wake-up would be lost.
//! * `SPLICE_F_MORE` is never set: it makes the kernel hold back a last short segment for 200 ms.
//! * `SPLICE_F_NONBLOCK` is always set: the socket's own flag does not cover the pipe's side.

use std::io;
use std::task::{Context, Poll};

use rustix::pipe::{SpliceFlags, splice};
use tokio::io::Interest;

use super::end::BareSocket;
use super::pipe::Lease;

impl BareSocket<'_> {
    /// Moves what has arrived into an empty pipe. 0 is the end of the stream.
    pub(super) fn fill(self, pipe: &mut Lease) -> io::Result<usize> {
        debug_assert_eq!(pipe.filled, 0, "only an empty pipe is filled");
        let into = pipe.write_end();
        let room = pipe.capacity();
        let filled = match self {
            Self::Tcp(socket) => socket.try_io(Interest::READABLE, || {
                retry(|| splice(socket, None, into, None, room, SpliceFlags::NONBLOCK))
            }),
            Self::Unix(socket) => socket.try_io(Interest::READABLE, || {
                retry(|| splice(socket, None, into, None, room, SpliceFlags::NONBLOCK))
            }),
        }?;
        pipe.filled = filled;
        Ok(filled)
    }

    /// Moves what is in the pipe to the socket, as far as it goes now.
    pub(super) fn drain(self, pipe: &mut Lease) -> io::Result<usize> {
        let from = pipe.read_end();
        let len = pipe.filled;
        let drained = match self {
            Self::Tcp(socket) => socket.try_io(Interest::WRITABLE, || {
                retry(|| splice(from, None, socket, None, len, SpliceFlags::NONBLOCK))
            }),
            Self::Unix(socket) => socket.try_io(Interest::WRITABLE, || {
                retry(|| splice(from, None, socket, None, len, SpliceFlags::NONBLOCK))
            }),
        }?;
        pipe.filled -= drained;
        Ok(drained)
    }

    pub(super) fn poll_readable(self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(socket) => socket.poll_read_ready(cx),
            Self::Unix(socket) => socket.poll_read_ready(cx),
        }
    }

    pub(super) fn poll_writable(self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(socket) => socket.poll_write_ready(cx),
            Self::Unix(socket) => socket.poll_write_ready(cx),
        }
    }
}

/// Whether the kernel cannot splice these descriptors at all. Nothing has been moved then.
pub(super) fn is_refused(error: &io::Error) -> bool {
    use rustix::io::Errno;
    [Errno::INVAL, Errno::NOSYS, Errno::BADF, Errno::OPNOTSUPP, Errno::PERM]
        .into_iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

fn retry(mut splice: impl FnMut() -> rustix::io::Result<usize>) -> io::Result<usize> {
    loop {
        match splice() {
            Err(rustix::io::Errno::INTR) => {}
            result => return result.map_err(Into::into),
        }
    }
}
