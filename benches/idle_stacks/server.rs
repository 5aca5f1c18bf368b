//! The side that is measured.

use std::alloc::System;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use alts::AltsStream;
use alts::connect::Settings;
use alts::pool::BufferPool;
use alts::ready::ReadyReader;
use alts_benches::child::Child;
use alts_benches::descriptors;
use alts_benches::identity::Pem;
use alts_benches::memory::{at_rest, live_heap};
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_util::codec::{Framed, LengthDelimitedCodec};

use crate::Stack;

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Connections that are there before counting begins.
const WARM_UP: usize = 64;

type Stream = AltsStream<TcpStream>;

/// Serves, has clients make their exchange, and answers what a connection holds.
pub(crate) fn measure(stack: Stack, directory: &Path, connections: usize) -> isize {
    descriptors::raise();
    let runtime = Runtime::new().expect("a runtime");
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let mut target = Child::of_this_program(&["--echo"]);
    let target_address = target.line().parse().expect("an address");
    let acceptor = Pem::read(directory, "server").acceptor(Settings::default());
    runtime.spawn(async move {
        let pool = acceptor.settings().pool.clone();
        let mut incoming = acceptor.incoming(listener);
        let own_http = alts::http1::Server::new();
        while let Some(stream) = incoming.next().await {
            match stack {
                Stack::Loop => drop(tokio::spawn(on_ready(stream, pool.clone()))),
                Stack::OwnFramed => drop(tokio::spawn(own_framed(stream, pool.clone()))),
                Stack::Framed => drop(tokio::spawn(framed(stream))),
                Stack::CopyBidirectional => drop(tokio::spawn(relay(stream, target_address))),
                Stack::Http => drop(tokio::spawn(http(stream))),
                Stack::OwnHttp => drop(tokio::spawn(own_http.connection(stream, Echo, |_, _| {}))),
            }
        }
    });
    let directory = directory.to_str().expect("a path in UTF-8");
    let (_, argument, _) =
        crate::STACKS.into_iter().find(|(other, ..)| *other == stack).expect("it");
    let mut clients = Child::of_this_program(&["--clients", argument, directory, &address]);
    clients.ask(&WARM_UP.to_string());
    let before = at_rest(live_heap);
    clients.ask(&connections.to_string());
    (at_rest(live_heap) - before) / connections.cast_signed()
}

#[expect(clippy::manual_async_fn, reason = "an `async fn` keeps room for its arguments twice")]
fn on_ready(
    mut stream: Stream,
    pool: BufferPool,
) -> impl Future<Output = std::io::Result<()>> + Send {
    async move {
        while let Some(received) = stream.read_on_ready(&pool).await? {
            stream.write_all(&received).await?;
        }
        Ok(())
    }
}

fn own_framed(
    stream: Stream,
    pool: BufferPool,
) -> impl Future<Output = std::io::Result<()>> + Send {
    let mut framed = alts::ready::Framed::new(stream, LengthDelimitedCodec::new(), pool);
    async move {
        while let Some(message) = framed.next().await {
            framed.send(message?.freeze()).await?;
        }
        Ok(())
    }
}

fn framed(stream: Stream) -> impl Future<Output = std::io::Result<()>> + Send {
    let mut framed = Framed::new(stream, LengthDelimitedCodec::new());
    async move {
        while let Some(message) = framed.next().await {
            framed.send(message?.freeze()).await?;
        }
        Ok(())
    }
}

#[expect(clippy::manual_async_fn, reason = "an `async fn` keeps room for its arguments twice")]
fn relay(
    mut stream: Stream,
    target: SocketAddr,
) -> impl Future<Output = std::io::Result<()>> + Send {
    async move {
        let mut target = TcpStream::connect(target).await?;
        tokio::io::copy_bidirectional(&mut stream, &mut target).await.map(drop)
    }
}

fn http(stream: Stream) -> impl Future<Output = hyper::Result<()>> + Send {
    let echo = service_fn(async |request: Request<Incoming>| {
        let content = request.into_body().collect().await.expect("content").to_bytes();
        Ok::<_, Infallible>(Response::new(Full::new(content)))
    });
    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), echo)
}

/// The same for tower.
#[derive(Clone, Copy)]
struct Echo;

impl tower_service::Service<Request<alts::http1::Body>> for Echo {
    type Response = Response<Full<Bytes>>;
    type Error = alts::http1::BodyError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<alts::http1::Body>) -> Self::Future {
        Box::pin(async {
            let content = request.into_body().collect().await?.to_bytes();
            Ok(Response::new(Full::new(content)))
        })
    }
}
