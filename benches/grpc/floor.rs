//! What a server cannot save: the least that a call costs under hyper's client, whatever the HTTP/2 in between does.
//!
//! Two servers that know no HTTP/2 beyond what this one client sends, beside the two that do. `canned` looks at the heads of frames alone
//! and writes the same answer each time: what is left are the kernel and tokio. `handler` also calls the service with a request that was
//! made before, and writes what it answers: what is left are those two, and tonic's router, codec and handler. None of them decodes or
//! encodes a header block for a call, keeps a window, or has memory of its own for a stream.

use alts::http2::Body;
use alts::http2::frame::{
    DEFAULT_MAX_FRAME_SIZE, Data, Head, Headers, Kind, PREFACE, Part, Settings, Splitter,
    WindowUpdate, flag,
};
use alts::http2::hpack::encode;
use alts_benches::child::Child;
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::codegen::http::{Request, Uri};
use tonic::codegen::{Bytes, Service as _};
use tonic::service::Routes;

use crate::echo::echo_server::EchoServer;
use crate::pair::{Cores, Lab, Outcome, Pair, Stack, Transport, median};
use crate::server::{Service, measured};

/// What the server does for a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Floor {
    /// It answers with what it has.
    Canned,
    /// It calls the service.
    Handler,
}

impl Floor {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Canned => "canned",
            Self::Handler => "handler",
        }
    }

    pub(crate) fn named(name: &str) -> Self {
        let named = [Self::Canned, Self::Handler].into_iter().find(|floor| floor.name() == name);
        named.unwrap_or_else(|| panic!("no such server is called {name}"))
    }
}

/// The rival is first.
const SERVERS: [&str; 4] = ["hyper", "alts", "handler", "canned"];
/// Bytes of a message, as in `calls`.
const MESSAGE: usize = 1_024;

pub(crate) fn compare(lab: Lab<'_>) {
    println!(
        "\nthe server alone under hyper's client, and what is left of it without HTTP/2, median of {} rounds on one core",
        lab.rounds
    );
    println!("{:<36}{:>8}{:>16}{:>16}", "", "server", "microseconds", "of hyper's");
    for (in_flight, many, few) in [(32, 20_000, 4_000), (1, 10_000, 2_000)] {
        let order = format!("unary {MESSAGE} {in_flight}");
        let mut outcomes = SERVERS.map(|_| Vec::<Outcome>::new());
        for round in 0..lab.rounds {
            let mut pairs = SERVERS.map(|name| start(lab, name));
            for at in 0..SERVERS.len() {
                let at = (at + round) % SERVERS.len();
                let count = if lab.quick { few } else { many };
                outcomes[at].push(pairs[at].measure_warm(&order, few, count));
            }
        }
        for (at, server) in SERVERS.iter().enumerate() {
            let rounds = outcomes[at].iter().zip(&outcomes[0]);
            println!(
                "{:<36}{server:>8}{:>16.2}{:>16.2}",
                if at == 0 { format!("unary 1 KiB, {in_flight} in flight") } else { String::new() },
                median(outcomes[at].iter().map(|outcome| outcome.server)),
                median(rounds.map(|(this, rival)| this.server / rival.server)),
            );
        }
    }
}

fn start(lab: Lab<'_>, name: &str) -> Pair {
    let cores = Cores::one();
    if let "hyper" | "alts" = name {
        return Pair::start(lab, Stack::named(name), Stack::Hyper, Transport::Tcp, cores);
    }
    let server = Child::of_this_program(&["--floor", name, &cores.server.to_string()]);
    Pair::with_server(lab, server, Stack::Hyper, Transport::Tcp, cores.client)
}

/// Serves without HTTP/2.
pub(crate) fn serve(floor: Floor, core: usize) {
    let (runtime, listener) = measured(core);
    runtime.block_on(async {
        loop {
            let (socket, _) = listener.accept().await.expect("a connection");
            tokio::spawn(connection(socket, floor));
        }
    });
}

/// A connection of hyper's client, whose frames are taken on trust.
async fn connection(mut socket: TcpStream, floor: Floor) {
    socket.set_nodelay(true).expect("a socket");
    let mut preface = [0; PREFACE.len()];
    socket.read_exact(&mut preface).await.expect("a preface");
    let mut out = Vec::new();
    Settings::write(&[], &mut out);
    // Enough for all that will ever come, so that no window is kept.
    WindowUpdate { stream: 0, increment: (1 << 31) - (1 << 16) }.write(&mut out);
    let mut answers = Answers::new();
    let mut splitter = Splitter::new(DEFAULT_MAX_FRAME_SIZE);
    let mut received = vec![0; 32 << 10];
    let mut head = None;
    // The contents of the streams that are open: their number is the place.
    let mut contents = std::collections::VecDeque::<(u32, Vec<u8>)>::new();
    loop {
        if !out.is_empty() {
            socket.write_all(&out).await.expect("the client reads");
            out.clear();
        }
        let Ok(len @ 1..) = socket.read(&mut received).await else { return };
        let mut input = &received[..len];
        while let Some(part) = splitter.split(&mut input).expect("frames") {
            match part {
                Part::Head(frame) => head = Some(frame),
                Part::Payload(piece) => {
                    if floor == Floor::Handler
                        && let Some(Head { kind: Kind::Data, stream, .. }) = head
                    {
                        match contents.iter_mut().find(|(id, _)| *id == stream) {
                            Some((_, content)) => content.extend_from_slice(piece),
                            None => contents.push_back((stream, piece.to_vec())),
                        }
                    }
                }
            }
            let Some(frame) = head.filter(|_| splitter.remaining() == 0) else { continue };
            match frame.kind {
                Kind::Settings if !frame.has(flag::ACK) => Settings::write_ack(&mut out),
                Kind::Data | Kind::Headers if frame.has(flag::END_STREAM) => match floor {
                    Floor::Canned => answers.canned(frame.stream, &mut out),
                    Floor::Handler => {
                        let at = contents.iter().position(|(id, _)| *id == frame.stream);
                        let content = at.and_then(|at| contents.remove(at)).expect("a message").1;
                        answers.handled(frame.stream, content, &mut out).await;
                    }
                },
                _ => {}
            }
            head = None;
        }
    }
}

/// What is answered, ready to be copied.
struct Answers {
    routes: Routes,
    path: Uri,
    message: Vec<u8>,
    head: Vec<u8>,
    trailers: Vec<u8>,
}

impl Answers {
    fn new() -> Self {
        let block = |fields: &[(&str, &str)]| {
            let mut block = Vec::new();
            for (name, value) in fields {
                encode::field(&mut block, name.as_bytes(), value.as_bytes());
            }
            block
        };
        // A message with one field of so many bytes, as the client's.
        let mut message = vec![0, 0, 0, 4, 3, 0x0A, 0x80, 8];
        message.resize(message.len() + MESSAGE, 0x5A);
        Self {
            routes: Routes::new(EchoServer::new(Service)).prepare(),
            path: Uri::from_static("http://localhost/alts.example.Echo/Once"),
            message,
            head: block(&[(":status", "200"), ("content-type", "application/grpc")]),
            trailers: block(&[("grpc-status", "0")]),
        }
    }

    fn canned(&self, stream: u32, out: &mut Vec<u8>) {
        fields(stream, &self.head, false, out);
        Data::head(stream, self.message.len(), false).write(out);
        out.extend_from_slice(&self.message);
        fields(stream, &self.trailers, true, out);
    }

    async fn handled(&mut self, stream: u32, content: Vec<u8>, out: &mut Vec<u8>) {
        let request = Request::post(self.path.clone()).body(Body::from(Bytes::from(content)));
        let request = request.expect("a request");
        let response = self.routes.call(request).await;
        fields(stream, &self.head, false, out);
        let mut body = response.expect("an answer").into_body();
        while let Some(frame) = body.frame().await {
            if let Ok(data) = frame.expect("an answer").into_data() {
                Data::head(stream, data.len(), false).write(out);
                out.extend_from_slice(&data);
            }
        }
        fields(stream, &self.trailers, true, out);
    }
}

fn fields(stream: u32, block: &[u8], end: bool, out: &mut Vec<u8>) {
    let start = Headers::begin(out);
    out.extend_from_slice(block);
    Headers::finish(out, start, stream, end);
}
