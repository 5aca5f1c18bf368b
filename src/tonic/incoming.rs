//! The server's side: [`Incoming`] as the stream that tonic serves.

use std::convert::Infallible;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use alts_handshaker::accept::Listener;
use tokio_stream::Stream;

use crate::connect::{Incoming, Socket};
use crate::stream::AltsStream;

/// For tonic's `serve_with_incoming` and `serve_with_incoming_shutdown`; the latter drops it when it is asked to shut down,
/// before it waits for the calls in progress.
impl<L> Stream for Incoming<L>
where
    L: Listener<Socket: Socket + 'static> + Unpin,
{
    type Item = Result<AltsStream<L::Socket>, Infallible>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Incoming::poll_next(self.get_mut(), cx).map(|next| next.map(Ok))
    }
}

/// A stream of sockets as a [`Listener`] for [`Acceptor::incoming`](crate::Acceptor::incoming): tonic's `TcpIncoming` with its
/// keepalive settings, say.
pub struct StreamListener<S>(Pin<Box<dyn Stream<Item = io::Result<S>> + Send>>);

impl<S> StreamListener<S> {
    /// Takes the sockets from `sockets`. Errors that it gives are survived as those of a listener are.
    pub fn new(sockets: impl Stream<Item = io::Result<S>> + Send + 'static) -> Self {
        Self(Box::pin(sockets))
    }
}

impl<S> Listener for StreamListener<S> {
    type Socket = S;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<S>>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl<S> fmt::Debug for StreamListener<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamListener").finish_non_exhaustive()
    }
}
