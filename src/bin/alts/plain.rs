//! A plain connection over TCP or a Unix socket, as one type.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use alts::connect::Socket;
use alts::pool::{BufferPool, PooledBuf, Ticket};
use alts::ready::ReadyReader;
use alts::relay::{BareSocket, RelayEnd};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::net::UnixStream;

/// A plain connection.
#[derive(Debug)]
pub(crate) enum PlainStream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Calls the same on either.
macro_rules! either {
    ($stream:expr, $io:ident => $call:expr) => {
        match $stream {
            PlainStream::Tcp($io) => $call,
            PlainStream::Unix($io) => $call,
        }
    };
}

impl PlainStream {
    /// The peer's address, for TCP.
    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(socket) => socket.peer_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// This side's address, for TCP.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(socket) => socket.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// Small segments are sent at once, and a peer that has vanished is noticed after a while.
    pub(crate) fn tune(&self, keepalive: Option<Duration>) {
        let Self::Tcp(socket) = self else { return };
        let tuned = socket.set_nodelay(true).and_then(|()| match keepalive {
            Some(idle) => {
                SockRef::from(socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(idle))
            }
            None => Ok(()),
        });
        if let Err(error) = tuned {
            tracing::debug!(%error, "cannot set the options of a socket");
        }
    }
}

impl ReadyReader for PlainStream {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, io => io.poll_readable(cx))
    }

    fn poll_read_on_ready(
        &mut self,
        cx: &mut Context<'_>,
        pool: &BufferPool,
        ticket: &mut Option<Ticket>,
    ) -> Poll<io::Result<Option<PooledBuf>>> {
        either!(self, io => io.poll_read_on_ready(cx, pool, ticket))
    }
}

impl AsyncRead for PlainStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        either!(self.get_mut(), io => Pin::new(io).poll_read(cx, buf))
    }
}

impl AsyncWrite for PlainStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), io => Pin::new(io).poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self.get_mut(), io => Pin::new(io).poll_shutdown(cx))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self.get_mut(), io => Pin::new(io).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        either!(self, io => io.is_write_vectored())
    }
}

impl Socket for PlainStream {
    fn source(&self) -> Option<IpAddr> {
        either!(self, io => Socket::source(io))
    }

    fn set_nodelay(&self) -> io::Result<()> {
        either!(self, io => Socket::set_nodelay(io))
    }

    fn limit_unsent(&self, bytes: u32) -> io::Result<()> {
        either!(self, io => io.limit_unsent(bytes))
    }
}

impl RelayEnd for PlainStream {
    fn bare(&self) -> Option<BareSocket<'_>> {
        either!(self, io => io.bare())
    }

    fn abort(self) {
        either!(self, io => io.abort());
    }
}
