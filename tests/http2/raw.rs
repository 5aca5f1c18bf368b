//! A client made of frames.

use std::future::poll_fn;
use std::task::Poll;

use alts::http2::frame::{self, Head, Headers, Kind, PREFACE, Settings};
use alts::http2::hpack::encode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::fixture::{PATIENCE, Served};

pub(crate) struct Raw {
    pub(crate) socket: TcpStream,
}

impl Raw {
    /// One that has said nothing.
    pub(crate) async fn silent(served: &Served) -> Self {
        Self { socket: TcpStream::connect(served.address()).await.unwrap() }
    }

    /// One that has sent its preface, and acknowledged the server's settings.
    pub(crate) async fn new(served: &Served) -> Self {
        let mut raw = Self::silent(served).await;
        let mut hello = PREFACE.to_vec();
        Settings::write(&[], &mut hello);
        Settings::write_ack(&mut hello);
        raw.send(&hello).await;
        raw
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap();
    }

    /// The next frame. `None` at the end.
    pub(crate) async fn frame(&mut self) -> Option<(Head, Vec<u8>)> {
        let reading = async {
            let mut head = [0; Head::LEN];
            self.socket.read_exact(&mut head).await.ok()?;
            let head = Head::parse(&head);
            let mut payload = vec![0; head.len as usize];
            self.socket.read_exact(&mut payload).await.ok()?;
            Some((head, payload))
        };
        timeout(PATIENCE, reading).await.unwrap()
    }

    /// The next frame of this kind, or on this stream.
    pub(crate) async fn until(&mut self, kind: Kind) -> (Head, Vec<u8>) {
        loop {
            let (head, payload) = self.frame().await.expect("the connection ended before");
            if head.kind == kind {
                return (head, payload);
            }
        }
    }

    /// The next GOAWAY: its last stream, its code, its text.
    pub(crate) async fn go_away(&mut self) -> (u32, frame::ErrorCode, String) {
        let (head, payload) = self.until(Kind::GoAway).await;
        let go_away = frame::GoAway::parse(&head, &payload).unwrap();
        let text = String::from_utf8(go_away.debug.to_vec()).unwrap();
        (go_away.last_stream, go_away.code, text)
    }

    /// Waits for the end of the connection.
    pub(crate) async fn ended(&mut self) {
        while self.frame().await.is_some() {}
    }

    /// Sends as long as the server takes it, to a limit.
    pub(crate) async fn flood(&mut self, bytes: &[u8], limit: usize) -> usize {
        let mut sent = 0;
        while sent < limit {
            let written = poll_fn(|cx| match self.socket.poll_write_ready(cx) {
                Poll::Ready(ready) => {
                    Poll::Ready(ready.and_then(|()| self.socket.try_write(bytes)))
                }
                Poll::Pending => Poll::Pending,
            });
            match timeout(PATIENCE, written).await.unwrap() {
                Ok(count) => sent += count,
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
        sent
    }
}

/// HEADERS of a gRPC call.
pub(crate) fn call(stream: u32, method: &str, end: bool) -> Vec<u8> {
    call_with(stream, method, &[], end)
}

/// HEADERS of a gRPC call with some metadata.
pub(crate) fn call_with(stream: u32, method: &str, more: &[(&str, &str)], end: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let start = Headers::begin(&mut out);
    let path = format!("/alts.example.Echo/{method}");
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", &path),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
    ];
    for (name, value) in fields.iter().chain(more) {
        encode::field(&mut out, name.as_bytes(), value.as_bytes());
    }
    Headers::finish(&mut out, start, stream, end);
    out
}

/// A DATA frame with one message of gRPC that is a `Message` of these bytes, fewer than 100.
pub(crate) fn message(stream: u32, payload: &[u8], end: bool) -> Vec<u8> {
    let mut message = vec![0, 0, 0, 0, payload.len() as u8 + 2, 0x0A, payload.len() as u8];
    message.extend_from_slice(payload);
    data(stream, &message, end)
}

pub(crate) fn data(stream: u32, payload: &[u8], end: bool) -> Vec<u8> {
    let mut out = Vec::new();
    frame::Data::head(stream, payload.len(), end).write(&mut out);
    out.extend_from_slice(payload);
    out
}

pub(crate) fn raw(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Head { len: payload.len() as u32, kind, flags, stream }.write(&mut out);
    out.extend_from_slice(payload);
    out
}
