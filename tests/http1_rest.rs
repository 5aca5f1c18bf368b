//! What an HTTP/1.1 connection holds between two requests.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod support;

use std::alloc::System;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use alts::connect::Settings;
use alts::http1::{Body, Server};
use alts::{Acceptor, AltsStream, Connector};
use http::{Request, Response};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use support::Parties;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tower_service::Service;

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const CONNECTIONS: usize = 200;
/// Those that are there before counting begins.
const WARM_UP: usize = 16;

#[derive(Clone)]
struct Hello;

impl Service<Request<Body>> for Hello {
    type Response = Response<String>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<String>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<Body>) -> Self::Future {
        Box::pin(async { Ok(Response::new("hello".to_owned())) })
    }
}

fn live() -> usize {
    let stats = HEAP.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// Both ends of a secured connection over HTTP/1.1, after a request.
async fn connect(
    acceptor: &Acceptor,
    connector: &Connector,
    server: &Server,
) -> AltsStream<UnixStream> {
    let (near, far) = UnixStream::pair().unwrap();
    let (near, far) = tokio::join!(connector.connect(near), acceptor.accept(far));
    let mut near = near.unwrap();
    tokio::spawn(server.connection(far.unwrap(), Hello, |_, _| {}));
    near.write_all(b"GET / HTTP/1.1\r\nhost: server\r\n\r\n").await.unwrap();
    let mut answer = Vec::with_capacity(256);
    while !answer.ends_with(b"hello") {
        assert!(near.read_buf(&mut answer).await.unwrap() > 0);
    }
    near
}

/// The stream's own 641 bytes twice, since both ends are here, the task, and what is under 1 KiB of the server's.
#[tokio::test]
async fn a_connection_between_two_requests_holds_no_buffer() {
    let parties = Parties::new();
    let acceptor = parties.acceptor(Settings::default());
    let connector = parties.connector(Settings::default());
    let server = Server::new();
    let mut held = Vec::with_capacity(CONNECTIONS + WARM_UP);
    for _ in 0..WARM_UP {
        held.push(connect(&acceptor, &connector, &server).await);
    }
    let before = live();
    for _ in 0..CONNECTIONS {
        held.push(connect(&acceptor, &connector, &server).await);
    }
    while server.stats().requests < (CONNECTIONS + WARM_UP) as u64 {
        tokio::task::yield_now().await;
    }
    let each = (live() - before) / CONNECTIONS;
    println!("both ends of a connection at rest: {each} bytes");
    assert!(each < 2_000, "{each} bytes");
    drop(held);
    server.drained().await;
}
