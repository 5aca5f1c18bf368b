//! Secured byte streams.

mod both;
mod channel;
mod moving;
mod negotiated;
mod nonblocking;
mod observed;
mod receive;
mod send;
#[cfg(feature = "tokio")]
mod split;
mod stall;
mod terms;
#[cfg(test)]
mod tests;
#[cfg(feature = "tokio")]
mod tokio;
mod window;

use std::fmt;
#[cfg(unix)]
use std::os::fd::{AsFd, BorrowedFd};
#[cfg(windows)]
use std::os::windows::io::{AsSocket, BorrowedSocket};

use alts_handshaker::identity::PeerIdentity;

use crate::pool::BufferPool;
use receive::Receiving;
use send::Sending;

pub use negotiated::{Negotiated, SecurityLevel, StreamOptions};
#[cfg(feature = "tokio")]
pub use split::{IntoSplit, ReadHalf, Reunite, ReuniteError, WriteHalf};

pub(crate) use channel::Channel;
pub(crate) use terms::Terms;

/// A byte stream over `S` that is encrypted and authenticated with ALTS records. A [`Connector`](crate::Connector) or an
/// [`Acceptor`](crate::Acceptor) makes it.
///
/// While nothing arrives and nothing waits to be sent, it consists of the socket, 44 bytes of key material, two counters, and
/// a pointer to what was negotiated: `AltsStream<TcpStream>` is 152 bytes and owns no other memory. It takes a buffer from its
/// pool when the socket is readable and returns it when the plaintext has been read.
///
/// * Over tokio's sockets it is a [`ReadyReader`](crate::ready::ReadyReader), `AsyncRead` and `AsyncWrite`; over the
///   non-blocking sockets of mio and the standard library it is `std::io::Read` and `Write`, and
///   [`TryReadyReader`](crate::ready::TryReadyReader).
/// * **Writing**: each write seals up to a batch of records ([`StreamOptions::write_batch`]) for one system call. What the
///   kernel does not take at once is kept, and sent by the next read, write, flush or shutdown; later writes join it, up to
///   a batch in all. Flush before waiting for something other than this stream. An error of the socket ends the sending
///   direction: every later write, flush and shutdown repeats it, since part of a record may have been sent.
/// * **Cancellation**: reads, writes and readiness waits may be dropped at any time; nothing is lost. At the pool's cap a dropped
///   `AsyncRead` read keeps its ticket in the queue, and the buffer when its turn comes, until the stream is read or dropped.
/// * **End**: if the peer uses this crate too, each direction ends with an authenticated record, and a stream without it fails
///   with `UnexpectedEof`. gRPC's own peers have no such record; there the end between two records is a clean end, and
///   [`peer_closed_authenticated`](Self::peer_closed_authenticated) is `false`. An end inside a record is always
///   `UnexpectedEof`.
/// * **Shutdown** sends what waits and the authenticated end, then ends the socket's direction; no write is accepted after it was
///   called. It also reads the peer's closing record, at most 24 bytes, if that is already in the socket: dropping a TCP socket
///   over unread bytes resets the connection, and the peer may lose the end of what was written. Where another task waits in
///   a read, that task reads it. A peer that closes *after* the stream was dropped can still cause a reset, so a server
///   should read to the end before dropping, or shut down last.
/// * **A client's first read** may fail because the server refused the client's certificate: the client finished its side of the
///   handshake before. A write that fails may report this as well.
/// * **A peer that does not read** blocks writes for as long as the caller is patient; one batch of sealed bytes is held
///   meanwhile. Put a timeout around writes where that matters.
/// * **A peer that stops inside a record** keeps a buffer only while memory is not needed: see [`StreamOptions::stall_limit`].
/// * **Drop** sends nothing and reads nothing, whatever `S` is: it cannot wait. Over a TCP socket in which bytes of the peer lie
///   unread, its closing record for instance, the kernel answers a drop with a reset, and what is still on its way to the peer is
///   lost. To end a stream so that nothing is: write, `shutdown`, read until the end, with a
///   timeout if the peer may never end, and only then drop.
///
///   ```no_run
///   # async fn end(mut stream: alts::AltsStream<tokio::net::TcpStream>) -> std::io::Result<()> {
///   use alts::ready::ReadyReader;
///   use tokio::io::AsyncWriteExt;
///
///   stream.write_all(b"the answer").await?;
///   stream.shutdown().await?;
///   let pool = stream.pool().clone();
///   while stream.read_on_ready(&pool).await?.is_some() {}
///   drop(stream);
///   # Ok(())
///   # }
///   ```
pub struct AltsStream<S> {
    io: S,
    channel: Channel<Receiving, Sending>,
}

impl<S> AltsStream<S> {
    pub(crate) fn new(io: S, channel: Channel<Receiving, Sending>) -> Self {
        Self { io, channel }
    }

    /// The peer's proven identity.
    pub fn peer(&self) -> &PeerIdentity {
        &self.negotiated().peer
    }

    /// What the handshake settled.
    pub fn negotiated(&self) -> &Negotiated {
        &self.channel.terms().negotiated
    }

    /// The pool of this stream's buffers.
    pub fn pool(&self) -> &BufferPool {
        &self.channel.terms().pool
    }

    #[cfg(any(feature = "axum", feature = "tonic"))]
    pub(crate) fn terms(&self) -> &std::sync::Arc<Terms> {
        self.channel.terms()
    }

    /// Whether the peer has ended its direction with an authenticated record. `false` unless
    /// [`Negotiated::close_notify`] is `true`.
    pub fn peer_closed_authenticated(&self) -> bool {
        self.channel.peer_closed_authenticated()
    }

    /// The transport, for its addresses and options. Reading or writing it directly breaks the stream.
    pub fn get_ref(&self) -> &S {
        &self.io
    }

    /// As [`get_ref`](Self::get_ref), for instance to register a socket with an event loop.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.io
    }

    /// The transport, without the secured connection on it.
    ///
    /// The connection is over, since its keys are gone: what was received and not read is lost, and so is what was written
    /// and not yet taken by the kernel, so flush before. Nothing is sent: a peer that was to be told of the end
    /// ([`Negotiated::close_notify`]) sees the stream cut off unless it was shut down before. The transport itself is as it
    /// was, with its two directions open unless they were ended.
    ///
    /// ```
    /// # use std::time::SystemTime;
    /// # use alts::handshaker::{LocalHandshaker, dev_ca::DevCa, identity::Policy};
    /// # use alts::{Acceptor, Connector};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let now = SystemTime::now();
    /// # let both = DevCa::new(now)?.issue("spiffe://dev.local/both", now)?.identity(now)?;
    /// # let acceptor = Acceptor::new(LocalHandshaker::builder(both.clone()).build());
    /// # let policy = Policy::own_trust_domain();
    /// # let connector = Connector::new(LocalHandshaker::builder(both).server_policy(policy).build());
    /// # let (near, far) = tokio::net::UnixStream::pair()?;
    /// # let (near, far) = tokio::join!(connector.connect(near), acceptor.accept(far));
    /// # let (mut stream, _far) = (near?, far?);
    /// use tokio::io::AsyncWriteExt;
    ///
    /// stream.write_all(b"goodbye").await?;
    /// stream.shutdown().await?;
    /// let socket: tokio::net::UnixStream = stream.into_inner();
    /// # drop(socket);
    /// # Ok(())
    /// # }
    /// ```
    pub fn into_inner(self) -> S {
        self.io
    }
}

/// The descriptor of the socket, for its options. Reading or writing it directly breaks the stream.
#[cfg(unix)]
impl<S: AsFd> AsFd for AltsStream<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.io.as_fd()
    }
}

/// The handle of the socket, for its options. Reading or writing it directly breaks the stream.
#[cfg(windows)]
impl<S: AsSocket> AsSocket for AltsStream<S> {
    fn as_socket(&self) -> BorrowedSocket<'_> {
        self.io.as_socket()
    }
}

impl<S: fmt::Debug> fmt::Debug for AltsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AltsStream").field("io", &self.io).field("channel", &self.channel).finish()
    }
}
