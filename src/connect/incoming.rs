//! From a listener to secured connections.

use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use alts_handshaker::accept::{AcceptLoop, Listener};
use tokio::task::JoinSet;

use super::endpoint::Acceptor;
use super::socket::Socket;
use crate::error::Error;
use crate::stream::AltsStream;

/// Connections accepted in a row before handshakes that have finished are looked at again, and how many may be accepted
/// beyond those that [`HandshakeLimits`](alts_handshaker::HandshakeLimits) admits.
const ACCEPTS_IN_A_ROW: usize = 32;

/// A listener's connections, secured: an accept loop that no error ends.
///
/// * Handshakes run concurrently, each in a task, as many as the acceptor's
///   [`limits`](super::Settings::limits) allow. One that fails or takes long disturbs no other; the reason is logged.
/// * Errors of accepting are logged and survived, as [`AcceptLoop`] does it.
/// * Dropping it closes the listener and ends the handshakes that are not finished.
///
/// ```no_run
/// # async fn serve(acceptor: alts::Acceptor) -> std::io::Result<()> {
/// use alts::ready::ReadyReader;
/// use tokio::io::AsyncWriteExt;
///
/// let listener = tokio::net::TcpListener::bind("[::1]:7000").await?;
/// let mut incoming = acceptor.incoming(listener);
/// while let Some(mut stream) = incoming.next().await {
///     let pool = acceptor.settings().pool.clone();
///     tokio::spawn(async move {
///         while let Some(received) = stream.read_on_ready(&pool).await? {
///             stream.write_all(&received).await?;
///         }
///         stream.shutdown().await
///     });
/// }
/// # Ok(())
/// # }
/// ```
///
/// With the feature `tonic` it is also a `Stream`, for `serve_with_incoming`.
pub struct Incoming<L: Listener> {
    sockets: AcceptLoop<L>,
    /// Attempts to accept that have failed in a row.
    failures: u32,
    ended: bool,
    acceptor: Acceptor,
    handshakes: JoinSet<Result<AltsStream<L::Socket>, Error>>,
}

impl Acceptor {
    /// Accepts and secures the connections of `listener`: a TCP or Unix listener of tokio, or another [`Listener`].
    ///
    /// Connections over Unix sockets have no source address, so the limits per source do not apply to them.
    pub fn incoming<L: Listener>(&self, listener: L) -> Incoming<L> {
        Incoming {
            sockets: AcceptLoop::new(listener),
            failures: 0,
            ended: false,
            acceptor: self.clone(),
            handshakes: JoinSet::new(),
        }
    }
}

impl<L> Incoming<L>
where
    L: Listener<Socket: Socket + 'static>,
{
    /// The next secured connection. Dropping the future loses none. `None` only after the end of the listener and of the last
    /// handshake; the listeners of operating systems do not end.
    pub async fn next(&mut self) -> Option<AltsStream<L::Socket>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`next`](Self::next), within a poll.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<AltsStream<L::Socket>>> {
        loop {
            self.accept(cx);
            match ready!(self.handshakes.poll_join_next(cx)) {
                Some(Ok(Ok(stream))) => return Poll::Ready(Some(stream)),
                // The handshake has logged it. Now there is room for another.
                Some(Ok(Err(_))) => {}
                Some(Err(error)) => tracing::error!(%error, "a handshake's task failed"),
                None if self.ended => return Poll::Ready(None),
                None => return Poll::Pending,
            }
        }
    }

    /// Begins handshakes until there is no connection to begin one with, or no room.
    fn accept(&mut self, cx: &mut Context<'_>) {
        for _ in 0..ACCEPTS_IN_A_ROW {
            if self.ended || self.handshakes.len() >= self.most_handshakes() {
                return;
            }
            match self.sockets.poll_next(cx) {
                Poll::Pending => {
                    // The silent hold descriptors that others could use.
                    if self.sockets.failures()
                        > std::mem::replace(&mut self.failures, self.sockets.failures())
                    {
                        self.acceptor.settings().limits.displace_silent();
                    }
                    return;
                }
                Poll::Ready(Some(socket)) => {
                    self.handshakes.spawn(self.acceptor.accept(socket));
                }
                Poll::Ready(None) => self.ended = true,
            }
        }
        cx.waker().wake_by_ref();
    }

    /// Those that the limits know, and a few that they have not seen yet.
    fn most_handshakes(&self) -> usize {
        self.acceptor.settings().limits.most_connections().saturating_add(ACCEPTS_IN_A_ROW)
    }
}

impl<L: Listener> Incoming<L> {
    /// The listener: to ask for its address, say.
    pub fn get_ref(&self) -> &L {
        self.sockets.get_ref()
    }
}

impl<L: Listener + fmt::Debug> fmt::Debug for Incoming<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("listener", self.get_ref())
            .field("handshakes", &self.handshakes.len())
            .finish_non_exhaustive()
    }
}
