//! How many system calls 32 responses take that are ready at the same time.
//!
//! The requests come in one piece. The socket counts calls of its write functions, each of which is one system call.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use alts::http2::frame::{DEFAULT_MAX_FRAME_SIZE, Kind};
use alts::http2::frame::{Data, Head, PREFACE, Part, Settings, Splitter, flag};
use alts::http2::hpack::encode;
use alts::http2::server::Connected as OwnConnected;
use alts::pool::{BufferPool, PooledBuf, Ticket};
use alts::ready::ReadyReader;
use alts_benches::verdicts::Verdict;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tonic::codegen::http::Extensions;
use tonic::service::Routes;
use tonic::transport::server::Connected;

use crate::echo::echo_server::EchoServer;
use crate::pair::Stack;
use crate::server::Service;

const RESPONSES: u32 = 32;

pub(crate) fn compare() -> Vec<Verdict> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    println!("\nwrites to the socket for {RESPONSES} responses that are ready at the same time");
    let [hyper, alts] = [Stack::Hyper, Stack::Alts].map(|stack| {
        let writes = runtime.block_on(count(stack));
        println!("{:<12}{writes:>12}", stack.name());
        writes
    });
    let what = format!("writes for {RESPONSES} responses (tonic's {hyper})");
    vec![Verdict::at_most(what, alts as f64, 1.0, None)]
}

async fn count(stack: Stack) -> u64 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut client =
        TcpStream::connect(listener.local_addr().expect("an address")).await.expect("it");
    client.set_nodelay(true).expect("a socket");
    let (socket, _) = listener.accept().await.expect("a connection");
    socket.set_nodelay(true).expect("a socket");
    let writes = Arc::new(AtomicU64::new(0));
    let socket = Counting { socket, writes: Arc::clone(&writes) };
    let routes = Routes::new(EchoServer::new(Service));
    let serving = match stack {
        Stack::Alts => {
            let server = alts::http2::Server::builder().build().expect("settings that can be");
            let connection = server.connection(socket, routes.prepare());
            tokio::spawn(async move { drop(connection.await) })
        }
        Stack::Hyper => {
            let incoming = tokio_stream::once(Ok::<_, io::Error>(socket));
            let server = tonic::transport::Server::builder().add_routes(routes);
            tokio::spawn(async move { drop(server.serve_with_incoming(incoming).await) })
        }
    };
    let mut splitter = Splitter::new(DEFAULT_MAX_FRAME_SIZE);
    let mut out = PREFACE.to_vec();
    Settings::write(&[], &mut out);
    // The first has the settings of both sides exchanged.
    call(1, &mut out);
    answers(&mut client, &mut splitter, &mut out, 1).await;
    Settings::write_ack(&mut out);
    (1..=5).for_each(|nth| call(1 + 2 * nth, &mut out));
    answers(&mut client, &mut splitter, &mut out, 5).await;

    let before = writes.load(Ordering::Relaxed);
    (0..RESPONSES).for_each(|nth| call(13 + 2 * nth, &mut out));
    answers(&mut client, &mut splitter, &mut out, RESPONSES).await;
    serving.abort();
    writes.load(Ordering::Relaxed) - before
}

/// A unary call with a message of 64 B.
fn call(stream: u32, out: &mut Vec<u8>) {
    let mut block = Vec::new();
    for (name, value) in [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/alts.example.Echo/Once"),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ] {
        encode::field(&mut block, name.as_bytes(), value.as_bytes());
    }
    Head { len: block.len() as u32, kind: Kind::Headers, flags: flag::END_HEADERS, stream }
        .write(out);
    out.extend_from_slice(&block);
    // A message of the field `payload` with 62 bytes.
    let mut message = vec![0, 0, 0, 0, 64, 0x0A, 62];
    message.resize(5 + 64, 0x5A);
    Data::head(stream, message.len(), true).write(out);
    out.extend_from_slice(&message);
}

/// Sends what is in `out`, and waits until so many responses have ended.
async fn answers(client: &mut TcpStream, splitter: &mut Splitter, out: &mut Vec<u8>, count: u32) {
    client.write_all(out).await.expect("the server takes it");
    out.clear();
    let (mut ended, mut received) = (0, vec![0; 64 << 10]);
    while ended < count {
        let len = client.read(&mut received).await.expect("the server answers");
        assert!(len > 0, "the server has closed the connection");
        let mut input = &received[..len];
        while let Some(part) = splitter.split(&mut input).expect("frames") {
            if let Part::Head(head) = part
                && head.kind == Kind::Headers
                && head.has(flag::END_STREAM)
            {
                ended += 1;
            }
        }
    }
}

/// A socket that counts what is asked of it.
struct Counting {
    socket: TcpStream,
    writes: Arc<AtomicU64>,
}

impl OwnConnected for Counting {
    fn extend(&self, _: &mut Extensions) {}
}

impl Connected for Counting {
    type ConnectInfo = ();

    fn connect_info(&self) {}
}

impl ReadyReader for Counting {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_readable(cx)
    }

    fn poll_read_on_ready(
        &mut self,
        cx: &mut Context<'_>,
        pool: &BufferPool,
        ticket: &mut Option<Ticket>,
    ) -> Poll<io::Result<Option<PooledBuf>>> {
        self.socket.poll_read_on_ready(cx, pool, ticket)
    }
}

impl AsyncRead for Counting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counting {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
