//! The transports that are compared, and what each is for a program that uses it.

mod alts;
mod tcp;
mod tls;

use std::io;
use std::ops::{Deref, Range};
use std::path::Path;
use std::task::{Context, Poll};

use ::alts::connect::Settings;
use ::alts::pool::{BufferPool, PooledBuf};
use ::alts::ready::ReadyReader;
use ::alts::record::AeadProvider;
use alts_benches::identity::Pem;
use alts_benches::tls::Tls;
use clap::ValueEnum;
use rustls::crypto::CryptoProvider;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// The list. To compare another transport: add it here, to [`Peer::visit`], and implement [`Transport`] for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Peer {
    Tcp,
    /// With the limit of unsent bytes that alts sets.
    TcpUnsent,
    Alts,
    #[cfg(feature = "aws-lc-rs")]
    AltsAwsLc,
    RustlsRing,
    /// With the limit of unsent bytes that alts sets.
    RustlsRingUnsent,
    #[cfg(feature = "aws-lc-rs")]
    RustlsAwsLc,
}

impl Peer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::TcpUnsent => "tcp-unsent",
            Self::Alts => "alts",
            #[cfg(feature = "aws-lc-rs")]
            Self::AltsAwsLc => "alts-aws-lc",
            Self::RustlsRing => "rustls-ring",
            Self::RustlsRingUnsent => "rustls-ring-unsent",
            #[cfg(feature = "aws-lc-rs")]
            Self::RustlsAwsLc => "rustls-aws-lc",
        }
    }

    /// All of them, in the order of the tables.
    pub(crate) fn all() -> &'static [Self] {
        Self::value_variants()
    }

    /// How many bytes the kernel takes that it cannot send yet, where a user has set it. alts sets its own.
    pub(crate) fn unsent_limit(self) -> Option<u32> {
        match self {
            Self::TcpUnsent | Self::RustlsRingUnsent => Settings::default().unsent_limit,
            _ => None,
        }
    }

    /// Whose cryptography protects the records of alts.
    pub(crate) fn aead(self) -> Option<AeadProvider> {
        match self {
            Self::Alts => Some(AeadProvider::Ring),
            #[cfg(feature = "aws-lc-rs")]
            Self::AltsAwsLc => Some(AeadProvider::AwsLcRs),
            _ => None,
        }
    }

    /// Whose cryptography TLS uses.
    pub(crate) fn provider(self) -> Option<CryptoProvider> {
        match self {
            Self::RustlsRing | Self::RustlsRingUnsent => {
                Some(rustls::crypto::ring::default_provider())
            }
            #[cfg(feature = "aws-lc-rs")]
            Self::RustlsAwsLc => Some(rustls::crypto::aws_lc_rs::default_provider()),
            _ => None,
        }
    }

    /// Calls `visitor` with the transport, which has its buffers from `pool` if it uses one.
    pub(super) fn visit(
        self,
        certificates: &Path,
        side: &str,
        pool: BufferPool,
        visitor: impl Visitor,
    ) {
        let pem = Pem::read(certificates, side);
        match (self.aead(), self.provider()) {
            (Some(aead), _) => visitor.visit(alts::Alts::new(&pem, pool, aead)),
            (None, Some(provider)) => visitor.visit(Tls::new(&pem, provider)),
            (None, None) => visitor.visit(tcp::Tcp::new(pool)),
        }
    }
}

/// What is done with whichever transport it is.
pub(super) trait Visitor {
    fn visit<T: Transport>(self, transport: T);
}

/// A transport, ready to connect and to accept. Everything is as a careful user of it would do it.
pub(super) trait Transport: Clone + Send + Sync + 'static {
    type Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static;
    /// Where reads get their buffers.
    type Pool: Clone + Send + Sync + 'static;
    /// What a read gave, in a buffer that goes back to the pool.
    type Received: Deref<Target = [u8]> + Send + Sync + 'static;
    /// A message that is kept.
    type Message: Deref<Target = [u8]> + Send + Sync + 'static;
    /// A future that sends back what comes, written by hand.
    type Echo: Future<Output = ()> + Send + 'static;
    /// A connection on mio that sends back what comes.
    type OnMio: OnMio;

    fn pool(&self) -> Self::Pool;

    /// Makes the server's end, in a future that leaves no room behind in the task that awaits it.
    fn accept(
        &self,
        tcp: TcpStream,
    ) -> impl Future<Output = io::Result<Self::Stream>> + Send + use<Self>;

    /// Makes the client's end.
    fn connect(
        &self,
        tcp: TcpStream,
    ) -> impl Future<Output = io::Result<Self::Stream>> + Send + use<Self>;

    /// Reads once. `None` is the end.
    fn receive<'read>(
        stream: &'read mut Self::Stream,
        pool: &'read Self::Pool,
    ) -> impl Future<Output = io::Result<Option<Self::Received>>> + Send + 'read;

    /// Reads so many bytes, not more than [`HELD`](super::HELD), and keeps them in one buffer of the kind that this transport
    /// has for its users. A connection that still waits for the first of them holds none.
    fn receive_all<'read>(
        stream: &'read mut Self::Stream,
        pool: &'read Self::Pool,
        len: usize,
    ) -> impl Future<Output = io::Result<Self::Message>> + Send + 'read;

    /// Sends all of it, so that it is on its way when this side reads next.
    fn send<'write>(
        stream: &'write mut Self::Stream,
        bytes: &'write [u8],
    ) -> impl Future<Output = io::Result<()>> + Send + 'write;

    /// Reads once, for a reader that has no need to keep what it read. The answer is how much it was; 0 is the end.
    fn discard<'read>(
        stream: &'read mut Self::Stream,
        pool: &'read Self::Pool,
    ) -> impl Future<Output = io::Result<usize>> + Send + 'read;

    /// An [`Echo`](Self::Echo).
    fn echo(stream: Self::Stream, pool: Self::Pool) -> Self::Echo;

    /// Begins an [`OnMio`].
    fn on_mio(&self, socket: mio::net::TcpStream) -> Self::OnMio;

    /// The socket underneath.
    fn socket(stream: &mut Self::Stream) -> &mut TcpStream;

    /// The beginning of a record of 16 KiB that never comes to its end, if there are records.
    fn part() -> Option<[u8; 128]>;
}

/// A connection on an event loop.
pub(super) trait OnMio: Send + 'static {
    /// Sends back what can be read.
    ///
    /// # Errors
    /// `WouldBlock`, when an event is to be awaited. Anything else ends the connection.
    fn go_on(&mut self) -> io::Result<()>;
}

/// Reads once into a [`Lent`](super::lent::Lent) buffer, from any reader that has to bring one.
fn poll_lent<S: AsyncRead + Unpin>(
    stream: &mut S,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Option<super::lent::Lent>>> {
    let mut lent = super::lent::Lent::take();
    let mut buf = tokio::io::ReadBuf::new(lent.space());
    std::task::ready!(std::pin::Pin::new(stream).poll_read(cx, &mut buf))?;
    lent.filled = buf.filled().len();
    Poll::Ready(Ok((lent.filled > 0).then_some(lent)))
}

/// Reads so many bytes, and keeps the buffer in which the first of them came: the others are copied behind them.
async fn gather<S: ReadyReader + Unpin>(
    stream: &mut S,
    pool: &BufferPool,
    len: usize,
) -> io::Result<PooledBuf> {
    let mut message = stream.read_on_ready(pool).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    while message.len() < len {
        let more = stream.read_on_ready(pool).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
        let Range { start, end } = message.range();
        message.set_range(start..end + more.len());
        message[end - start..].copy_from_slice(&more);
    }
    if message.len() > len {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(message)
}
