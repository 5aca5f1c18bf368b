//! What a request can tell of its connection.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Extensions;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;

use crate::pool::{BufferPool, PooledBuf, Ticket};
use crate::ready::{Probed, ReadyReader};

/// A transport that can say where its peer is.
pub trait Connected {
    /// Puts what is known of the peer into the extensions of requests. Called for each request that comes while no other is open, and once
    /// for those that come while others are: they get clones.
    fn extend(&self, extensions: &mut Extensions);

    /// Called before the first byte: sets options of the socket. Errors are not fatal.
    fn begin(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The addresses of a connection, in the extensions of requests that came over TCP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SocketInfo {
    /// This side's.
    pub local: Option<SocketAddr>,
    /// The peer's.
    pub remote: Option<SocketAddr>,
}

impl Connected for TcpStream {
    fn extend(&self, extensions: &mut Extensions) {
        let info = SocketInfo { local: self.local_addr().ok(), remote: self.peer_addr().ok() };
        extensions.insert(info);
    }

    /// A response is one write; Nagle's algorithm would only hold it back.
    fn begin(&self) -> io::Result<()> {
        self.set_nodelay(true)
    }
}

/// Requests over Unix sockets have the peer's credentials in their extensions, as `tokio::net::unix::UCred`.
#[cfg(unix)]
impl Connected for UnixStream {
    fn extend(&self, extensions: &mut Extensions) {
        if let Ok(credentials) = self.peer_cred() {
            extensions.insert(credentials);
        }
    }
}

impl<S: Connected> Connected for Probed<S> {
    fn extend(&self, extensions: &mut Extensions) {
        self.get_ref().extend(extensions);
    }

    fn begin(&self) -> io::Result<()> {
        self.get_ref().begin()
    }
}

/// A transport of any kind, with what the program knows of its peer: certificates, an address from a proxy's header, nothing.
#[derive(Debug)]
pub struct Described<IO> {
    io: IO,
    extensions: Extensions,
}

impl<IO> Described<IO> {
    /// Requests over `io` get a clone of these extensions.
    pub fn new(io: IO, extensions: Extensions) -> Self {
        Self { io, extensions }
    }
}

impl<IO> Connected for Described<IO> {
    fn extend(&self, extensions: &mut Extensions) {
        extensions.extend(self.extensions.clone());
    }
}

impl<IO: ReadyReader> ReadyReader for Described<IO> {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.poll_readable(cx)
    }

    fn poll_read_on_ready(
        &mut self,
        cx: &mut Context<'_>,
        pool: &BufferPool,
        ticket: &mut Option<Ticket>,
    ) -> Poll<io::Result<Option<PooledBuf>>> {
        self.io.poll_read_on_ready(cx, pool, ticket)
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Described<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
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

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
