//! tonic's services on this crate's HTTP/2.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tonic::transport::server::TcpConnectInfo;
#[cfg(unix)]
use tonic::transport::server::UdsConnectInfo;
use tower::Service;

use crate::http2;
use crate::http2::server::SocketInfo;

/// What `tonic::transport::Server` does around services, for [`http2::Server`].
///
/// * tonic's `Request::remote_addr` and `local_addr` work over TCP, and its `UdsConnectInfo` is there over Unix sockets. (Over ALTS there
///   is an [`AltsConnectInfo`](super::AltsConnectInfo), as under tonic's own server.)
/// * An error of a layer becomes a status instead of a reset stream.
///
/// Layers go around what is handed over: `Services::new(ServiceBuilder::new().layer(authorization).service(routes))`.
///
/// ```no_run
/// # async fn serve(acceptor: alts::Acceptor, routes: tonic::service::Routes) -> Result<(), Box<dyn std::error::Error>> {
/// use alts::http2::Server;
/// use alts::tonic::Services;
///
/// let listener = tokio::net::TcpListener::bind("[::1]:7000").await?;
/// let stop = async { drop(tokio::signal::ctrl_c().await) };
/// Server::builder().build()?.serve(acceptor.incoming(listener), Services::new(routes), stop).await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Services<S>(S);

impl<S> Services<S> {
    /// Wraps tonic's `Routes`, a generated service, or layers around one.
    pub fn new(service: S) -> Self {
        Self(service)
    }
}

impl<S> Service<Request<http2::Body>> for Services<S>
where
    S: Service<Request<http2::Body>, Response = Response<Body>>,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Answer<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<http2::Body>) -> Self::Future {
        let extensions = request.extensions_mut();
        if let Some(SocketInfo { local, remote, .. }) = extensions.get().copied() {
            extensions.insert(TcpConnectInfo { local_addr: local, remote_addr: remote });
        }
        #[cfg(unix)]
        if let Some(credentials) = extensions.get::<tokio::net::unix::UCred>().copied() {
            let info = UdsConnectInfo { peer_addr: None, peer_cred: Some(credentials) };
            extensions.insert(info);
        }
        Answer(Box::pin(self.0.call(request)))
    }
}

/// The future of [`Services`].
#[derive(Debug)]
pub struct Answer<F>(Pin<Box<F>>);

impl<F, E> Future for Answer<F>
where
    F: Future<Output = Result<Response<Body>, E>>,
    E: Into<Box<dyn StdError + Send + Sync>>,
{
    type Output = Result<Response<Body>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(|answer| match answer {
            Ok(response) => Ok(response),
            Err(error) => Ok(Status::from_error(error.into()).into_http()),
        })
    }
}
