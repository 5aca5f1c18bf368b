//! Honest clients: beside attacks, and those that look like one. `http2_honest`, order: `KIND COUNT`.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use alts::http2::client::{Client, ResponseBody};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame as BodyFrame;
use http_body_util::{BodyExt, Full};
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tower_service::Service;

use super::super::{Work, report};
use super::frames::{Incoming, credit, data, hello, ping, request};
use alts::http2::frame::Kind;

/// Calls at a time.
const AT_A_TIME: u64 = 32;

pub(crate) async fn run(mut work: Work) {
    report(&json!({}));
    while let Some(order) = work.order().await {
        let count: u64 = order[1].parse().expect("a number");
        let server = work.server;
        let answered = match order[0].as_str() {
            "cancel" => cancel(server, count).await,
            "quick" => quick(server, count).await,
            "small" => small(server, count).await,
            "eager" => eager(server, count).await,
            "late" => late(server, count).await,
            kind => panic!("{kind} is no kind"),
        };
        let lost = count - answered;
        report(&json!({ "bytes": 0, "asked": count, "answered": answered, "lost": lost }));
    }
}

/// Calls until others are done, and twenty times at least. How many calls there were, and how many answers that were right.
pub(super) async fn beside(server: SocketAddr, done: Arc<AtomicBool>) -> (u64, u64) {
    let client = connect(server).await;
    let (mut asked, mut answered) = (0, 0);
    while asked < 20 || !done.load(Ordering::Relaxed) {
        asked += 1;
        let content = format!("hello {asked}");
        let echo = echo(&client, content.clone().into()).await;
        answered += u64::from(echo.is_some_and(|echo| echo == content));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    (asked, answered)
}

async fn connect(server: SocketAddr) -> Client {
    let target = format!("http://{server}").parse().expect("a URI");
    Client::builder(target).connect().await.expect("a connection")
}

fn post<B>(path: &str, body: B) -> Request<B> {
    Request::post(path).body(body).expect("a request")
}

async fn echo(client: &Client, content: Bytes) -> Option<Bytes> {
    whole(client.clone().call(post("/echo", Full::new(content))).await.ok()?).await
}

async fn whole(response: Response<ResponseBody>) -> Option<Bytes> {
    Some(response.into_body().collect().await.ok()?.to_bytes())
}

/// Calls that are canceled when they have begun. That they reached the server in this order a call after them shows.
async fn cancel(server: SocketAddr, count: u64) -> u64 {
    let client = connect(server).await;
    for _ in 1..count {
        let mut call = client.clone().call(post("/hold", Full::<Bytes>::default()));
        let begun = std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut call).poll(cx)));
        assert!(begun.await.is_pending());
        tokio::task::yield_now().await;
        drop(call);
        tokio::task::yield_now().await;
    }
    match echo(&client, "there?".into()).await {
        Some(_) => count,
        None => 0,
    }
}

async fn quick(server: SocketAddr, count: u64) -> u64 {
    let client = connect(server).await;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..AT_A_TIME {
        let client = client.clone();
        tasks.spawn(async move {
            let mut answered = 0;
            for _ in (task..count).step_by(AT_A_TIME as usize) {
                let response = client.clone().call(post("/quick", Full::<Bytes>::default())).await;
                answered += u64::from(response.is_ok_and(|response| response.status() == 200));
            }
            answered
        });
    }
    tasks.join_all().await.into_iter().sum()
}

/// A body of so many frames of one byte.
struct Bytewise(u64);

impl http_body::Body for Bytewise {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Self::Error>>> {
        let Some(left) = self.0.checked_sub(1) else { return Poll::Ready(None) };
        self.0 = left;
        Poll::Ready(Some(Ok(BodyFrame::data(Bytes::from_static(b"?")))))
    }
}

async fn small(server: SocketAddr, count: u64) -> u64 {
    let client = connect(server).await;
    let response = client.clone().call(post("/echo", Bytewise(count))).await.expect("a response");
    let mut body = response.into_body();
    let mut received = 0;
    while let Some(Ok(frame)) = body.frame().await {
        received += frame.into_data().map_or(0, |data| data.len() as u64);
    }
    received
}

/// One response of so many pieces of ten bytes. For each frame there are a `WINDOW_UPDATE` for the stream, one for the connection, and a
/// PING. How many pieces came: where credit ends within one, it comes in two frames.
async fn eager(server: SocketAddr, count: u64) -> u64 {
    let (reader, mut writer) = TcpStream::connect(server).await.expect("a connection").into_split();
    let mut incoming = Incoming::new(reader);
    let hello = [hello(None), request(1, &format!("/drip/{count}"), true)].concat();
    writer.write_all(&hello).await.expect("written");
    let mut received = 0;
    while let Some(frame) = incoming.next().await {
        if frame.head.kind == Kind::Data && frame.head.len > 0 {
            received += u64::from(frame.head.len);
            let more = [credit(1, 10), credit(0, 10), ping(*b"how long")].concat();
            writer.write_all(&more).await.expect("written");
        }
        if frame.ends_stream() {
            break;
        }
    }
    received / 10
}

/// One call that is answered at once, and so many frames of its content afterwards. What the server says of a call after them counts.
async fn late(server: SocketAddr, count: u64) -> u64 {
    let (reader, mut writer) = TcpStream::connect(server).await.expect("a connection").into_split();
    let mut incoming = Incoming::new(reader);
    let hello = [hello(None), request(1, "/quick", false)].concat();
    writer.write_all(&hello).await.expect("written");
    while let Some(frame) = incoming.next().await {
        if frame.ends_stream() {
            break;
        }
    }
    let reading = tokio::spawn(async move {
        while let Some(frame) = incoming.next().await {
            if frame.head.stream == 3 && frame.ends_stream() {
                return true;
            }
        }
        false
    });
    for _ in 0..count {
        // Within 65,535 bytes, whatever is given back.
        if writer.write_all(&data(1, b"too late")).await.is_err() {
            break;
        }
    }
    let _ = writer.write_all(&request(3, "/quick", true)).await;
    match reading.await.expect("it does not panic") {
        true => count,
        false => 0,
    }
}
