//! A client of HTTP/2 against a server that the fuzzer directs frame by frame.
//!
//! The model ([`model`](self::model)) knows what the server has sent on each stream, foretells what becomes of each call, and with which code
//! the client ends the connection after a fault. Credit is counted both ways: the client neither sends more than it may, nor gives back
//! more than it got.

mod model;

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use alts::http2::client::{Client, ResponseFuture};
use alts::http2::frame::{ErrorCode, Head, Kind, Ping, Setting, Settings, flag};
use alts::http2::hpack::encode;
use alts::pool::BufferPool;
use alts::ready::Probed;
use bytes::Bytes;
use http::Request;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWriteExt, DuplexStream, ReadBuf, duplex};
use tokio::runtime::Builder;
use tokio::task::{JoinHandle, yield_now};
use tower_service::Service;

use crate::FEW;
use crate::choices::Choices;
use model::{Came, Model};

/// The client's windows, for a stream and for the connection, in bytes.
const WINDOW: u32 = 20_000;
const CONNECTION_WINDOW: u32 = 70_000;
/// Turns that each end gets, until nothing happens any more.
const TURNS: usize = 30;

/// A request's content, which comes piece by piece.
struct Upload(usize);

impl Body for Upload {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let len = self.0.min(7_000);
        self.0 -= len;
        Poll::Ready((len > 0).then(|| Ok(Frame::data(vec![7; len].into()))))
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0 as u64)
    }
}

/// Reads a response to its end.
async fn come(response: ResponseFuture, most: usize) -> Came {
    let mut came = Came::default();
    match response.await {
        Err(error) => came.error = Some(error.to_string()),
        Ok(response) => {
            came.status = Some(response.status().as_u16());
            let mut body = pin!(response.into_body());
            while came.content.len() < most {
                match poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
                    None => {
                        came.ended = true;
                        break;
                    }
                    Some(Ok(frame)) => {
                        if let Ok(data) = frame.into_data() {
                            came.content.extend_from_slice(&data);
                        }
                    }
                    Some(Err(error)) => {
                        came.error = Some(error.to_string());
                        break;
                    }
                }
            }
        }
    }
    came
}

struct Story {
    client: Client,
    far: DuplexStream,
    /// What came of the client and is no whole frame yet.
    unread: Vec<u8>,
    greeted: bool,
    model: Model,
    calls: Vec<JoinHandle<Came>>,
}

impl Story {
    /// Lets everyone go on as far as they can, and takes what the client sent.
    async fn settle(&mut self) {
        for _ in 0..TURNS {
            yield_now().await;
            let mut bytes = vec![0; 16_384];
            loop {
                let mut buf = ReadBuf::new(&mut bytes);
                let read =
                    poll_fn(|cx| Poll::Ready(Pin::new(&mut self.far).poll_read(cx, &mut buf)));
                match read.await {
                    Poll::Ready(Ok(())) if !buf.filled().is_empty() => {
                        self.unread.extend_from_slice(buf.filled());
                    }
                    _ => break,
                }
            }
        }
        if !self.greeted && self.unread.len() >= 24 {
            self.unread.drain(..24);
            self.greeted = true;
        }
        while self.greeted
            && let Some(head) = self.unread.first_chunk().map(Head::parse)
            && self.unread.len() >= Head::LEN + head.len as usize
        {
            let frame: Vec<u8> = self.unread.drain(..Head::LEN + head.len as usize).collect();
            self.model.client_sent(&head, &frame[Head::LEN..]);
        }
    }

    async fn send(&mut self, bytes: &[u8], cut: usize) {
        // The client may have closed already.
        let (first, rest) = bytes.split_at(cut.min(bytes.len()));
        let _ = self.far.write_all(first).await;
        if !rest.is_empty() {
            yield_now().await;
            let _ = self.far.write_all(rest).await;
        }
    }

    async fn step(&mut self, choices: &mut Choices<'_>) {
        let mut bytes = Vec::new();
        let open = self.model.open();
        let id = if open.is_empty() { None } else { Some(choices.pick(&open)) };
        match (choices.below(14), id) {
            (0 | 1, _) => {
                let content = choices.pick(&[0, 0, 10, 30_000]);
                let most = if choices.one_in(5) { choices.below(5_000) } else { usize::MAX };
                let request = Request::post("/").body(Upload(content)).unwrap();
                let call = self.client.call(request);
                self.calls.push(tokio::spawn(come(call, most)));
                self.model.call_begun(most);
            }
            (2, Some(id)) => {
                let status = choices.pick(&[200, 404, 100]);
                let ends = status != 100 && choices.one_in(4);
                let mut block = Vec::new();
                encode::status(&mut block, status);
                let flags = flag::END_HEADERS | if ends { flag::END_STREAM } else { 0 };
                if self.model.headers(id, status, ends) {
                    frame(&mut bytes, Kind::Headers, flags, id, &block);
                }
            }
            (3..=6, Some(id)) => {
                let len = choices.size(16_384);
                let ends = choices.one_in(4);
                if let Some(content) = self.model.content(id, len, ends) {
                    let flags = if ends { flag::END_STREAM } else { 0 };
                    frame(&mut bytes, Kind::Data, flags, id, &content);
                }
            }
            (7, Some(id)) if choices.one_in(3) => {
                let code = choices.pick(&[ErrorCode::CANCEL, ErrorCode::NO_ERROR]);
                self.model.reset(id);
                frame(&mut bytes, Kind::Reset, 0, id, &code.0.to_be_bytes());
            }
            (8, Some(id)) => {
                let increment = 1 + choices.below(40_000) as u32;
                for stream in [0, id] {
                    self.model.credit(stream, increment);
                    frame(&mut bytes, Kind::WindowUpdate, 0, stream, &increment.to_be_bytes());
                }
            }
            (9, _) => {
                let window = choices.pick(&[65_535, 0, 1, 100_000]);
                self.model.initial_window(window);
                Settings::write(&[Setting::InitialWindowSize(window)], &mut bytes);
            }
            (10, _) => Ping { ack: false, data: choices.array() }.write(&mut bytes),
            (11, _) if choices.one_in(8) => {
                let (fault, code) = model::fault(choices);
                bytes.extend(fault);
                self.model.fault(code);
            }
            (12, _) => frame(&mut bytes, Kind::Unknown(0xBB), choices.byte(), 0, choices.bytes(20)),
            _ => {}
        }
        let cut = if choices.one_in(2) { choices.below(bytes.len() + 1) } else { bytes.len() };
        self.send(&bytes, cut).await;
        self.settle().await;
    }
}

fn frame(out: &mut Vec<u8>, kind: Kind, flags: u8, stream: u32, payload: &[u8]) {
    Head { len: payload.len() as u32, kind, flags, stream }.write(out);
    out.extend_from_slice(payload);
}

async fn story(choices: &mut Choices<'_>) {
    let pool = BufferPool::new();
    let (near, far) = duplex(1 << 20);
    let client = Client::builder("http://localhost".parse().unwrap())
        .pool(pool.clone())
        .stream_window(WINDOW)
        .connection_window(CONNECTION_WINDOW);
    let (client, driver) = client.over(Probed::new(near)).unwrap();
    let driving = tokio::spawn(driver);
    let model = Model::new(WINDOW, CONNECTION_WINDOW);
    let calls = Vec::new();
    let mut story = Story { client, far, unread: Vec::new(), greeted: false, model, calls };
    let mut bytes = Vec::new();
    Settings::write(&[], &mut bytes);
    Settings::write_ack(&mut bytes);
    story.send(&bytes, usize::MAX).await;
    story.settle().await;
    while !choices.are_over() && !story.model.is_over() {
        story.step(choices).await;
    }
    story.settle().await;
    story.model.check_end();
    let Story { client, mut far, model, calls, .. } = story;
    let _ = far.shutdown().await;
    drop(far);
    for (call, fate) in calls.into_iter().zip(model.fates()) {
        fate.check(&call.await.unwrap());
    }
    drop(client);
    let _ = driving.await.unwrap();
    assert_eq!(pool.stats().in_use_buffers, 0);
}

#[test]
fn http2_client() {
    bolero::check!(name = "http2_client").with_iterations(FEW).with_max_len(1_000).for_each(
        |input: &[u8]| {
            let choices = &mut Choices::new(input);
            let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
            runtime.unwrap().block_on(story(choices));
        },
    );
}
