//! Accepting on tokio.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};
use tokio::time::{Sleep, sleep};

use super::concerns_one_connection;

/// A source of connected sockets.
pub trait Listener {
    /// What it accepts.
    type Socket;

    /// Accepts one connection. `None` when there will be no more, which the listeners of operating systems never say.
    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Self::Socket>>>;
}

impl Listener for TcpListener {
    type Socket = TcpStream;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<TcpStream>>> {
        Self::poll_accept(self, cx).map(|accepted| Some(accepted.map(|(socket, _address)| socket)))
    }
}

#[cfg(unix)]
impl Listener for UnixListener {
    type Socket = UnixStream;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<UnixStream>>> {
        Self::poll_accept(self, cx).map(|accepted| Some(accepted.map(|(socket, _address)| socket)))
    }
}

/// Accepts connections for as long as the listener exists; no error ends it.
///
/// Errors that concern one connection are skipped, with a debug message. After any other error it waits before it tries again,
/// 5 ms at first and up to 1 s, as gRPC's Go server does, since what is missing (file descriptors, memory) is given back only
/// when a connection ends. The first of such errors is logged, and the success that follows.
pub struct AcceptLoop<L> {
    listener: L,
    pause: Pause,
}

impl<L: Listener> AcceptLoop<L> {
    /// Errors skipped in a row before other tasks get their turn.
    const ERRORS_IN_A_ROW: usize = 32;

    /// Accepts from `listener`.
    pub fn new(listener: L) -> Self {
        Self { listener, pause: Pause::default() }
    }

    /// The next connection. Dropping the future loses none. `None` only if the listener says that there will be no more.
    pub async fn next(&mut self) -> Option<L::Socket> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`next`](Self::next), within a poll.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<L::Socket>> {
        for _ in 0..Self::ERRORS_IN_A_ROW {
            ready!(self.pause.poll_over(cx));
            match ready!(self.listener.poll_accept(cx)) {
                Some(Ok(socket)) => {
                    self.pause.end();
                    return Poll::Ready(Some(socket));
                }
                Some(Err(error)) if concerns_one_connection(&error) => {
                    tracing::debug!(%error, "a connection ended before it was accepted");
                }
                Some(Err(error)) => self.pause.begin(&error),
                None => return Poll::Ready(None),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// How many attempts in a row have failed for a reason that lasts. A server may close what it can do without.
    pub fn failures(&self) -> u32 {
        self.pause.failures
    }

    /// The listener.
    pub fn get_ref(&self) -> &L {
        &self.listener
    }
}

impl<L: fmt::Debug> fmt::Debug for AcceptLoop<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcceptLoop").field("listener", &self.listener).finish_non_exhaustive()
    }
}

/// The time between attempts to accept.
#[derive(Default)]
struct Pause {
    sleep: Option<Pin<Box<Sleep>>>,
    /// The length of the last pause; zero after a success.
    last: Duration,
    failures: u32,
}

impl Pause {
    const FIRST: Duration = Duration::from_millis(5);
    const LONGEST: Duration = Duration::from_secs(1);

    fn begin(&mut self, error: &io::Error) {
        if self.last.is_zero() {
            tracing::error!(%error, "cannot accept connections; retrying until it works");
        }
        self.failures = self.failures.saturating_add(1);
        self.last = (2 * self.last).clamp(Self::FIRST, Self::LONGEST);
        self.sleep = Some(Box::pin(sleep(self.last)));
    }

    fn end(&mut self) {
        if !self.last.is_zero() {
            tracing::info!("accepting connections again");
            self.last = Duration::ZERO;
            self.failures = 0;
        }
    }

    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(sleep) = &mut self.sleep {
            ready!(sleep.as_mut().poll(cx));
            self.sleep = None;
        }
        Poll::Ready(())
    }
}
