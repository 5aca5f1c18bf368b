//! The server's side: from a listener to a stream of secured connections.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;
use tokio::time::Sleep;
use tokio_stream::Stream;
use tokio_stream::wrappers::TcpListenerStream;
#[cfg(unix)]
use tokio_stream::wrappers::UnixListenerStream;

use crate::connect::{Acceptor, Socket};
use crate::error::Error;
use crate::stream::AltsStream;

/// Connections accepted in a row before handshakes that have finished are looked at again, and how many may be accepted
/// ahead of those that [`HandshakeLimits`](alts_handshaker::HandshakeLimits) admits.
const ACCEPTS_IN_A_ROW: usize = 32;
/// When accepting fails for want of descriptors or memory the next attempt fails too, until something is given back. The first
/// and the longest wait, as gRPC's Go server has them.
const PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

/// Secured connections, for tonic's `serve_with_incoming` and `serve_with_incoming_shutdown`.
///
/// * Handshakes run at the same time, each in a task, as many as the acceptor's
///   [`limits`](crate::connect::Settings::limits) allow. One that fails or takes long disturbs no other; why it failed is logged.
/// * It never fails: what goes wrong when a connection is accepted is logged, and waited for where it lasts.
/// * Dropping it closes the listener and ends the handshakes that are not finished. tonic does so when it is asked to shut down,
///   before it waits for the calls in progress.
/// * After the end of the sockets it ends as soon as the last handshake has.
pub struct Incoming<S> {
    sockets: Pin<Box<dyn Stream<Item = io::Result<S>> + Send>>,
    ended: bool,
    acceptor: Acceptor,
    handshakes: JoinSet<Result<AltsStream<S>, Error>>,
    pause: Pause,
}

impl Incoming<TcpStream> {
    /// Accepts TCP connections.
    pub fn tcp(listener: TcpListener, acceptor: &Acceptor) -> Self {
        Self::over(TcpListenerStream::new(listener), acceptor)
    }
}

#[cfg(unix)]
impl Incoming<UnixStream> {
    /// Accepts connections on a Unix socket. They have no source address, so the limits per source do not apply.
    pub fn unix(listener: UnixListener, acceptor: &Acceptor) -> Self {
        Self::over(UnixListenerStream::new(listener), acceptor)
    }
}

impl<S: Socket + 'static> Incoming<S> {
    /// Takes the connections from `sockets`: tonic's `TcpIncoming` with its keepalive settings, say. Its errors are survived as
    /// those of a listener are.
    pub fn over(
        sockets: impl Stream<Item = io::Result<S>> + Send + 'static,
        acceptor: &Acceptor,
    ) -> Self {
        Self {
            sockets: Box::pin(sockets),
            ended: false,
            acceptor: acceptor.clone(),
            handshakes: JoinSet::new(),
            pause: Pause::default(),
        }
    }

    /// Begins handshakes until there is nobody to begin one with, or no room.
    fn accept(&mut self, cx: &mut Context<'_>) {
        for _ in 0..ACCEPTS_IN_A_ROW {
            let room = self.handshakes.len() < self.most_handshakes();
            if self.ended || !room || self.pause.poll_over(cx).is_pending() {
                return;
            }
            match self.sockets.as_mut().poll_next(cx) {
                Poll::Pending => return,
                Poll::Ready(Some(Ok(socket))) => {
                    self.pause = Pause::default();
                    self.handshakes.spawn(self.acceptor.accept(socket));
                }
                Poll::Ready(Some(Err(error))) if is_of_one_connection(&error) => {
                    tracing::debug!(%error, "a connection was gone before it was accepted");
                }
                Poll::Ready(Some(Err(error))) => self.pause.begin(&error),
                Poll::Ready(None) => self.ended = true,
            }
        }
        cx.waker().wake_by_ref();
    }

    /// Those that the limits admit or let wait, and a few that they have not seen yet.
    fn most_handshakes(&self) -> usize {
        let limits = self.acceptor.settings().limits.options();
        limits.half_open.saturating_add(limits.queue).saturating_add(ACCEPTS_IN_A_ROW)
    }
}

impl<S: Socket + 'static> Stream for Incoming<S> {
    type Item = Result<AltsStream<S>, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            self.accept(cx);
            match ready!(self.handshakes.poll_join_next(cx)) {
                Some(Ok(Ok(stream))) => return Poll::Ready(Some(Ok(stream))),
                // The handshake has logged it. Now there is room for another.
                Some(Ok(Err(_))) => {}
                Some(Err(error)) => tracing::error!(%error, "a handshake's task failed"),
                None if self.ended => return Poll::Ready(None),
                None => return Poll::Pending,
            }
        }
    }
}

impl<S> fmt::Debug for Incoming<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("acceptor", &self.acceptor)
            .field("handshakes", &self.handshakes.len())
            .finish_non_exhaustive()
    }
}

/// Whether it is over with the connection that could not be accepted, while the next may be fine. Linux reports errors of the
/// network that are pending on the new socket here, too.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::ConnectionAborted
            | Kind::ConnectionRefused
            | Kind::ConnectionReset
            | Kind::HostUnreachable
            | Kind::Interrupted
            | Kind::NetworkDown
            | Kind::NetworkUnreachable
            | Kind::TimedOut
    )
}

/// Between attempts to accept.
#[derive(Debug, Default)]
struct Pause {
    sleep: Option<Pin<Box<Sleep>>>,
    /// How long the last one was; zero after a success.
    last: Duration,
}

impl Pause {
    fn begin(&mut self, error: &io::Error) {
        if self.last.is_zero() {
            tracing::error!(%error, "cannot accept; trying again until it works");
        }
        let (first, longest) = PAUSE;
        self.last = (2 * self.last).clamp(first, longest);
        self.sleep = Some(Box::pin(tokio::time::sleep(self.last)));
    }

    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(sleep) = &mut self.sleep {
            ready!(sleep.as_mut().poll(cx));
            self.sleep = None;
        }
        Poll::Ready(())
    }
}
