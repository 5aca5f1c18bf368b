//! Secured byte streams.

mod channel;
mod moving;
mod negotiated;
mod nonblocking;
mod outbound;
mod receive;
mod send;
#[cfg(feature = "tokio")]
mod split;
mod stall;
#[cfg(test)]
mod tests;
#[cfg(feature = "tokio")]
mod tokio;
mod window;

use std::fmt;

use alts_handshaker::identity::PeerIdentity;

use crate::pool::BufferPool;

pub use negotiated::{Negotiated, SecurityLevel, StreamOptions};
#[cfg(feature = "tokio")]
pub use split::{IntoSplit, ReadHalf, WriteHalf};

pub(crate) use channel::Channel;
pub(crate) use negotiated::Shared;

/// A byte stream over `S` that is encrypted and authenticated with ALTS records. Made by a
/// [`Connector`](crate::Connector) or an [`Acceptor`](crate::Acceptor).
///
/// While nothing arrives and nothing waits to be sent it consists of the socket, 44 bytes of key material, two counters, and
/// a shared pointer to what was negotiated: `AltsStream<TcpStream>` is 152 bytes and owns no other memory. It takes a buffer
/// from its pool when the socket is readable and gives it back when the plaintext has been read.
///
/// * Over tokio's sockets it is a [`ReadyReader`](crate::ready::ReadyReader), `AsyncRead` and `AsyncWrite`; over the
///   non-blocking sockets of mio and the standard library it is `std::io::Read` and `Write`, and
///   [`TryReadyReader`](crate::ready::TryReadyReader).
/// * **Writing**: each write seals up to a batch of records ([`StreamOptions::write_batch`]) for one system call. What the
///   kernel does not take at once is kept, and sent by the next read, write, flush or shutdown; later writes join it, up to
///   a batch in all. Flush before waiting for something other than this stream.
/// * **Cancellation**: reads, writes and readiness waits may be dropped at any time; nothing is lost. At the pool's cap a dropped
///   `AsyncRead` read keeps its place in the queue, and the buffer when its turn comes, until the stream is read or dropped.
/// * **End**: if the peer is ours too, each direction ends with an authenticated record and a stream without it fails with
///   `UnexpectedEof`. gRPC's own peers know no such record; there the end between two records is a clean end, and
///   [`peer_closed_authenticated`](Self::peer_closed_authenticated) is `false`. Inside a record it is `UnexpectedEof` always.
/// * **A client's first read** may be told that the server refused the client's certificate: the client had finished its side of the
///   handshake before. So may a write that fails.
/// * **A peer that does not read** makes a write wait for as long as the caller is patient; one batch of sealed bytes is held
///   meanwhile. Put a timeout around writes where that matters.
/// * **Drop** sends nothing: shut down first.
pub struct AltsStream<S> {
    io: S,
    channel: Channel,
}

impl<S> AltsStream<S> {
    pub(crate) fn new(io: S, channel: Channel) -> Self {
        Self { io, channel }
    }

    /// Who the peer proved to be.
    pub fn peer(&self) -> &PeerIdentity {
        &self.negotiated().peer
    }

    /// What the handshake settled.
    pub fn negotiated(&self) -> &Negotiated {
        &self.channel.shared().negotiated
    }

    /// Where this stream's buffers come from.
    pub fn pool(&self) -> &BufferPool {
        &self.channel.shared().pool
    }

    #[cfg(feature = "tonic")]
    pub(crate) fn shared(&self) -> &std::sync::Arc<Shared> {
        &self.channel.shared
    }

    /// Whether the peer has ended its direction with an authenticated record. Only ever `true` if
    /// [`Negotiated::close_notify`] is.
    pub fn peer_closed_authenticated(&self) -> bool {
        self.channel.peer_closed_authenticated()
    }

    /// The transport underneath, for its addresses and options. Reading or writing it directly breaks the stream.
    pub fn get_ref(&self) -> &S {
        &self.io
    }

    /// As [`get_ref`](Self::get_ref): for instance to register a socket with an event loop.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.io
    }
}

impl<S: fmt::Debug> fmt::Debug for AltsStream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AltsStream").field("io", &self.io).field("channel", &self.channel).finish()
    }
}
