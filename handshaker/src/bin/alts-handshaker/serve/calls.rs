//! Notes which connections are in use, and by whom a call is made.

use std::pin::Pin;
use std::task::{Context, Poll};

use hyper::body::{Frame, SizeHint};
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::codegen::{Bytes, Service};
use tower::Layer;

use super::places::{OpenCall, Via};

/// The end of the path of gRPC's `Health.Watch`, the one method whose calls do not end by themselves.
const WATCH: &str = "/Watch";

/// Wraps all services of the daemon.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calls;

#[derive(Clone, Debug)]
pub(super) struct Noted<S>(S);

impl<S> Layer<S> for Calls {
    type Service = Noted<S>;

    fn layer(&self, service: S) -> Noted<S> {
        Noted(service)
    }
}

impl<S, B> Service<Request<B>> for Noted<S>
where
    S: Service<Request<B>, Response = Response<Body>, Future: Send + 'static>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let via = request.extensions().get::<Via>().cloned();
        let open = via.as_ref().map(|via| via.call(request.uri().path().ends_with(WATCH)));
        if let Some(via) = via {
            request.extensions_mut().insert(via.caller);
        }
        let response = self.0.call(request);
        Box::pin(async move {
            Ok(response.await?.map(|body| Body::new(UntilRead { body, _open: open })))
        })
    }
}

/// A call is over when its answer has been sent or given up.
struct UntilRead {
    body: Body,
    _open: Option<OpenCall>,
}

impl hyper::body::Body for UntilRead {
    type Data = Bytes;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, tonic::Status>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
