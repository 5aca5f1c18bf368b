//! Clients of a server that keep it waiting, frame by frame, in time that passes when nothing else can happen.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use alts::http2::frame::{
    Data, ErrorCode, Head, Headers, Kind, PREFACE, Setting, Settings, WindowUpdate, flag,
};
use alts::http2::hpack::encode;
use alts::http2::server::{Described, ServerBuilder};
use alts::http2::{Body, Error, Reason, Server};
use alts::pool::BufferPool;
use alts::ready::Probed;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tower_service::Service;

/// Long after anything should have happened.
const LATE: Duration = Duration::from_secs(24 * 3_600);

/// Answers `/large` with 100,000 bytes, `/hold` never, and anything else at once with nothing.
#[derive(Clone, Copy)]
struct Handlers;

type Content = UnsyncBoxBody<Bytes, Infallible>;

impl Service<Request<Body>> for Handlers {
    type Response = Response<Content>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Content>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(async move {
            let path = request.uri().path().to_owned();
            if path == "/hold" {
                std::future::pending::<()>().await;
                drop(request);
            }
            let len = if path == "/large" { 100_000 } else { 0 };
            Ok(Response::new(Full::from(vec![7; len]).boxed_unsync()))
        })
    }
}

/// A client made of frames, and the server's end of its connection.
struct Raw {
    near: DuplexStream,
    served: JoinHandle<Result<(), Error>>,
}

impl Raw {
    /// One that has begun, with this window for each stream.
    async fn new(window: u32, set: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Self {
        let server = set(Server::builder()).build().unwrap();
        Self::on(&server, window).await
    }

    async fn on(server: &Server, window: u32) -> Self {
        let mut raw = Self::silent(server);
        let mut bytes = PREFACE.to_vec();
        Settings::write(&[Setting::InitialWindowSize(window)], &mut bytes);
        Settings::write_ack(&mut bytes);
        raw.send(&bytes).await;
        raw
    }

    fn silent(server: &Server) -> Self {
        let (near, far) = duplex(1 << 20);
        let io = Described::new(Probed::new(far), http::Extensions::new());
        Self { near, served: tokio::spawn(server.connection(io, Handlers)) }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.near.write_all(bytes).await.unwrap();
    }

    /// The next frame of this kind; `None` at the end.
    async fn next(&mut self, kind: Kind) -> Option<(Head, Vec<u8>)> {
        loop {
            let mut head = [0; Head::LEN];
            self.near.read_exact(&mut head).await.ok()?;
            let head = Head::parse(&head);
            let mut payload = vec![0; head.len as usize];
            self.near.read_exact(&mut payload).await.ok()?;
            if head.kind == kind {
                return Some((head, payload));
            }
        }
    }

    async fn end(self) -> Error {
        self.served.await.unwrap().unwrap_err()
    }
}

pub(crate) fn request(stream: u32, path: &str, end: bool) -> Vec<u8> {
    request_with(stream, path, &[], end)
}

fn request_with(stream: u32, path: &str, more: &[(&str, &str)], end: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    let start = Headers::begin(&mut bytes);
    let fields = [(":method", "POST"), (":scheme", "http"), (":path", path)];
    for (name, value) in fields.iter().chain(more) {
        encode::field(&mut bytes, name.as_bytes(), value.as_bytes());
    }
    Headers::finish(&mut bytes, start, stream, end);
    bytes
}

fn data(stream: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Data::head(stream, content.len(), false).write(&mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

fn requests(count: u32, path: &str) -> Vec<u8> {
    (0..count).flat_map(|at| request(1 + 2 * at, path, true)).collect()
}

/// Responses that wait for window while no other request is let in are given up.
#[tokio::test(start_paused = true)]
async fn a_response_without_window_that_keeps_others_out_is_reset() {
    for (set, expected) in [(None, 5 * 60), (Some(7), 7)] {
        let mut raw = Raw::new(0, |builder| match set {
            Some(seconds) => builder.window_timeout(Duration::from_secs(seconds)),
            None => builder,
        })
        .await;
        let begun = Instant::now();
        raw.send(&requests(100, "/large")).await;
        let (head, code) = timeout(LATE, raw.next(Kind::Reset)).await.unwrap().unwrap();
        assert_eq!((head.stream, code), (1, ErrorCode::CANCEL.0.to_be_bytes().to_vec()));
        assert_waited(begun, expected);
        // The others keep nobody out.
        timeout(LATE, raw.next(Kind::Reset)).await.unwrap_err();
        // Until there is another request.
        raw.send(&request(201, "/large", true)).await;
        let (head, _) = timeout(LATE, raw.next(Kind::Reset)).await.unwrap().unwrap();
        assert_eq!(head.stream, 3);
        // And with window they go on.
        let mut credit = Vec::new();
        WindowUpdate { stream: 5, increment: 1 << 20 }.write(&mut credit);
        raw.send(&credit).await;
        let (head, _) = timeout(LATE, raw.next(Kind::Data)).await.unwrap().unwrap();
        assert_eq!(head.stream, 5);
    }
}

/// So much time has passed, in seconds, and at most two more: a server looks at the time once a second.
fn assert_waited(begun: Instant, seconds: u64) {
    let waited = begun.elapsed().as_millis();
    let expected = u128::from(seconds) * 1_000;
    assert!((expected..=expected + 2_000).contains(&waited), "{waited} ms, not {seconds} s");
}

#[tokio::test(start_paused = true)]
async fn responses_wait_for_window_as_long_as_others_are_let_in() {
    let mut raw = Raw::new(0, |builder| builder.window_timeout(Duration::from_secs(1))).await;
    raw.send(&requests(99, "/large")).await;
    timeout(LATE, raw.next(Kind::Reset)).await.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn settings_have_to_be_acknowledged_in_time() {
    for (set, expected) in [(None, 10 + 20), (Some(5), 10 + 5)] {
        let server = Server::builder();
        let server = match set {
            Some(seconds) => server.settings_timeout(Duration::from_secs(seconds)),
            None => server,
        };
        let begun = Instant::now();
        let mut raw = Raw::silent(&server.build().unwrap());
        let mut bytes = PREFACE.to_vec();
        Settings::write(&[], &mut bytes);
        raw.send(&bytes).await;
        let (_, payload) = timeout(LATE, raw.next(Kind::GoAway)).await.unwrap().unwrap();
        assert_eq!(payload[4..8], ErrorCode::SETTINGS_TIMEOUT.0.to_be_bytes());
        assert_waited(begun, expected);
        assert!(matches!(raw.end().await.reason(), Reason::Timeout(_)));
    }
}

#[tokio::test(start_paused = true)]
async fn the_second_go_away_comes_in_time() {
    for (set, expected) in [(None, 1), (Some(9), 9)] {
        let server = Server::builder();
        let server = match set {
            Some(seconds) => server.drain_timeout(Duration::from_secs(seconds)),
            None => server,
        };
        let server = server.build().unwrap();
        let mut raw = Raw::on(&server, 0).await;
        raw.send(&request(1, "/hold", false)).await;
        raw.next(Kind::Settings).await.unwrap();
        let begun = Instant::now();
        server.drain();
        let (_, first) = raw.next(Kind::GoAway).await.unwrap();
        assert_eq!(first[..4], [0x7F, 0xFF, 0xFF, 0xFF]);
        let (_, second) = timeout(LATE, raw.next(Kind::GoAway)).await.unwrap().unwrap();
        assert_eq!(second[..4], [0, 0, 0, 1]);
        assert_waited(begun, expected);
    }
}

/// A client that does not close its end is waited for, but not for long.
#[tokio::test(start_paused = true)]
async fn a_connection_that_was_ended_lingers() {
    for (set, expected) in [(None, 2), (Some(11), 11)] {
        let mut raw = Raw::new(0, |builder| match set {
            Some(seconds) => builder.linger(Duration::from_secs(seconds)),
            None => builder,
        })
        .await;
        let begun = Instant::now();
        // The fault comes with much behind it.
        let mut bytes = data(1, b"never opened");
        bytes.resize(100_000, 0);
        raw.send(&bytes).await;
        raw.next(Kind::GoAway).await.unwrap();
        let Raw { near, served } = raw;
        assert!(matches!(served.await.unwrap().unwrap_err().reason(), Reason::Violation(_)));
        assert_waited(begun, expected);
        drop(near);
    }
}

/// What the heads of all requests may take is as much as the limits say, in bytes of memory.
#[tokio::test(start_paused = true)]
async fn requests_with_much_metadata_are_refused_when_there_are_many() {
    for (streams, list) in [(100, 16 << 10), (10, 16 << 10), (100, 4 << 10)] {
        let mut raw = Raw::new(0, |builder| {
            builder.max_concurrent_streams(streams).max_header_list_size(list)
        })
        .await;
        // Forty bytes each for HTTP/2.
        let names: Vec<_> = (0..list / 45).map(|at| format!("n{at:05}")).collect();
        let fields: Vec<_> = names.iter().map(|name| (&name[..], "")).collect();
        for at in 0..streams {
            raw.send(&request_with(1 + 2 * at, "/hold", &fields, true)).await;
        }
        let (head, code) = timeout(LATE, raw.next(Kind::Reset)).await.unwrap().unwrap();
        assert_eq!(code, ErrorCode::REFUSED_STREAM.0.to_be_bytes());
        // A field takes 250 bytes and more instead of 45.
        let taken = (head.stream - 1) / 2;
        assert!((streams / 8..=streams / 4).contains(&taken), "{taken} of {streams}");
        // Others still find room, and so does this one when those have ended.
        for at in 0..taken {
            let canceled = ErrorCode::CANCEL;
            let mut bytes = Vec::new();
            alts::http2::frame::Reset { stream: 1 + 2 * at, code: canceled }.write(&mut bytes);
            raw.send(&bytes).await;
        }
        raw.send(&request_with(1 + 2 * streams, "/quick", &fields, true)).await;
        let (head, _) = timeout(LATE, raw.next(Kind::Headers)).await.unwrap().unwrap();
        assert_eq!((head.stream, head.has(flag::END_STREAM)), (1 + 2 * streams, true));
    }
}

/// Content that no handler reads is in buffers of the pool until others need them. That takes a second of real time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn content_that_is_held_does_not_keep_the_pool() {
    for complete in [false, true] {
        let pool = BufferPool::builder().cap(4 * (33 << 10)).build().unwrap();
        let server = Server::builder().pool(pool.clone()).build().unwrap();
        let mut holder = Raw::on(&server, 0).await;
        let mut stream = 1;
        // Each frame of a read of its own, until all buffers are out.
        while pool.stats().in_use_buffers < 4 {
            let mut bytes = request(stream, "/hold", false);
            bytes.extend(data(stream, &[7; 15_000]));
            if complete {
                Data::head(stream, 0, true).write(&mut bytes);
            }
            stream += 2;
            holder.send(&bytes).await;
            sleep(Duration::from_millis(20)).await;
        }
        let mut other = Raw::on(&server, 0).await;
        other.send(&request(1, "/quick", true)).await;
        let answered = timeout(crate::fixture::PATIENCE, other.next(Kind::Headers));
        let (head, _) = answered.await.unwrap().unwrap();
        assert!(head.has(flag::END_STREAM));
    }
}

#[tokio::test(start_paused = true)]
async fn a_quiet_connection_is_not_woken() {
    let (mut near, far) = duplex(1 << 16);
    let io = Described::new(Probed::new(far), http::Extensions::new());
    let mut connection = Box::pin(Server::builder().build().unwrap().connection(io, Handlers));
    let polls = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&polls);
    tokio::spawn(poll_fn(move |cx| {
        counted.fetch_add(1, Ordering::Relaxed);
        connection.as_mut().poll(cx)
    }));
    // It waits for the preface, and not for longer than it may take.
    sleep(Duration::from_millis(1)).await;
    let mut bytes = PREFACE.to_vec();
    Settings::write(&[], &mut bytes);
    Settings::write_ack(&mut bytes);
    near.write_all(&bytes).await.unwrap();
    sleep(Duration::from_millis(1)).await;
    let before = polls.load(Ordering::Relaxed);
    assert!(before > 0);
    sleep(LATE).await;
    assert_eq!(polls.load(Ordering::Relaxed), before);
}
