//! The accept loop.

use std::error::Error as StdError;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use futures_core::Stream;
use http::{Request, Response};
use tokio::io::AsyncWrite;
use tower_service::Service;

use super::super::body::Body;
use super::exchange::BoxError;
use super::{Connected, Server};
use crate::ready::ReadyReader;

/// When accepting fails for lack of descriptors or memory the next attempt fails too, until something is given back.
const PAUSE: Duration = Duration::from_millis(100);

impl Server {
    /// Serves every connection that `incoming` yields, each in a task, until `stop` is ready or `incoming` ends. Then `incoming` is dropped,
    /// which closes a listener, and all connections are [drained](Server::drain). It answers when the last one has ended.
    ///
    /// An error of `incoming` is logged, and another connection is asked for after a tenth of a second.
    pub async fn serve<IO, E, S, B>(
        &self,
        incoming: impl Stream<Item = Result<IO, E>>,
        service: S,
        stop: impl Future<Output = ()>,
    ) where
        IO: ReadyReader + AsyncWrite + Connected + Send + Unpin + 'static,
        E: Into<Box<dyn StdError + Send + Sync>>,
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError> + Send + 'static,
        B: http_body::Body + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let mut stop = pin!(stop);
        {
            let mut incoming = pin!(incoming);
            loop {
                let next = poll_fn(|cx| match stop.as_mut().poll(cx) {
                    Poll::Ready(()) => Poll::Ready(None),
                    Poll::Pending => incoming.as_mut().poll_next(cx),
                });
                match next.await {
                    Some(Ok(io)) => {
                        let connection = self.connection(io, service.clone());
                        // A task that is given the connection by value keeps no room for it twice.
                        tokio::spawn(connection);
                    }
                    Some(Err(error)) => {
                        let error: Box<dyn StdError + Send + Sync> = error.into();
                        tracing::error!(%error, "cannot accept; trying again");
                        tokio::time::sleep(PAUSE).await;
                    }
                    None => break,
                }
            }
        }
        self.drain();
        self.drained().await;
    }
}
