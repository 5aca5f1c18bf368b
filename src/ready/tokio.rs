//! tokio's own sockets.

use std::io;
use std::task::{Context, Poll};

use tokio::net::{TcpStream, tcp};
#[cfg(unix)]
use tokio::net::{UnixStream, unix};

use super::ReadyReader;
use super::{Polled, into_poll, read_on_ready};
use crate::pool::{BufferPool, PooledBuf, Ticket};

/// `poll_read_on_ready` followed by `poll_read` takes one receive call per message: a short read tells tokio that the socket is
/// drained, so the next wait does not ask it again. (`try_read` does not tell.)
macro_rules! ready_reader {
    ($socket:ty, $stream:ty) => {
        impl ReadyReader for $socket {
            fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                <$stream>::poll_read_ready(AsStream::stream(self), cx)
            }

            fn poll_read_on_ready(
                &mut self,
                cx: &mut Context<'_>,
                pool: &BufferPool,
                ticket: &mut Option<Ticket>,
            ) -> Poll<io::Result<Option<PooledBuf>>> {
                into_poll(read_on_ready(&mut Polled { io: self, cx }, pool, ticket))
            }
        }
    };
}

ready_reader!(TcpStream, TcpStream);
ready_reader!(tcp::OwnedReadHalf, TcpStream);
#[cfg(unix)]
ready_reader!(UnixStream, UnixStream);
#[cfg(unix)]
ready_reader!(unix::OwnedReadHalf, UnixStream);

/// The socket whose readiness counts: a half asks the whole.
trait AsStream<S> {
    fn stream(&self) -> &S;
}

impl<S> AsStream<S> for S {
    fn stream(&self) -> &S {
        self
    }
}

impl AsStream<TcpStream> for tcp::OwnedReadHalf {
    fn stream(&self) -> &TcpStream {
        self.as_ref()
    }
}

#[cfg(unix)]
impl AsStream<UnixStream> for unix::OwnedReadHalf {
    fn stream(&self) -> &UnixStream {
        self.as_ref()
    }
}
