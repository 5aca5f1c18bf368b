//! Futures that send back what comes, written by hand for those that wait for readiness first.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use alts::pool::{BufferPool, PooledBuf, Ticket};
use alts::ready::ReadyReader;
use tokio::io::AsyncWrite;

/// Over a stream that fills buffers from a pool.
pub(super) struct PooledEcho<S> {
    stream: S,
    pool: BufferPool,
    place: Option<Ticket>,
    unsent: Option<(PooledBuf, usize)>,
}

impl<S: ReadyReader + AsyncWrite + Unpin> PooledEcho<S> {
    pub(super) fn new(stream: S, pool: BufferPool) -> Self {
        Self { stream, pool, place: None, unsent: None }
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if let Some((received, sent)) = &mut self.unsent {
                while *sent < received.len() {
                    *sent += ready!(Pin::new(&mut self.stream).poll_write(cx, &received[*sent..]))?;
                }
                self.unsent = None;
            }
            match ready!(self.stream.poll_read_on_ready(cx, &self.pool, &mut self.place))? {
                Some(received) => self.unsent = Some((received, 0)),
                None => return Poll::Ready(Ok(())),
            }
        }
    }
}

impl<S: ReadyReader + AsyncWrite + Unpin> Future for PooledEcho<S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_turn(cx).map(drop)
    }
}
