//! Metadata of a request that come back in the response: one in its head, one in its trailers, where handlers of tonic cannot put
//! anything beside a success.

use std::pin::Pin;
use std::task::{Context, Poll};

use http::{HeaderValue, Request, Response};
use tonic::body::Body;
use tonic::codegen::http::HeaderMap;
use tonic::codegen::{Body as HttpBody, Service};

/// Comes back in the head.
pub(crate) const INITIAL: &str = "x-grpc-test-echo-initial";
/// Comes back in the trailers.
pub(crate) const TRAILING: &str = "x-grpc-test-echo-trailing-bin";

/// Wraps the whole server.
#[derive(Clone, Debug)]
pub(crate) struct Echo<S>(pub(crate) S);

type Answer<E> = Pin<Box<dyn Future<Output = Result<Response<Body>, E>> + Send>>;

impl<S, B> Service<Request<B>> for Echo<S>
where
    S: Service<Request<B>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Answer<S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let initial = request.headers().get(INITIAL).cloned();
        let trailing = request.headers().get(TRAILING).cloned();
        let answer = self.0.call(request);
        Box::pin(async move {
            let mut response = answer.await?;
            if let Some(initial) = initial {
                response.headers_mut().insert(INITIAL, initial);
            }
            Ok(match trailing {
                Some(trailing) => response.map(|body| Body::new(Trailed { body, trailing })),
                None => response,
            })
        })
    }
}

/// A body with a field more in its trailers.
struct Trailed {
    body: Body,
    trailing: HeaderValue,
}

impl HttpBody for Trailed {
    type Data = <Body as HttpBody>::Data;
    type Error = tonic::Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Self::Data>, tonic::Status>>> {
        let mut frame = std::task::ready!(Pin::new(&mut self.body).poll_frame(cx));
        let trailers: Option<&mut HeaderMap> = match &mut frame {
            Some(Ok(frame)) => frame.trailers_mut(),
            _ => None,
        };
        if let Some(trailers) = trailers {
            trailers.insert(TRAILING, self.trailing.clone());
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}
