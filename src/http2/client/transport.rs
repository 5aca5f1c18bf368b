//! What connections are made of.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use tokio::io::AsyncWrite;
use tokio::net::TcpStream;
use tower_service::Service;

use super::error::BoxError;
use crate::ready::ReadyReader;

/// A byte stream that HTTP/2 can run on: tokio's sockets, alts' streams, anything in [`Probed`](crate::ready::Probed).
pub trait Transport: ReadyReader + AsyncWrite + Send + Unpin + 'static {}

impl<T: ReadyReader + AsyncWrite + Send + Unpin + 'static> Transport for T {}

pub(super) type Dialed = Pin<Box<dyn Future<Output = Result<Box<dyn Transport>, BoxError>> + Send>>;

/// Makes transports, whatever their type is.
pub(super) trait Dial: Send {
    fn dial(&mut self, target: Uri) -> Dialed;
}

impl<C, IO> Dial for C
where
    C: Service<Uri, Response = IO> + Clone + Send + 'static,
    C::Error: Into<BoxError>,
    C::Future: Send,
    IO: Transport,
{
    fn dial(&mut self, target: Uri) -> Dialed {
        let mut connector = self.clone();
        Box::pin(async move {
            std::future::poll_fn(|cx| connector.poll_ready(cx)).await.map_err(Into::into)?;
            let io = connector.call(target).await.map_err(Into::into)?;
            Ok(Box::new(io) as Box<dyn Transport>)
        })
    }
}

/// Connects over TCP to the host and port of a URI, in plaintext. `TCP_NODELAY` is on.
#[derive(Clone, Copy, Debug, Default)]
pub struct TcpConnector;

impl Service<Uri> for TcpConnector {
    type Response = TcpStream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<TcpStream>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        Box::pin(async move {
            let host = target.host().unwrap_or_default();
            // An IPv6 address has brackets in a URI only.
            let host = host.trim_start_matches('[').trim_end_matches(']');
            let socket = TcpStream::connect((host, target.port_u16().unwrap_or(80))).await?;
            socket.set_nodelay(true)?;
            Ok(socket)
        })
    }
}
