//! Where handlers are polled, seen by the tasks that they find themselves in.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use alts::http2::frame::{Data, Head, Headers, Kind, PREFACE, Settings};
use alts::http2::hpack::encode;
use alts::http2::server::{Described, Handlers};
use alts::http2::{Body, Server};
use alts::ready::Probed;
use http::{Request, Response};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::{Id, id, yield_now};
use tower_service::Service;

/// Notes the task at its begin and at its end. With `/yield` it waits for something else after its content.
#[derive(Clone, Default)]
struct Noting(Arc<Mutex<Vec<Id>>>);

impl Service<Request<Body>> for Noting {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let noted = Arc::clone(&self.0);
        Box::pin(async move {
            noted.lock().unwrap().push(id());
            let yields = request.uri().path() == "/yield";
            request.into_body().collect().await.unwrap();
            if yields {
                yield_now().await;
            }
            noted.lock().unwrap().push(id());
            Ok(Response::new(Body::empty()))
        })
    }
}

fn data(content: &[u8], end: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    Data::head(1, content.len(), end).write(&mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

async fn until(near: &mut DuplexStream, kind: Kind) {
    loop {
        let mut head = [0; Head::LEN];
        near.read_exact(&mut head).await.unwrap();
        let head = Head::parse(&head);
        near.read_exact(&mut vec![0; head.len as usize]).await.unwrap();
        if head.kind == kind {
            return;
        }
    }
}

/// Whether the handler begins, and ends, in the connection's task, when its request comes in so many reads.
async fn places(handlers: Handlers, path: &str, pieces: usize) -> (bool, bool) {
    let (mut near, far) = duplex(1 << 16);
    let noting = Noting::default();
    let server = Server::builder().handlers(handlers).build().unwrap();
    let io = Described::new(Probed::new(far), http::Extensions::new());
    let connection = tokio::spawn(server.connection(io, noting.clone()));
    let mut bytes = PREFACE.to_vec();
    Settings::write(&[], &mut bytes);
    Settings::write_ack(&mut bytes);
    let start = Headers::begin(&mut bytes);
    for (name, value) in [(":method", "POST"), (":scheme", "http"), (":path", path)] {
        encode::field(&mut bytes, name.as_bytes(), value.as_bytes());
    }
    Headers::finish(&mut bytes, start, 1, false);
    for piece in 1..pieces {
        near.write_all(&bytes).await.unwrap();
        // Until the server has nothing to do but to wait.
        for _ in 0..20 {
            yield_now().await;
        }
        bytes = data(b"content", piece + 1 == pieces);
    }
    if pieces == 1 {
        bytes.extend(data(b"content", true));
    }
    near.write_all(&bytes).await.unwrap();
    until(&mut near, Kind::Headers).await;
    let noted = noting.0.lock().unwrap();
    assert_eq!(noted.len(), 2);
    (noted[0] == connection.id(), noted[1] == connection.id())
}

#[tokio::test]
async fn a_handler_with_its_request_never_leaves_the_connection() {
    for pieces in 1..=3 {
        assert_eq!(places(Handlers::FirstPollHere, "/", pieces).await, (true, true), "{pieces}");
    }
}

#[tokio::test]
async fn a_handler_that_waits_for_more_leaves_it() {
    assert_eq!(places(Handlers::FirstPollHere, "/", 4).await, (true, false));
    assert_eq!(places(Handlers::FirstPollHere, "/yield", 1).await, (true, false));
    assert_eq!(places(Handlers::FirstPollHere, "/yield", 2).await, (true, false));
}

#[tokio::test]
async fn other_placements_hold_for_all() {
    for (path, pieces) in [("/", 1), ("/", 4), ("/yield", 2)] {
        assert_eq!(places(Handlers::InConnection, path, pieces).await, (true, true));
        assert_eq!(places(Handlers::Tasks, path, pieces).await, (false, false));
    }
}
