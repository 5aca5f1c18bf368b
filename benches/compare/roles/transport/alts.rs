//! alts with the handshake of its own, both sides with certificates.

use std::io::{self, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use alts::connect::{MidHandshake, Progress, Settings};
use alts::pool::{BufferPool, PooledBuf};
use alts::ready::{ReadyReader, TryReadyReader};
use alts::record::AeadProvider;
use alts::{Acceptor, AltsStream, Connector};
use alts_benches::identity::Pem;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{OnMio, Transport, gather, poll_lent};

#[derive(Clone)]
pub(super) struct Alts {
    acceptor: Acceptor,
    connector: Connector,
}

impl Alts {
    pub(super) fn new(pem: &Pem, pool: BufferPool, aead: AeadProvider) -> Self {
        let mut settings = Settings::default();
        settings.stream.aead = aead;
        settings.pool = pool;
        let connector = pem.connector(settings.clone());
        let acceptor = pem.acceptor(settings);
        Self { acceptor, connector }
    }
}

impl Transport for Alts {
    type Stream = AltsStream<TcpStream>;
    type Pool = BufferPool;
    type Received = PooledBuf;
    type Message = PooledBuf;
    type Echo = AltsEcho;
    type OnMio = AltsOnMio;

    fn pool(&self) -> BufferPool {
        self.acceptor.settings().pool.clone()
    }

    fn accept(
        &self,
        tcp: TcpStream,
    ) -> impl Future<Output = io::Result<Self::Stream>> + Send + use<> {
        Mapped(self.acceptor.accept(tcp))
    }

    fn connect(
        &self,
        tcp: TcpStream,
    ) -> impl Future<Output = io::Result<Self::Stream>> + Send + use<> {
        Mapped(self.connector.connect(tcp))
    }

    fn receive<'read>(
        stream: &'read mut Self::Stream,
        pool: &'read BufferPool,
    ) -> impl Future<Output = io::Result<Option<PooledBuf>>> + 'read {
        stream.read_on_ready(pool)
    }

    /// What the kernel does not take at once goes out with the next read.
    fn send<'write>(
        stream: &'write mut Self::Stream,
        bytes: &'write [u8],
    ) -> impl Future<Output = io::Result<()>> + 'write {
        stream.write_all(bytes)
    }

    fn receive_all<'read>(
        stream: &'read mut Self::Stream,
        pool: &'read BufferPool,
        len: usize,
    ) -> impl Future<Output = io::Result<PooledBuf>> + 'read {
        gather(stream, pool, len)
    }

    async fn discard(stream: &mut Self::Stream, pool: &BufferPool) -> io::Result<usize> {
        Ok(stream.read_on_ready(pool).await?.map_or(0, |received| received.len()))
    }

    fn echo(stream: Self::Stream, _: BufferPool) -> AltsEcho {
        AltsEcho(stream)
    }

    fn on_mio(&self, socket: mio::net::TcpStream) -> AltsOnMio {
        AltsOnMio::Handshaking(self.acceptor.start(socket).ok().map(Box::new))
    }

    fn socket(stream: &mut Self::Stream) -> &mut TcpStream {
        stream.get_mut()
    }

    fn part() -> Option<[u8; 128]> {
        let mut part = [0xA5; 128];
        part[..8].copy_from_slice(&[0, 0x40, 0, 0, 6, 0, 0, 0]);
        Some(part)
    }
}

/// A handshake with the error that everybody has.
struct Mapped(alts::connect::HandshakeFuture<TcpStream>);

impl Future for Mapped {
    type Output = io::Result<AltsStream<TcpStream>>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map_err(io::Error::other)
    }
}

/// Nothing but the stream: what was received is with the stream again before more is read, since it takes a whole read at once
/// when it holds nothing unsent.
pub(super) struct AltsEcho(AltsStream<TcpStream>);

impl Future for AltsEcho {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let stream = &mut self.0;
        loop {
            if ready!(Pin::new(&mut *stream).poll_flush(cx)).is_err()
                || ready!(stream.poll_readable(cx)).is_err()
            {
                return Poll::Ready(());
            }
            let Ok(Some(received)) = ready!(poll_lent(stream, cx)) else { return Poll::Ready(()) };
            let sent = Pin::new(&mut *stream).poll_write(cx, &received);
            assert!(matches!(sent, Poll::Ready(Ok(all)) if all == received.len()), "{sent:?}");
        }
    }
}

pub(super) enum AltsOnMio {
    /// `None` when it has failed.
    Handshaking(Option<Box<MidHandshake<mio::net::TcpStream>>>),
    Open(AltsStream<mio::net::TcpStream>),
}

impl OnMio for AltsOnMio {
    fn go_on(&mut self) -> io::Result<()> {
        if let Self::Handshaking(handshake) = self {
            let begun = handshake.take().ok_or(io::ErrorKind::NotConnected)?;
            match begun.advance().map_err(io::Error::other)? {
                Progress::Done(stream) => *self = Self::Open(stream),
                Progress::Pending(pending) => {
                    *handshake = Some(Box::new(pending));
                    return Err(io::ErrorKind::WouldBlock.into());
                }
            }
        }
        let Self::Open(stream) = self else { return Err(io::ErrorKind::NotConnected.into()) };
        loop {
            stream.flush()?;
            let pool = stream.pool().clone();
            let Some(received) = stream.try_read_on_ready(&pool)? else {
                return Err(io::ErrorKind::UnexpectedEof.into());
            };
            // It holds nothing unsent, so it takes a whole read.
            stream.write_all(&received)?;
        }
    }
}
