//! A server that does what a test says, frame by frame.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::{Context, Poll};

use alts::http2::client::{BoxError, Client, ClientBuilder};
use alts::http2::hpack::{Decoder, encode};
use alts::ready::Probed;
use http::Uri;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::mpsc;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) const CANCEL: u32 = 8;
pub(crate) const REFUSED_STREAM: u32 = 7;

pub(crate) type Fields = Vec<(String, String)>;

/// Dials in memory: the other end of each connection goes to the test.
#[derive(Clone)]
pub(crate) struct Connector {
    dialed: mpsc::UnboundedSender<DuplexStream>,
    pub(crate) count: Arc<AtomicUsize>,
    pub(crate) fails: Arc<AtomicBool>,
}

impl tower_service::Service<Uri> for Connector {
    type Response = Probed<DuplexStream>;
    type Error = BoxError;
    type Future = std::future::Ready<Result<Probed<DuplexStream>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        self.count.fetch_add(1, Ordering::SeqCst);
        if self.fails.load(Ordering::SeqCst) {
            return std::future::ready(Err("out of order".into()));
        }
        // Small, so that both sides have to wait for each other.
        let (near, far) = duplex(40_000);
        self.dialed.send(far).unwrap();
        std::future::ready(Ok(Probed::new(near)))
    }
}

/// Where the connections arrive.
pub(crate) struct Listener(mpsc::UnboundedReceiver<DuplexStream>);

impl Listener {
    /// The next connection, with these settings.
    pub(crate) async fn accept(&mut self, settings: &[(u16, u32)]) -> Server {
        let mut server = Server { io: self.0.recv().await.unwrap(), decoder: Decoder::new(4_096) };
        let mut preface = [0; 24];
        server.io.read_exact(&mut preface).await.unwrap();
        assert_eq!(&preface, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        let settings: Vec<u8> = settings
            .iter()
            .flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        server.write(SETTINGS, 0, 0, &settings).await;
        server
    }
}

pub(crate) fn client(
    set: impl FnOnce(ClientBuilder) -> ClientBuilder,
) -> (Client, Connector, Listener) {
    let (dialed, listener) = mpsc::unbounded_channel();
    let connector = Connector { dialed, count: Arc::default(), fails: Arc::default() };
    let builder = set(Client::builder("http://service.test:7000".parse().unwrap()));
    let client = builder.connect_lazy_with(connector.clone()).unwrap();
    (client, connector, Listener(listener))
}

#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// The number at an offset of the payload.
    pub(crate) fn number(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

pub(crate) struct Server {
    io: DuplexStream,
    decoder: Decoder,
}

impl Server {
    pub(crate) async fn write(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let length = (payload.len() as u32).to_be_bytes();
        let head = [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat();
        self.io.write_all(&[&head[..], payload].concat()).await.unwrap();
    }

    /// `None`: the client has closed the connection.
    pub(crate) async fn read(&mut self) -> Option<Frame> {
        let mut head = [0; 9];
        self.io.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        self.io.read_exact(&mut payload).await.unwrap();
        let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
        Some(Frame { kind: head[3], flags: head[4], stream, payload })
    }

    /// The next frame of this kind. SETTINGS are acknowledged on the way.
    pub(crate) async fn next(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.read().await.unwrap_or_else(|| panic!("the end instead of {kind}"));
            if frame.kind == SETTINGS && frame.flags & ACK == 0 {
                self.write(SETTINGS, ACK, 0, &[]).await;
            }
            if frame.kind == kind {
                return frame;
            }
        }
    }

    /// The next request's stream and fields.
    pub(crate) async fn request(&mut self) -> (u32, Fields) {
        let frame = self.next(HEADERS).await;
        let mut fields = Fields::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let field = |name: &[u8], value: &[u8]| fields.push((text(name), text(value)));
        self.decoder.decode(&frame.payload, usize::MAX, field).unwrap();
        (frame.stream, fields)
    }

    pub(crate) async fn respond(&mut self, stream: u32, flags: u8) {
        let mut block = Vec::new();
        encode::status(&mut block, 200);
        self.write(HEADERS, END_HEADERS | flags, stream, &block).await;
    }

    /// A whole response.
    pub(crate) async fn answer(&mut self, stream: u32, content: &[u8]) {
        self.respond(stream, 0).await;
        self.write(DATA, END_STREAM, stream, content).await;
    }

    pub(crate) async fn reset(&mut self, stream: u32, code: u32) {
        self.write(RST_STREAM, 0, stream, &code.to_be_bytes()).await;
    }

    pub(crate) async fn go_away(&mut self, last: u32, code: u32, debug: &str) {
        let payload = [&last.to_be_bytes()[..], &code.to_be_bytes(), debug.as_bytes()].concat();
        self.write(GOAWAY, 0, 0, &payload).await;
    }
}
