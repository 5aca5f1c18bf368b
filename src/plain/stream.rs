//! A plain connection over TCP or a Unix socket, as one type.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::address::TargetAddress;
use crate::connect::{self, Socket};
use crate::pool::{BufferPool, PooledBuf, Ticket};
use crate::ready::ReadyReader;

/// A plain connection.
#[derive(Debug)]
pub enum PlainStream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix socket.
    Unix(UnixStream),
}

/// A plain connection that no runtime watches, on its way from one runtime to another.
#[derive(Debug)]
pub enum StdStream {
    /// Over TCP.
    Tcp(std::net::TcpStream),
    /// Over a Unix socket.
    Unix(std::os::unix::net::UnixStream),
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
    /// Connects within `limit`. A name is resolved anew each time, and its addresses are tried as [`dial`](connect::dial) does.
    ///
    /// # Errors
    /// With the address in their text.
    pub async fn connect(target: &TargetAddress, limit: Duration) -> io::Result<Self> {
        let connected = match target {
            TargetAddress::Tcp(address) => {
                let address = (address.host.as_str(), address.port);
                connect::dial(address, limit).await.map(Self::Tcp)
            }
            TargetAddress::Unix(path) => match timeout(limit, UnixStream::connect(path)).await {
                Ok(connected) => connected.map(Self::Unix),
                Err(_) => {
                    Err(io::Error::new(io::ErrorKind::TimedOut, format!("no answer in {limit:?}")))
                }
            },
        };
        connected.map_err(|error| {
            io::Error::new(error.kind(), format!("cannot connect to {target}: {error}"))
        })
    }

    /// The peer's address, for TCP.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(socket) => socket.peer_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// This side's address, for TCP.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(socket) => socket.local_addr().ok(),
            Self::Unix(_) => None,
        }
    }

    /// Has the system ask whether the peer is alive after a silence of `idle`, for TCP.
    ///
    /// # Errors
    /// What the system says.
    pub fn set_keepalive(&self, idle: Duration) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => {
                SockRef::from(socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(idle))
            }
            Self::Unix(_) => Ok(()),
        }
    }

    /// Leaves the runtime that has watched it.
    ///
    /// # Errors
    /// What the system says.
    pub fn into_std(self) -> io::Result<StdStream> {
        match self {
            Self::Tcp(socket) => socket.into_std().map(StdStream::Tcp),
            Self::Unix(socket) => socket.into_std().map(StdStream::Unix),
        }
    }

    /// Has the runtime of the caller watch the connection, which must be in non-blocking mode, as [`into_std`](Self::into_std)
    /// leaves it.
    ///
    /// # Errors
    /// What the system says.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn from_std(stream: StdStream) -> io::Result<Self> {
        match stream {
            StdStream::Tcp(socket) => TcpStream::from_std(socket).map(Self::Tcp),
            StdStream::Unix(socket) => UnixStream::from_std(socket).map(Self::Unix),
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
