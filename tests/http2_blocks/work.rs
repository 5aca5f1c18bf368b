//! What is done while blocks are counted.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use alts::http2::client::{Client, ResponseBody};
use alts::http2::{Body, Server};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tower_service::Service;

/// Content that nobody has to put together.
static CONTENT: [u8; LARGEST] = [7; LARGEST];
const LARGEST: usize = 1 << 20;
/// Content of a stream of messages, in all.
const STREAMED: usize = 8 << 20;

/// Calls of one kind.
pub(crate) struct Work {
    pub(crate) name: &'static str,
    /// How often each of those that call at a time does so.
    pub(crate) rounds: usize,
    in_flight: usize,
    path: &'static str,
    /// Messages of the request, and bytes of each. The path says what those of the response are.
    request: [usize; 2],
}

pub(crate) const WORK: [Work; 12] = [
    unary("64 B, 1 in flight", 1, "/64"),
    unary("64 B, 8 in flight", 8, "/64"),
    unary("64 B, 32 in flight", 32, "/64"),
    unary("1 KiB, 1 in flight", 1, "/1024"),
    unary("1 KiB, 8 in flight", 8, "/1024"),
    unary("1 KiB, 32 in flight", 32, "/1024"),
    unary("1 KiB, 32 in flight, answered later", 32, "/1024/later"),
    unary("1 KiB, 100 in flight", 100, "/1024"),
    streaming("to the server in 64 KiB", 1, "/0", [STREAMED >> 16, 64 << 10]),
    streaming("to the server in 1 MiB", 4, "/0", [STREAMED >> 20, 1 << 20]),
    streaming("from the server in 64 KiB", 4, "/65536/stream", [0, 0]),
    streaming("both ways in 1 MiB", 4, "/1048576/stream", [STREAMED >> 20, 1 << 20]),
];

const fn unary(name: &'static str, in_flight: usize, path: &'static str) -> Work {
    let size = if path.len() == 3 { 64 } else { 1_024 };
    Work { name, rounds: 50, in_flight, path, request: [1, size] }
}

const fn streaming(
    name: &'static str,
    in_flight: usize,
    path: &'static str,
    request: [usize; 2],
) -> Work {
    Work { name, rounds: 2, in_flight, path, request }
}

impl Work {
    pub(crate) fn named(name: &str) -> &'static Self {
        WORK.iter().find(|work| work.name == name).unwrap()
    }

    /// Does it `rounds` times, after a small call.
    pub(crate) fn run(&'static self, rounds: usize) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let target = format!("http://{}", listener.local_addr().unwrap());
            let client = Client::builder(target.parse().unwrap()).connect().await.unwrap();
            let (socket, _) = listener.accept().await.unwrap();
            let server = Server::builder().build().unwrap();
            tokio::spawn(server.connection(socket, tower::service_fn(answer)));
            call(&client, "/64", Messages::new(1, 64)).await;
            let mut calls = JoinSet::new();
            for _ in 0..self.in_flight {
                let client = client.clone();
                calls.spawn(async move {
                    let [messages, len] = self.request;
                    for _ in 0..rounds {
                        call(&client, self.path, Messages::new(messages, len)).await;
                    }
                });
            }
            calls.join_all().await;
        });
    }
}

/// Makes a call, and reads all of the response.
async fn call(client: &Client, path: &'static str, content: Messages) {
    let request = Request::post(path).header("te", "trailers").body(content).unwrap();
    let mut body: ResponseBody = client.clone().call(request).await.unwrap().into_body();
    let mut ended = false;
    while let Some(frame) = body.frame().await {
        ended |= frame.unwrap().is_trailers();
    }
    assert!(ended, "the response to {path} has no trailers");
}

/// Reads all of a request, beside the response if that is a stream.
async fn answer(request: Request<Body>) -> Result<Response<Messages>, Infallible> {
    let (parts, mut body) = request.into_parts();
    let mut words = parts.uri.path().split('/').skip(1);
    let len: usize = words.next().unwrap().parse().unwrap();
    let way = words.next();
    let read = async move {
        while let Some(frame) = body.frame().await {
            // A client that was told enough may end its call.
            if frame.is_err() {
                break;
            }
        }
    };
    let mut messages = 1;
    match way {
        Some("stream") => {
            tokio::spawn(read);
            messages = STREAMED / len;
        }
        Some("later") => {
            read.await;
            tokio::task::yield_now().await;
        }
        _ => read.await,
    }
    let response = Response::builder().header("content-type", "application/grpc");
    Ok(response.body(Messages::new(messages, len)).unwrap())
}

/// Messages of one length, then trailers.
struct Messages {
    left: usize,
    len: usize,
    trailers: bool,
}

impl Messages {
    fn new(left: usize, len: usize) -> Self {
        Self { left: if len == 0 { 0 } else { left }, len, trailers: true }
    }
}

impl http_body::Body for Messages {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(if self.left > 0 {
            self.left -= 1;
            Some(Ok(Frame::data(Bytes::from_static(&CONTENT[..self.len]))))
        } else if std::mem::take(&mut self.trailers) {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            Some(Ok(Frame::trailers(trailers)))
        } else {
            None
        })
    }
}
