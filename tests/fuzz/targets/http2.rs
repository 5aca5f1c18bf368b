//! HTTP/2, both roles: calls through this crate's client to its server over pipes of any size, with cancellations in between; and frames
//! that the fuzzer makes, sent to a server.
//!
//! The first is compared with what was sent: an answer is what was asked, whole, or the call was canceled; and afterwards nothing is held.
//! The second must neither panic nor hang, and an honest client beside it is served. (`cargo test --lib http2` has a model of the core,
//! which counts windows, too.)

use std::convert::Infallible;
use std::future::{Ready, poll_fn, ready};
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;

use alts::http2::client::Client;
use alts::http2::frame::{Head, Headers, Kind, PREFACE, Settings};
use alts::http2::hpack::encode;
use alts::http2::server::{Described, Handlers, ServerBuilder};
use alts::http2::{Body, Reason, Server};
use alts::pool::BufferPool;
use alts::ready::Probed;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as _;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::Builder;
use tokio::task::{JoinHandle, yield_now};
use tower_service::Service;

use crate::FEW;
use crate::choices::Choices;

/// Sends back what it is sent, or greets without a look at it.
#[derive(Clone, Copy)]
struct Echo;

const GREETING: Bytes = Bytes::from_static(b"hello");

impl Service<Request<Body>> for Echo {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let body = match request.uri().path() {
            "/greet" => Body::from(GREETING),
            _ => request.into_body(),
        };
        ready(Ok(Response::new(body)))
    }
}

/// A server, and its window for a stream.
fn builder(choices: &mut Choices<'_>) -> (ServerBuilder, BufferPool, u32) {
    let pool = BufferPool::new();
    let builder = Server::builder()
        .pool(pool.clone())
        .handlers(choices.pick(&[Handlers::FirstPollHere, Handlers::InConnection, Handlers::Tasks]))
        .max_concurrent_streams(choices.pick(&[100, 1, 3]));
    let window = choices.pick(&[256 << 10, 1, 1_000, 65_535]);
    let builder = builder
        .stream_window(window)
        .connection_window(choices.pick(&[1 << 20, 65_535]))
        .header_table_size(choices.pick(&[4_096, 0, 100]));
    (builder, pool, window)
}

fn serve(builder: ServerBuilder, far: DuplexStream) -> JoinHandle<Result<(), alts::http2::Error>> {
    let server = builder.build().unwrap();
    let io = Described::new(Probed::new(far), http::Extensions::new());
    tokio::spawn(server.connection(io, Echo))
}

async fn call(mut client: Client, path: &'static str, content: Bytes) {
    let request = Request::post(path).body(Body::from(content.clone())).unwrap();
    let response = client.call(request).await.unwrap();
    let mut body = pin!(response.into_body());
    let mut received = Vec::new();
    while let Some(frame) = poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
        if let Ok(data) = frame.unwrap().into_data() {
            received.extend_from_slice(&data);
        }
    }
    assert!(received == if path == "/greet" { GREETING } else { content });
}

async fn calls(choices: &mut Choices<'_>) {
    let (near, far) = duplex(choices.pick(&[1 << 20, 16_384, 1_000, 64]));
    let (builder, pool, window) = builder(choices);
    // Each window costs a round trip.
    let most = 100_000.min(2_000 * window as usize);
    let serving = serve(builder, far);
    let client = Client::builder("http://localhost".parse().unwrap()).pool(pool.clone());
    let (client, driver) = client.over(Probed::new(near)).unwrap();
    let driving = tokio::spawn(driver);
    let mut calls = Vec::new();
    while !choices.are_over() {
        match choices.below(6) {
            0..=2 => {
                let len = choices.size(100_000).min(most);
                let content = (0..len).map(|at| (at * 7) as u8).collect();
                let path = if choices.one_in(4) { "/greet" } else { "/" };
                calls.push(tokio::spawn(call(client.clone(), path, content)));
            }
            3 => {
                if let Some(call) = choices.take_from(&mut calls) {
                    call.abort();
                }
            }
            _ => {
                for _ in 0..choices.below(20) {
                    yield_now().await;
                }
            }
        }
    }
    for call in calls {
        call.await.unwrap();
    }
    drop(client);
    let _ = driving.await.unwrap();
    if let Err(error) = serving.await.unwrap() {
        // A client that is no longer needed leaves at once.
        assert!(matches!(error.reason(), Reason::Io { .. } | Reason::Truncated), "{error}");
    }
    assert_eq!(pool.stats().in_use_buffers, 0);
}

/// A frame of any kind, more or less well-formed.
fn frame(choices: &mut Choices<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    let stream = choices.below(12) as u32;
    if choices.one_in(2) {
        let start = Headers::begin(&mut out);
        for (name, value) in [(":method", "POST"), (":scheme", "http"), (":path", "/")] {
            encode::field(&mut out, name.as_bytes(), value.as_bytes());
        }
        Headers::finish(&mut out, start, stream | 1, choices.one_in(3));
        return out;
    }
    let payload = choices.bytes(40);
    let head = Head {
        len: payload.len() as u32 + u32::from(choices.one_in(20)),
        kind: Kind::of(choices.below(11) as u8),
        flags: choices.byte(),
        stream,
    };
    head.write(&mut out);
    out.extend_from_slice(payload);
    out
}

async fn frames(choices: &mut Choices<'_>) {
    let (mut near, far) = duplex(1 << 20);
    let (builder, pool, _) = builder(choices);
    let serving = serve(builder, far);
    let mut bytes = PREFACE.to_vec();
    Settings::write(&[], &mut bytes);
    while !choices.are_over() {
        bytes.extend(frame(choices));
        if choices.one_in(3) {
            let cut = choices.below(bytes.len() + 1);
            // It may have closed already.
            let _ = near.write_all(&bytes[..cut]).await;
            bytes.drain(..cut);
            yield_now().await;
        }
    }
    let _ = near.write_all(&bytes).await;
    let _ = near.shutdown().await;
    let _ = near.read_to_end(&mut Vec::new()).await;
    drop(near);
    let _ = serving.await.unwrap();
    assert_eq!(pool.stats().in_use_buffers, 0);
}

#[test]
fn http2() {
    bolero::check!(name = "http2").with_iterations(FEW).with_max_len(2_000).for_each(
        |input: &[u8]| {
            let choices = &mut Choices::new(input);
            // One of its own, which ends before the thread's memory for output does.
            let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
            runtime.unwrap().block_on(async {
                match choices.one_in(2) {
                    true => frames(choices).await,
                    false => calls(choices).await,
                }
                // What looks after the connections sees that there are none, and ends.
                tokio::time::sleep(Duration::from_secs(5)).await;
            });
        },
    );
}
