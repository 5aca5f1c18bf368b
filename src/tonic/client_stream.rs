//! The client's end of a connection that the server has confirmed.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;

use crate::connect::Socket;
use crate::pool::{BufferPool, PooledBuf, Ticket};
use crate::ready::ReadyReader;
use crate::stream::AltsStream;

/// How long the client waits for the server's first bytes before it sends its own.
///
/// Every gRPC server sends its HTTP/2 settings as soon as it has a connection. One that waits for the client instead costs this
/// much time for each connection.
const GREETING: Duration = Duration::from_secs(1);

/// A connection made by an [`AltsConnector`](super::AltsConnector), whatever its transport.
pub struct ClientStream {
    /// The server's first bytes, until they are read.
    greeting: Option<PooledBuf>,
    stream: Box<dyn Duplex>,
}

trait Duplex: ReadyReader + AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: ReadyReader + AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl ClientStream {
    /// Waits for the server's first bytes.
    ///
    /// A client's handshake ends before the server has seen the client's certificate. A server that rejects it sends an alert in
    /// place of its first bytes. Waiting for these makes that a failed connection, with the server's reason, instead of failed
    /// calls.
    pub(super) async fn greeted<S: Socket + 'static>(
        mut stream: AltsStream<S>,
        pool: &BufferPool,
    ) -> io::Result<Self> {
        let greeting = match timeout(GREETING, stream.read_on_ready(pool)).await {
            Ok(Ok(Some(greeting))) => Some(greeting),
            Ok(Ok(None)) => {
                let text = "the server closed the connection right after the handshake";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
            }
            Ok(Err(error)) => return Err(error),
            Err(_) => None,
        };
        Ok(Self { greeting, stream: Box::new(stream) })
    }
}

impl ReadyReader for ClientStream {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.greeting {
            Some(_) => Poll::Ready(Ok(())),
            None => self.stream.poll_readable(cx),
        }
    }

    fn poll_read_on_ready(
        &mut self,
        cx: &mut Context<'_>,
        pool: &BufferPool,
        ticket: &mut Option<Ticket>,
    ) -> Poll<io::Result<Option<PooledBuf>>> {
        match self.greeting.take() {
            Some(greeting) => Poll::Ready(Ok(Some(greeting))),
            None => self.stream.poll_read_on_ready(cx, pool, ticket),
        }
    }
}

impl AsyncRead for ClientStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Some(greeting) = &mut self.greeting else {
            return Pin::new(&mut self.stream).poll_read(cx, buf);
        };
        let count = greeting.len().min(buf.remaining());
        buf.put_slice(&greeting[..count]);
        greeting.advance(count);
        if greeting.is_empty() {
            self.greeting = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl fmt::Debug for ClientStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientStream").finish_non_exhaustive()
    }
}
