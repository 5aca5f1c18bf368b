//! TLS 1.3 by rustls, on tokio by tokio-rustls, with certificates on both sides.
//!
//! What is set is in `alts_benches::tls`. How it is used: the future of the handshake is boxed, so that the task keeps no room for it. Readers bring a buffer of 32 KiB
//! that the threads share, so that no connection has one. A reader that keeps nothing uses the buffers of rustls itself
//! (`AsyncBufRead`), without a copy.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use alts_benches::tls::{NAME, Tls};
use rustls::ServerConnection;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncBufReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};

use super::{OnMio, Transport, poll_lent};
use crate::roles::lent::Lent;

impl Transport for Tls {
    type Stream = TlsStream<TcpStream>;
    type Pool = ();
    type Received = Lent;
    type Message = Vec<u8>;
    type Echo = TlsEcho;
    type OnMio = TlsOnMio;

    fn pool(&self) {}

    fn accept(
        &self,
        tcp: TcpStream,
    ) -> impl Future<Output = io::Result<Self::Stream>> + Send + use<> {
        let acceptor = TlsAcceptor::from(Arc::clone(&self.server));
        Box::pin(async move {
            tcp.set_nodelay(true)?;
            Ok(acceptor.accept(tcp).await?.into())
        })
    }

    fn connect(
        &self,
        tcp: TcpStream,
    ) -> impl Future<Output = io::Result<Self::Stream>> + Send + use<> {
        let connector = TlsConnector::from(Arc::clone(&self.client));
        Box::pin(async move {
            tcp.set_nodelay(true)?;
            let name = ServerName::try_from(NAME).expect("a name");
            Ok(connector.connect(name, tcp).await?.into())
        })
    }

    fn receive<'read>(
        stream: &'read mut Self::Stream,
        (): &'read (),
    ) -> impl Future<Output = io::Result<Option<Lent>>> + 'read {
        std::future::poll_fn(move |cx| poll_lent(stream, cx))
    }

    /// In a vector of that size, which is made when something is there to put into it.
    async fn receive_all(stream: &mut Self::Stream, (): &(), len: usize) -> io::Result<Vec<u8>> {
        let mut message = Vec::new();
        while message.len() < len {
            let received = stream.fill_buf().await?;
            if received.is_empty() {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let left = len - message.len();
            let count = left.min(received.len());
            message.reserve_exact(left);
            message.extend_from_slice(&received[..count]);
            stream.consume(count);
        }
        Ok(message)
    }

    /// A read would not send what the kernel did not take.
    async fn send(stream: &mut Self::Stream, bytes: &[u8]) -> io::Result<()> {
        stream.write_all(bytes).await?;
        stream.flush().await
    }

    async fn discard(stream: &mut Self::Stream, (): &()) -> io::Result<usize> {
        let len = stream.fill_buf().await?.len();
        stream.consume(len);
        Ok(len)
    }

    fn echo(stream: Self::Stream, (): ()) -> TlsEcho {
        TlsEcho { stream, unsent: None }
    }

    fn on_mio(&self, socket: mio::net::TcpStream) -> TlsOnMio {
        let connection = ServerConnection::new(Arc::clone(&self.server)).expect("a connection");
        TlsOnMio { socket, connection }
    }

    fn socket(stream: &mut Self::Stream) -> &mut TcpStream {
        stream.get_mut().0
    }

    fn part() -> Option<[u8; 128]> {
        let mut part = [0xA5; 128];
        part[..5].copy_from_slice(&[23, 3, 3, 0x40, 0]);
        Some(part)
    }
}

pub(crate) struct TlsEcho {
    stream: TlsStream<TcpStream>,
    /// Rarely present.
    unsent: Option<Box<(Lent, usize)>>,
}

impl TlsEcho {
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = &mut self.stream;
        loop {
            if let Some(unsent) = &mut self.unsent {
                let (received, sent) = &mut **unsent;
                while *sent < received.len() {
                    *sent += ready!(Pin::new(&mut *stream).poll_write(cx, &received[*sent..]))?;
                }
                self.unsent = None;
            }
            ready!(Pin::new(&mut *stream).poll_flush(cx))?;
            match ready!(poll_lent(stream, cx))? {
                Some(received) => self.unsent = Some(Box::new((received, 0))),
                None => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl Future for TlsEcho {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_turn(cx).map(drop)
    }
}

pub(crate) struct TlsOnMio {
    socket: mio::net::TcpStream,
    connection: ServerConnection,
}

impl OnMio for TlsOnMio {
    fn go_on(&mut self) -> io::Result<()> {
        loop {
            while self.connection.wants_write() {
                self.connection.write_tls(&mut self.socket)?;
            }
            if self.connection.read_tls(&mut self.socket)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.connection.process_new_packets().map_err(io::Error::other)?;
            loop {
                let mut lent = Lent::take();
                match self.connection.reader().read(lent.space()) {
                    Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(len) => lent.filled = len,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
                // What one read of the socket brings is less than the connection accepts for sending.
                self.connection.writer().write_all(&lent)?;
            }
        }
    }
}
