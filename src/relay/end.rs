//! What a relay asks of a connection.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

use crate::ready::{Probed, ReadyReader};

/// One end of a [`relay`](super::relay()). Everything but reading and writing is optional.
pub trait RelayEnd: ReadyReader + AsyncWrite + Unpin {
    /// The socket, if the bytes of this connection are exactly those on it, so that the kernel can move them. Anything that
    /// encrypts, frames or buffers answers `None`.
    fn bare(&self) -> Option<BareSocket<'_>> {
        None
    }

    /// Asked when reading has come to the end of the stream: whether the peer announced it, where it had agreed to. A connection
    /// without such announcements answers `true`.
    fn ended_cleanly(&self) -> bool {
        true
    }

    /// Drops the connection in such a way that the peer notices that the stream was cut, if the transport has one.
    fn abort(self)
    where
        Self: Sized,
    {
        drop(self);
    }
}

/// A socket whose bytes the kernel can move.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum BareSocket<'io> {
    /// TCP.
    Tcp(&'io TcpStream),
    /// A Unix stream socket.
    #[cfg(unix)]
    Unix(&'io UnixStream),
}

impl RelayEnd for TcpStream {
    fn bare(&self) -> Option<BareSocket<'_>> {
        Some(BareSocket::Tcp(self))
    }

    /// Sends a reset.
    fn abort(self) {
        if let Err(error) = self.set_zero_linger() {
            tracing::debug!(%error, "the connection is closed without a reset");
        }
    }
}

/// A Unix socket knows no reset: its peer sees the end of the stream, and `ECONNRESET` if this side left bytes unread.
#[cfg(unix)]
impl RelayEnd for UnixStream {
    fn bare(&self) -> Option<BareSocket<'_>> {
        Some(BareSocket::Unix(self))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> RelayEnd for Probed<S> {}
