//! HTTP/1.1 whose connections rest between requests: on the wire it is hyper's, byte for byte.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use alts::http1::Server;
use alts::ready::Probed;
use bytes::Bytes;
use http::{Extensions, Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use tokio::io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, ReadBuf, duplex,
};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tower_service::Service;

type Content = UnsyncBoxBody<Bytes, Infallible>;

fn full(bytes: impl Into<Bytes>) -> Content {
    http_body_util::Full::new(bytes.into()).boxed_unsync()
}

/// Three pieces, each after others had their turn.
#[derive(Default)]
struct Slowly {
    sent: u8,
    waited: bool,
}

impl Body for Slowly {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if !std::mem::replace(&mut self.waited, true) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.waited = false;
        self.sent += 1;
        Poll::Ready(
            (self.sent < 4).then(|| Ok(Frame::data(Bytes::from(vec![b'0' + self.sent; 3])))),
        )
    }
}

/// What the requests of these tests ask for, whoever serves.
async fn answer<B: Body<Data = Bytes> + Unpin>(
    request: Request<B>,
) -> Result<Response<Content>, &'static str> {
    let (head, mut content) = request.into_parts();
    let answer = match (head.method, head.uri.path()) {
        (Method::POST, "/echo") => match content.collect().await {
            Ok(content) => Response::new(full(content.to_bytes())),
            Err(_) => return Err("the content ended early"),
        },
        (_, "/ignore") => Response::new(full("ignored")),
        (_, "/begin") => {
            let _ = content.frame().await;
            Response::new(full("begun"))
        }
        (_, "/slowly") => Response::new(Slowly::default().boxed_unsync()),
        (_, "/large") => Response::new(full(vec![b'x'; 300_000])),
        (_, "/fail") => return Err("as asked"),
        (_, "/upgrade") => {
            let can = head.extensions.get::<hyper::upgrade::OnUpgrade>().is_some();
            Response::new(full(format!("upgrade {can}")))
        }
        (_, "/known") => {
            let known = head.extensions.get::<&'static str>();
            Response::new(full(*known.unwrap_or(&"nobody")))
        }
        (_, "/empty") => {
            let mut response = Response::new(full(""));
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        _ => Response::new(full("hello")),
    };
    Ok(answer)
}

#[derive(Clone)]
struct Answers;

impl Service<Request<alts::http1::Body>> for Answers {
    type Response = Response<Content>;
    type Error = &'static str;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Content>, &'static str>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<alts::http1::Body>) -> Self::Future {
        Box::pin(answer(request))
    }
}

fn describe<IO>(_: &IO, extensions: &mut Extensions) {
    extensions.insert("somebody");
}

/// A connection to a server of this crate.
fn connect(server: &Server) -> (DuplexStream, JoinHandle<()>) {
    let (near, far) = duplex(1 << 20);
    (near, tokio::spawn(server.connection(Probed::new(far), Answers, describe)))
}

/// A connection to hyper's server.
fn connect_to_hyper() -> (DuplexStream, JoinHandle<()>) {
    let (near, far) = duplex(1 << 20);
    let service = hyper::service::service_fn(answer::<hyper::body::Incoming>);
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(hyper_util::rt::TokioTimer::new());
    let connection = builder.serve_connection(hyper_util::rt::TokioIo::new(far), service);
    let connection = tokio::spawn(async move {
        let _ = connection.await;
    });
    (near, connection)
}

/// Long enough, in turns of a runtime with one thread, that everything has come to rest.
async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

/// Reads until nothing more is there now.
async fn read_what_is_there(stream: &mut (impl AsyncRead + Unpin), answer: &mut Vec<u8>) {
    let mut chunk = [0; 4096];
    loop {
        let mut read = ReadBuf::new(&mut chunk);
        let polled =
            poll_fn(|cx| Poll::Ready(Pin::new(&mut *stream).poll_read(cx, &mut read))).await;
        match (polled, read.filled()) {
            (Poll::Ready(Ok(())), bytes @ [_, ..]) => answer.extend_from_slice(bytes),
            _ => return,
        }
    }
}

/// Sends the pieces, each when all is quiet, then the end. Answers with all that came back, without the time of day.
async fn converse(mut stream: DuplexStream, pieces: &[&[u8]]) -> String {
    let mut answer = Vec::new();
    for piece in pieces {
        // The server may have closed already.
        let _ = stream.write_all(piece).await;
        settle().await;
        read_what_is_there(&mut stream, &mut answer).await;
    }
    let _ = stream.shutdown().await;
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let lines = answer.split_inclusive('\n').filter(|line| !line.starts_with("date: "));
    lines.collect()
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: server\r\n\r\n";

fn post(path: &str, content: &str) -> Vec<u8> {
    let length = content.len();
    format!("POST {path} HTTP/1.1\r\nhost: server\r\ncontent-length: {length}\r\n\r\n{content}")
        .into_bytes()
}

fn get(path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: server\r\n\r\n").into_bytes()
}

/// What clients send in one connection.
fn conversations() -> Vec<Vec<u8>> {
    let chunked = b"POST /echo HTTP/1.1\r\nhost: server\r\ntransfer-encoding: chunked\r\n\r\n\
        3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n";
    let expects = b"POST /echo HTTP/1.1\r\nhost: server\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\nabcde";
    let upgrade =
        b"GET /empty HTTP/1.1\r\nhost: server\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    [
        vec![GET.to_vec(); 3],
        vec![get("/large"), get("/slowly"), get("/empty"), GET.to_vec()],
        vec![post("/echo", "hello"), post("/echo", ""), chunked.to_vec(), GET.to_vec()],
        vec![post("/ignore", "unread"), GET.to_vec()],
        vec![post("/ignore", &"long".repeat(100_000)), GET.to_vec()],
        vec![post("/begin", &"long".repeat(100_000)), GET.to_vec()],
        vec![chunked.to_vec(), expects.to_vec(), GET.to_vec()],
        vec![b"HEAD /large HTTP/1.1\r\nhost: server\r\n\r\n".to_vec(), GET.to_vec()],
        vec![b"GET / HTTP/1.0\r\n\r\n".to_vec(), GET.to_vec()],
        vec![b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n".to_vec(), GET.to_vec()],
        vec![b"GET / HTTP/1.1\r\nhost: server\r\nconnection: close\r\n\r\n".to_vec(), GET.to_vec()],
        vec![GET.to_vec(), b"no request at all\r\n\r\n".to_vec(), GET.to_vec()],
        vec![GET.to_vec(), get("/fail"), GET.to_vec()],
        vec![upgrade.to_vec(), GET.to_vec()],
        vec![b"\r\n\r\n".to_vec(), GET.to_vec(), b"GET / HT".to_vec()],
        vec![GET.to_vec(); 50],
        vec![post("/echo", &"y".repeat(70_000)); 3],
    ]
    .map(|requests| requests.concat())
    .to_vec()
}

/// Cuts `bytes` before each place.
fn cut(bytes: &[u8], places: impl IntoIterator<Item = usize>) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    let mut start = 0;
    for place in places {
        if place > start && place < bytes.len() {
            pieces.push(&bytes[start..place]);
            start = place;
        }
    }
    pieces.push(&bytes[start..]);
    pieces
}

#[tokio::test]
async fn what_is_answered_is_what_hyper_answers_however_it_comes() {
    for conversation in conversations() {
        let ends = ends_of_heads(&conversation);
        let expected = converse(connect_to_hyper().0, &[&conversation]).await;
        let step = conversation.len().div_ceil(100).max(1);
        for pieces in [
            vec![&conversation[..]],
            // Each head by itself, and each cut just before its end, and just behind it.
            cut(&conversation, ends.iter().copied()),
            cut(&conversation, ends.iter().map(|end| end - 1)),
            cut(&conversation, ends.iter().map(|end| end + 1)),
            cut(&conversation, (0..conversation.len()).step_by(step)),
        ] {
            let server = Server::new();
            let hyper = converse(connect_to_hyper().0, &pieces).await;
            let ours = converse(connect(&server).0, &pieces).await;
            let shown = String::from_utf8_lossy(&conversation[..conversation.len().min(300)]);
            assert_eq!(ours, hyper, "{} pieces of {shown}", pieces.len());
            if pieces.len() == 1 {
                assert_eq!(ours, expected);
            }
            server.drained().await;
        }
    }
}

/// Where heads end.
fn ends_of_heads(bytes: &[u8]) -> Vec<usize> {
    let at = bytes.windows(4).enumerate().filter(|(_, four)| *four == b"\r\n\r\n");
    at.map(|(at, _)| at + 4).collect()
}

/// Sends one request and reads until nothing more comes.
async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), request: &[u8]) -> String {
    stream.write_all(request).await.unwrap();
    settle().await;
    let mut answer = Vec::new();
    read_what_is_there(stream, &mut answer).await;
    String::from_utf8(answer).unwrap()
}

/// Requests are counted when a connection has come to rest.
#[tokio::test]
async fn a_connection_rests_after_every_kind_of_request() {
    let server = Server::new();
    let (mut stream, connection) = connect(&server);
    let requests = [
        GET.to_vec(),
        post("/echo", "hello"),
        post("/ignore", "unread"),
        get("/slowly"),
        get("/large"),
        get("/empty"),
        b"POST /echo HTTP/1.1\r\nhost: server\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
            .to_vec(),
        b"POST /ignore HTTP/1.1\r\nhost: server\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"
            .to_vec(),
    ];
    for (at, request) in requests.iter().enumerate() {
        let answer = ask(&mut stream, request).await;
        assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
        assert!(!answer.contains("connection: close"), "{answer}");
        assert_eq!(server.stats().requests, at as u64 + 1, "not at rest after {answer}");
    }
    assert!(!connection.is_finished());
    assert_eq!(server.stats().connections, 1);
    drop(stream);
    server.drained().await;
}

#[tokio::test]
async fn part_of_a_head_waits_with_hyper() {
    let server = Server::new();
    let (mut stream, _connection) = connect(&server);
    assert!(ask(&mut stream, GET).await.ends_with("hello"));
    assert_eq!(ask(&mut stream, &GET[..9]).await, "");
    assert!(ask(&mut stream, &GET[9..]).await.ends_with("hello"));
    // With the end of the request before.
    let request = post("/echo", "abc");
    let with_part = [&request[..], &GET[..9]].concat();
    assert!(ask(&mut stream, &with_part).await.ends_with("abc"));
    assert!(ask(&mut stream, &GET[9..]).await.ends_with("hello"));
    assert_eq!(server.stats().requests, 4);
}

#[tokio::test]
async fn requests_have_what_is_known_of_the_connection() {
    let server = Server::new();
    let (mut stream, _connection) = connect(&server);
    for _ in 0..2 {
        assert!(ask(&mut stream, &get("/known")).await.ends_with("somebody"));
    }
}

#[tokio::test]
async fn nobody_is_promised_an_upgrade() {
    let server = Server::new();
    let (mut stream, _connection) = connect(&server);
    let request =
        b"GET /upgrade HTTP/1.1\r\nhost: s\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    let answer = ask(&mut stream, request).await;
    assert!(answer.ends_with("upgrade false"), "{answer}");
}

#[tokio::test]
async fn a_drain_closes_what_rests_and_lets_answers_end() {
    let server = Server::new();
    let (mut resting, rests) = connect(&server);
    assert!(ask(&mut resting, GET).await.ends_with("hello"));
    let (mut new, _) = connect(&server);
    settle().await;
    let (mut busy, _) = connect(&server);
    let request = post("/echo", "hello");
    assert_eq!(ask(&mut busy, &request[..request.len() - 1]).await, "");
    server.drain();
    rests.await.unwrap();
    assert_eq!(resting.read(&mut [0]).await.unwrap(), 0);
    assert_eq!(new.read(&mut [0]).await.unwrap(), 0);
    let answer = ask(&mut busy, &request[request.len() - 1..]).await;
    assert!(answer.contains("connection: close\r\n") && answer.ends_with("hello"), "{answer}");
    assert_eq!(busy.read(&mut [0]).await.unwrap(), 0);
    server.drained().await;
    assert_eq!(server.stats().connections, 0);

    // What has arrived at a connection that comes too late is answered.
    let (near, far) = duplex(1 << 20);
    let mut late = near;
    late.write_all(GET).await.unwrap();
    tokio::spawn(server.connection(Probed::new(far), Answers, describe));
    let answer = ask(&mut late, b"").await;
    assert!(answer.contains("connection: close\r\n") && answer.ends_with("hello"), "{answer}");
    server.drained().await;
}

#[tokio::test(start_paused = true)]
async fn limits_of_time_hold() {
    let second = Duration::from_secs(1);
    let builder = Server::builder().header_timeout(5 * second).idle_timeout(60 * second);
    let server = builder.build().unwrap();
    let closed_after = async |stream: &mut DuplexStream| {
        let begun = Instant::now();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
        begun.elapsed().as_secs()
    };
    let (mut stream, _) = connect(&server);
    assert!(ask(&mut stream, GET).await.ends_with("hello"));
    assert_eq!(closed_after(&mut stream).await, 60);
    let (mut stream, _) = connect(&server);
    assert_eq!(ask(&mut stream, &GET[..9]).await, "");
    assert_eq!(closed_after(&mut stream).await, 5);
    let (mut stream, _) = connect(&server);
    assert_eq!(closed_after(&mut stream).await, 60);
    server.drained().await;
}

#[tokio::test]
async fn settings_are_checked() {
    let zero = Duration::ZERO;
    for builder in [
        Server::builder().header_timeout(zero),
        Server::builder().idle_timeout(zero),
        Server::builder().max_head(8_191),
    ] {
        let error = builder.build().unwrap_err().to_string();
        assert!(error.starts_with("a setting of the HTTP/1.1 server cannot be: "), "{error}");
    }
    let longest = Server::builder().header_timeout(Duration::MAX).idle_timeout(Duration::MAX);
    let server = longest.max_head(8_192).build().unwrap();
    let (mut stream, _) = connect(&server);
    assert!(ask(&mut stream, GET).await.ends_with("hello"));
    let long = format!("GET /{} HTTP/1.1\r\nhost: server\r\n\r\n", "a".repeat(9_000));
    assert!(ask(&mut stream, long.as_bytes()).await.starts_with("HTTP/1.1 4"));
}

#[tokio::test]
async fn dropping_a_connection_drops_its_handlers() {
    #[derive(Clone)]
    struct Never(std::sync::Arc<()>);
    impl Service<Request<alts::http1::Body>> for Never {
        type Response = Response<Content>;
        type Error = Infallible;
        type Future = Pin<Box<dyn Future<Output = Result<Response<Content>, Infallible>> + Send>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
            Poll::Ready(Ok(()))
        }
        fn call(&mut self, _: Request<alts::http1::Body>) -> Self::Future {
            let held = self.0.clone();
            Box::pin(async move {
                std::future::pending::<()>().await;
                drop(held);
                unreachable!("it never comes")
            })
        }
    }
    let server = Server::new();
    let never = Never(std::sync::Arc::default());
    let (mut near, far) = duplex(1 << 20);
    let connection = server.connection(Probed::new(far), never.clone(), |_, _| {});
    let connection = tokio::spawn(connection);
    assert_eq!(ask(&mut near, GET).await, "");
    assert!(std::sync::Arc::strong_count(&never.0) > 1);
    connection.abort();
    server.drained().await;
    assert_eq!(std::sync::Arc::strong_count(&never.0), 1);
}
