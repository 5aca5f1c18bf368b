//! The two directions as objects of their own, which share nothing: no lock, no key, no buffer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use alts_handshaker::identity::PeerIdentity;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, tcp};
#[cfg(unix)]
use tokio::net::{UnixStream, unix};

use super::{AltsStream, Channel, Negotiated};
use crate::pool::{BufferPool, PooledBuf, Ticket};
use crate::ready::{Polled, ReadyReader, into_poll};

/// A socket that comes apart into owned halves.
pub trait IntoSplit {
    /// The receiving half.
    type Read;
    /// The sending half.
    type Write;
    /// Takes it apart.
    fn into_split(self) -> (Self::Read, Self::Write);
}

impl IntoSplit for TcpStream {
    type Read = tcp::OwnedReadHalf;
    type Write = tcp::OwnedWriteHalf;

    fn into_split(self) -> (Self::Read, Self::Write) {
        Self::into_split(self)
    }
}

#[cfg(unix)]
impl IntoSplit for UnixStream {
    type Read = unix::OwnedReadHalf;
    type Write = unix::OwnedWriteHalf;

    fn into_split(self) -> (Self::Read, Self::Write) {
        Self::into_split(self)
    }
}

impl<S: IntoSplit> AltsStream<S> {
    /// Takes the stream apart into owned halves that may live in different tasks. Streams over other transports come apart
    /// with `tokio::io::split`, at the price of a lock.
    ///
    /// What the kernel has refused is only sent by the [`WriteHalf`] from now on.
    pub fn into_split(self) -> (ReadHalf<S::Read>, WriteHalf<S::Write>) {
        let Self { io, mut channel } = self;
        let sender = channel.split_sender();
        let (read, write) = io.into_split();
        (ReadHalf { io: read, channel }, WriteHalf { io: write, channel: sender })
    }
}

/// The receiving half of an [`AltsStream`].
#[derive(Debug)]
pub struct ReadHalf<R> {
    io: R,
    channel: Channel,
}

impl<R> ReadHalf<R> {
    /// Who the peer proved to be.
    pub fn peer(&self) -> &PeerIdentity {
        &self.negotiated().peer
    }

    /// What the handshake settled.
    pub fn negotiated(&self) -> &Negotiated {
        &self.channel.shared().negotiated
    }

    /// See [`AltsStream::peer_closed_authenticated`].
    pub fn peer_closed_authenticated(&self) -> bool {
        self.channel.peer_closed_authenticated()
    }
}

impl<R: ReadyReader + AsyncRead + Unpin> ReadyReader for ReadHalf<R> {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        into_poll(self.channel.readable(&mut Polled { io: &mut self.io, cx }))
    }

    fn poll_read_on_ready(
        &mut self,
        cx: &mut Context<'_>,
        pool: &BufferPool,
        place: &mut Option<Ticket>,
    ) -> Poll<io::Result<Option<PooledBuf>>> {
        into_poll(self.channel.read_on_ready(&mut Polled { io: &mut self.io, cx }, pool, place))
    }
}

impl<R: ReadyReader + AsyncRead + Unpin> AsyncRead for ReadHalf<R> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let source = &mut Polled { io: &mut this.io, cx };
        let room = buf.remaining();
        into_poll(this.channel.read(source, room, |bytes| buf.put_slice(bytes))).map_ok(drop)
    }
}

/// The sending half of an [`AltsStream`].
///
/// Nothing else sends what the kernel refused: flush after writing.
#[derive(Debug)]
pub struct WriteHalf<W> {
    io: W,
    channel: Channel,
}

impl<W: AsyncWrite + Unpin> AsyncWrite for WriteHalf<W> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        into_poll(this.channel.write(&mut Polled { io: &mut this.io, cx }, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        into_poll(this.channel.flush(&mut Polled { io: &mut this.io, cx }))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        into_poll(this.channel.shutdown(&mut Polled { io: &mut this.io, cx }))
    }
}
