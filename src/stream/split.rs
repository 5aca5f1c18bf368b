//! The two directions as objects of their own, which share no lock and no buffer.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use alts_handshaker::identity::PeerIdentity;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, tcp};
#[cfg(unix)]
use tokio::net::{UnixStream, unix};

use super::receive::Receiving;
use super::send::Sending;
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

/// The receiving half of a socket, which can be put together with the sending half `W` again.
pub trait Reunite<W>: Sized {
    /// The socket.
    type Whole;
    /// Puts it together.
    ///
    /// # Errors
    /// Both halves, if they do not come from the same socket.
    fn reunite(self, write: W) -> Result<Self::Whole, (Self, W)>;
}

impl IntoSplit for TcpStream {
    type Read = tcp::OwnedReadHalf;
    type Write = tcp::OwnedWriteHalf;

    fn into_split(self) -> (Self::Read, Self::Write) {
        Self::into_split(self)
    }
}

impl Reunite<tcp::OwnedWriteHalf> for tcp::OwnedReadHalf {
    type Whole = TcpStream;

    fn reunite(self, write: tcp::OwnedWriteHalf) -> Result<TcpStream, (Self, tcp::OwnedWriteHalf)> {
        Self::reunite(self, write).map_err(|tcp::ReuniteError(read, write)| (read, write))
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

#[cfg(unix)]
impl Reunite<unix::OwnedWriteHalf> for unix::OwnedReadHalf {
    type Whole = UnixStream;

    fn reunite(
        self,
        write: unix::OwnedWriteHalf,
    ) -> Result<UnixStream, (Self, unix::OwnedWriteHalf)> {
        Self::reunite(self, write).map_err(|unix::ReuniteError(read, write)| (read, write))
    }
}

impl<S: IntoSplit> AltsStream<S> {
    /// Takes the stream apart into owned halves that may live in different tasks. Streams over other transports come apart
    /// with `tokio::io::split`, at the price of a lock.
    ///
    /// What the kernel has refused is only sent by the [`WriteHalf`] from now on.
    ///
    /// ```
    /// # use std::time::SystemTime;
    /// # use alts::handshaker::{LocalHandshaker, dev_ca::DevCa, identity::Policy};
    /// # use alts::{Acceptor, Connector};
    /// use tokio::io::{AsyncReadExt, AsyncWriteExt};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let now = SystemTime::now();
    /// # let both = DevCa::new(now)?.issue("spiffe://dev.local/both", now)?.identity(now)?;
    /// # let acceptor = Acceptor::new(LocalHandshaker::builder(both.clone()).build());
    /// # let policy = Policy::own_trust_domain();
    /// # let connector = Connector::new(LocalHandshaker::builder(both).server_policy(policy).build());
    /// # let (near, far) = tokio::net::UnixStream::pair()?;
    /// # let (near, far) = tokio::join!(connector.connect(near), acceptor.accept(far));
    /// # let (near, mut far) = (near?, far?);
    /// let (mut read, mut write) = near.into_split();
    /// let writer = tokio::spawn(async move {
    ///     write.write_all(b"a request").await?;
    ///     write.flush().await?;
    ///     Ok::<_, std::io::Error>(write)
    /// });
    /// # far.read_exact(&mut [0; 9]).await?;
    /// # far.write_all(b"an answer").await?;
    /// let mut answer = [0; 9];
    /// read.read_exact(&mut answer).await?;
    /// assert_eq!(&answer, b"an answer");
    ///
    /// let mut near = read.reunite(writer.await??)?;
    /// near.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_split(self) -> (ReadHalf<S::Read>, WriteHalf<S::Write>) {
        let Self { io, channel } = self;
        let (receiver, sender) = channel.split();
        let (read, write) = io.into_split();
        (ReadHalf { io: read, channel: receiver }, WriteHalf { io: write, channel: sender })
    }
}

/// The receiving half of an [`AltsStream`].
///
/// It has no counter to seal records with.
#[derive(Debug)]
pub struct ReadHalf<R> {
    io: R,
    channel: Channel<Receiving, ()>,
}

impl<R> ReadHalf<R> {
    /// The peer's proven identity.
    pub fn peer(&self) -> &PeerIdentity {
        &self.negotiated().peer
    }

    /// What the handshake settled.
    pub fn negotiated(&self) -> &Negotiated {
        &self.channel.terms().negotiated
    }

    /// See [`AltsStream::peer_closed_authenticated`].
    pub fn peer_closed_authenticated(&self) -> bool {
        self.channel.peer_closed_authenticated()
    }

    /// The transport's half, for its addresses and options. Reading it directly breaks the stream.
    pub fn get_ref(&self) -> &R {
        &self.io
    }

    /// Makes one stream of the two halves again.
    ///
    /// # Errors
    /// Both halves, if they do not come from the same stream.
    #[expect(clippy::result_large_err, reason = "the halves are given back, as tokio's are")]
    pub fn reunite<W>(self, write: WriteHalf<W>) -> Result<AltsStream<R::Whole>, ReuniteError<R, W>>
    where
        R: Reunite<W>,
    {
        let (receiver, sender) = (self.channel, write.channel);
        match self.io.reunite(write.io) {
            Ok(io) => Ok(AltsStream { io, channel: Channel::join(receiver, sender) }),
            Err((read, write)) => Err(ReuniteError(
                Self { io: read, channel: receiver },
                WriteHalf { io: write, channel: sender },
            )),
        }
    }
}

/// The two halves do not come from the same stream. They are in here.
#[derive(Debug)]
pub struct ReuniteError<R, W>(
    /// The receiving half.
    pub ReadHalf<R>,
    /// The sending half.
    pub WriteHalf<W>,
);

impl<R, W> fmt::Display for ReuniteError<R, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the two halves do not come from the same stream")
    }
}

impl<R: fmt::Debug, W: fmt::Debug> std::error::Error for ReuniteError<R, W> {}

impl<R: ReadyReader + AsyncRead + Unpin> ReadyReader for ReadHalf<R> {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        into_poll(self.channel.readable(&mut Polled { io: &mut self.io, cx }))
    }

    fn poll_read_on_ready(
        &mut self,
        cx: &mut Context<'_>,
        pool: &BufferPool,
        ticket: &mut Option<Ticket>,
    ) -> Poll<io::Result<Option<PooledBuf>>> {
        into_poll(self.channel.read_on_ready(&mut Polled { io: &mut self.io, cx }, pool, ticket))
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
/// Nothing else sends what the kernel refused: flush after writing. It has no counter to open records with, so its shutdown
/// leaves the peer's closing record to the [`ReadHalf`]: read to the end before dropping both.
#[derive(Debug)]
pub struct WriteHalf<W> {
    io: W,
    channel: Channel<(), Sending>,
}

impl<W> WriteHalf<W> {
    /// The peer's proven identity.
    pub fn peer(&self) -> &PeerIdentity {
        &self.negotiated().peer
    }

    /// What the handshake settled.
    pub fn negotiated(&self) -> &Negotiated {
        &self.channel.terms().negotiated
    }

    /// The transport's half, for its addresses and options. Writing to it directly breaks the stream.
    pub fn get_ref(&self) -> &W {
        &self.io
    }
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
