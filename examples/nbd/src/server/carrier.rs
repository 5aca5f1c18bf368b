//! The stream of a connection, whose two directions are used side by side.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use alts::relay::BareSocket;
#[cfg(target_os = "linux")]
use std::os::fd::BorrowedFd;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A stream, and whether its bytes are exactly those on a socket.
pub(super) struct Carrier<S> {
    io: S,
    #[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "files are sent by Linux"))]
    bare: for<'io> fn(&'io S) -> Option<BareSocket<'io>>,
}

impl<S> Carrier<S> {
    /// A stream of which nothing is known.
    pub(super) fn opaque(io: S) -> Self {
        Self { io, bare: |_| None }
    }

    /// A stream that says what it is.
    pub(super) fn of_socket(io: S, bare: for<'io> fn(&'io S) -> Option<BareSocket<'io>>) -> Self {
        Self { io, bare }
    }

    /// The same stream for reading and for writing.
    pub(super) fn split(self) -> (Half<S>, Half<S>) {
        let shared = Arc::new(Mutex::new(self));
        (Half(Arc::clone(&shared)), Half(shared))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Carrier<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Carrier<S> {
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

/// One direction of a stream. Both belong to one task: nobody waits for the lock.
pub(super) struct Half<S>(Arc<Mutex<Carrier<S>>>);

impl<S> Half<S> {
    fn carrier(&self) -> MutexGuard<'_, Carrier<S>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is only a socket between this side and the client.
    #[cfg(target_os = "linux")]
    pub(super) fn is_bare(&self) -> bool {
        let carrier = self.carrier();
        (carrier.bare)(&carrier.io).is_some()
    }

    /// Sends what a file contains, without taking it into this process. 0 is the end of the file. `None` if there is more than a
    /// socket between this side and the client.
    #[cfg(target_os = "linux")]
    pub(super) fn poll_send_file(
        &self,
        cx: &mut Context<'_>,
        file: BorrowedFd<'_>,
        offset: u64,
        len: usize,
    ) -> Option<Poll<io::Result<usize>>> {
        let carrier = self.carrier();
        let socket = (carrier.bare)(&carrier.io)?;
        Some(poll_send_file(socket, cx, file, offset, len))
    }
}

#[cfg(target_os = "linux")]
fn poll_send_file(
    socket: BareSocket<'_>,
    cx: &mut Context<'_>,
    file: BorrowedFd<'_>,
    offset: u64,
    len: usize,
) -> Poll<io::Result<usize>> {
    use rustix::fs::sendfile;
    use tokio::io::Interest;

    loop {
        std::task::ready!(match socket {
            BareSocket::Tcp(socket) => socket.poll_write_ready(cx),
            BareSocket::Unix(socket) => socket.poll_write_ready(cx),
            _ => return Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        })?;
        let mut at = offset;
        let sent = match socket {
            BareSocket::Tcp(socket) => socket.try_io(Interest::WRITABLE, || {
                sendfile(socket, file, Some(&mut at), len).map_err(Into::into)
            }),
            BareSocket::Unix(socket) => socket.try_io(Interest::WRITABLE, || {
                sendfile(socket, file, Some(&mut at), len).map_err(Into::into)
            }),
            _ => return Poll::Ready(Err(io::ErrorKind::Unsupported.into())),
        };
        match sent {
            // Readiness was false, and is to be waited for from now on.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            sent => return Poll::Ready(sent),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Half<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.carrier()).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Half<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.carrier()).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.carrier()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.carrier()).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.carrier()).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.carrier().is_write_vectored()
    }
}

impl<S> fmt::Debug for Half<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Half").finish_non_exhaustive()
    }
}
