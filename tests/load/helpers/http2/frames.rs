//! Frames, made and read.

use alts::http2::frame::{
    Data, ErrorCode, GoAway, Head, Headers, Kind, PREFACE, Ping, Setting, Settings, WindowUpdate,
    flag,
};
use alts::http2::hpack::encode;
use tokio::io::{AsyncReadExt, BufReader};
use tokio::net::tcp::OwnedReadHalf;

/// The preface, settings with this window for each stream, their acknowledgment, and as much window for the connection.
pub(super) fn hello(window: Option<u32>) -> Vec<u8> {
    let mut bytes = PREFACE.to_vec();
    let settings = window.map(Setting::InitialWindowSize);
    Settings::write(settings.as_slice(), &mut bytes);
    Settings::write_ack(&mut bytes);
    if let Some(increment @ 1..) = window {
        WindowUpdate { stream: 0, increment }.write(&mut bytes);
    }
    bytes
}

/// HEADERS of a request.
pub(super) fn request(stream: u32, path: &str, end: bool) -> Vec<u8> {
    request_with(stream, path, |_| (), end)
}

/// With more in its header block.
pub(super) fn request_with(
    stream: u32,
    path: &str,
    more: impl FnOnce(&mut Vec<u8>),
    end: bool,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let start = Headers::begin(&mut bytes);
    for (name, value) in [(":method", "POST"), (":scheme", "http"), (":path", path)] {
        encode::field(&mut bytes, name.as_bytes(), value.as_bytes());
    }
    more(&mut bytes);
    Headers::finish(&mut bytes, start, stream, end);
    bytes
}

pub(super) fn data(stream: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Data::head(stream, content.len(), false).write(&mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

pub(super) fn frame(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Head { len: payload.len() as u32, kind, flags, stream }.write(&mut bytes);
    bytes.extend_from_slice(payload);
    bytes
}

pub(super) fn ping(data: [u8; 8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    Ping { ack: false, data }.write(&mut bytes);
    bytes
}

pub(super) fn credit(stream: u32, increment: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    WindowUpdate { stream, increment }.write(&mut bytes);
    bytes
}

pub(super) fn go_away() -> Vec<u8> {
    let mut bytes = Vec::new();
    GoAway { last_stream: 0, code: ErrorCode::NO_ERROR, debug: b"once more" }.write(&mut bytes);
    bytes
}

/// A frame that the server sent.
pub(super) struct Frame {
    pub(super) head: Head,
    pub(super) payload: Vec<u8>,
}

impl Frame {
    pub(super) fn is_pong(&self, data: [u8; 8]) -> bool {
        self.head.kind == Kind::Ping && self.head.has(flag::ACK) && self.payload == data
    }

    pub(super) fn ends_stream(&self) -> bool {
        matches!(self.head.kind, Kind::Data | Kind::Headers) && self.head.has(flag::END_STREAM)
            || self.head.kind == Kind::Reset
    }
}

/// What the server sends.
pub(super) struct Incoming(BufReader<OwnedReadHalf>);

impl Incoming {
    pub(super) fn new(reader: OwnedReadHalf) -> Self {
        Self(BufReader::new(reader))
    }

    /// `None` at the end of the connection, whatever it is.
    pub(super) async fn next(&mut self) -> Option<Frame> {
        let mut head = [0; Head::LEN];
        self.0.read_exact(&mut head).await.ok()?;
        let head = Head::parse(&head);
        let mut payload = vec![0; head.len as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        Some(Frame { head, payload })
    }
}
