//! Pipes that are full: both ends have more to send than fits, and go on nevertheless.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};
use std::time::Duration;

use alts::http2::client::Client;
use alts::http2::frame::{
    Data, ErrorCode, Head, Headers, Kind, PREFACE, Ping, Reset, Setting, Settings, WindowUpdate,
};
use alts::http2::hpack::encode;
use alts::http2::server::Described;
use alts::http2::{Body, Error, Server};
use alts::ready::Probed;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tower_service::Service;

use crate::content_of;

/// Sends back what it is sent.
#[derive(Clone, Copy)]
struct Echo;

impl Service<Request<Body>> for Echo {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        ready(Ok(Response::new(request.into_body())))
    }
}

fn serve(far: DuplexStream) -> JoinHandle<Result<(), Error>> {
    let server = Server::builder().build().unwrap();
    tokio::spawn(server.connection(Described::new(Probed::new(far), http::Extensions::new()), Echo))
}

/// Each end has more to send than it queues, and the pipe holds next to nothing.
#[tokio::test(start_paused = true)]
async fn two_ends_with_much_to_send_do_not_wait_for_each_other() {
    let (near, far) = duplex(64);
    serve(far);
    let client = Client::builder("http://service.test".parse().unwrap());
    let (client, driver) = client.over(Probed::new(near)).unwrap();
    tokio::spawn(driver);
    let mut calls = Vec::new();
    for call in 0..4_u8 {
        let content = Bytes::from(vec![call; 200_000]);
        let request = Request::post("/").body(Full::new(content.clone())).unwrap();
        let answer = content_of(client.clone().call(request));
        calls.push((content, tokio::spawn(answer)));
    }
    for (content, answer) in calls {
        assert!(answer.await.unwrap().unwrap() == content);
    }
}

/// A client made of frames that lets the server send a lot, and has asked for an echo.
async fn begin(near: &mut DuplexStream) {
    let mut bytes = PREFACE.to_vec();
    Settings::write(&[Setting::InitialWindowSize(1 << 20)], &mut bytes);
    Settings::write_ack(&mut bytes);
    WindowUpdate { stream: 0, increment: 1 << 20 }.write(&mut bytes);
    bytes.extend(head(1));
    near.write_all(&bytes).await.unwrap();
}

fn head(stream: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let start = Headers::begin(&mut bytes);
    for (name, value) in [(":method", "POST"), (":scheme", "http"), (":path", "/")] {
        encode::field(&mut bytes, name.as_bytes(), value.as_bytes());
    }
    Headers::finish(&mut bytes, start, stream, false);
    bytes
}

fn data(stream: u32, content: &[u8], end: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    Data::head(stream, content.len(), end).write(&mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

/// A simple client writes its whole request, as far as the windows let it, before it reads anything.
#[tokio::test(start_paused = true)]
async fn a_client_that_writes_before_it_reads_is_served() {
    let (mut near, far) = duplex(1_000);
    serve(far);
    begin(&mut near).await;
    for piece in 0..20 {
        near.write_all(&data(1, &[7; 10_000], piece == 19)).await.unwrap();
    }
    let mut received = 0;
    while received < 200_000 {
        let mut head = [0; Head::LEN];
        near.read_exact(&mut head).await.unwrap();
        let head = Head::parse(&head);
        let mut payload = vec![0; head.len as usize];
        near.read_exact(&mut payload).await.unwrap();
        if head.kind == Kind::Data {
            assert!(payload.iter().all(|&byte| byte == 7));
            received += payload.len();
        }
    }
}

/// How many times a server takes `bytes` from a client that takes nothing.
async fn taken(near: &mut DuplexStream, mut bytes: impl FnMut(u32) -> Vec<u8>) -> u32 {
    let mut count = 0;
    // Time passes when nothing else can happen.
    while let Ok(written) = timeout(Duration::from_secs(5), near.write_all(&bytes(count))).await {
        written.unwrap();
        count += 1;
        assert!(count < 100_000, "no limit");
    }
    count
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_no_answers_is_not_read_for_ever() {
    let (mut near, far) = duplex(1_000);
    serve(far);
    begin(&mut near).await;
    // Content pays for the PING, so that no other limit is reached.
    let count = taken(&mut near, |_| {
        let mut bytes = data(1, b"?", false);
        Ping { ack: false, data: *b"anything" }.write(&mut bytes);
        bytes
    });
    let count = count.await;
    // Each is answered with 17 bytes; 64 KiB may wait, and what one read brings.
    assert!((3_000..8_000).contains(&count), "{count}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_and_resets_is_not_read_for_ever() {
    let (mut near, far) = duplex(1_000);
    serve(far);
    begin(&mut near).await;
    for _ in 0..20 {
        near.write_all(&data(1, &[7; 10_000], false)).await.unwrap();
    }
    let count = taken(&mut near, |at| {
        let stream = 3 + 2 * at;
        let mut bytes = head(stream);
        Reset { stream, code: ErrorCode::CANCEL }.write(&mut bytes);
        bytes
    });
    let count = count.await;
    // Two events for each, of 1,024; and what one read brings.
    assert!((500..3_000).contains(&count), "{count}");
}
