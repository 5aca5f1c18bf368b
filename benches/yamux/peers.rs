//! The implementations, each as a pair of streams.

use std::future::poll_fn;
use std::task::Poll;

use alts::pool::BufferPool;
use alts::ready::{Probed, ReadyReader};
use alts::yamux::{Config, Session};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::compat::{FuturesAsyncReadCompatExt, TokioAsyncReadCompatExt};

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Peer {
    /// This package.
    Ours,
    /// The crate `yamux`.
    Rust,
    /// No yamux at all: the limit.
    Tcp,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Transport {
    Tcp,
    /// A pipe of 64 KiB in memory.
    Memory,
}

/// A stream of any of them.
pub(crate) trait Bytes: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Bytes for S {}
pub(crate) type Stream = Box<dyn Bytes>;

impl Peer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ours => "alts",
            Self::Rust => "rust-yamux",
            Self::Tcp => "tcp",
        }
    }

    pub(crate) fn named(name: &str) -> Self {
        let all = [Self::Ours, Self::Rust, Self::Tcp];
        all.into_iter().find(|peer| peer.name() == name).expect("a peer's name")
    }

    /// Opens so many streams between two ends in this process, and keeps what drives them in tasks.
    pub(crate) async fn streams(
        self,
        transport: Transport,
        count: usize,
        pools: [&BufferPool; 2],
    ) -> Vec<(Stream, Stream)> {
        if transport == Transport::Memory {
            let (near, far) = tokio::io::duplex(64 << 10);
            return match self {
                Self::Rust => rust(near, far, count).await,
                _ => ours(Probed::new(near), Probed::new(far), count, pools).await,
            };
        }
        let (near, far) = sockets().await;
        match self {
            Self::Ours => ours(near, far, count, pools).await,
            Self::Rust => rust(near, far, count).await,
            Self::Tcp => vec![(Box::new(near), Box::new(far))],
        }
    }
}

pub(crate) async fn sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (near, far) = (near.expect("a connection"), far.expect("a connection").0);
    near.set_nodelay(true).expect("an option");
    far.set_nodelay(true).expect("an option");
    (near, far)
}

async fn ours<S>(near: S, far: S, count: usize, pools: [&BufferPool; 2]) -> Vec<(Stream, Stream)>
where
    S: ReadyReader + AsyncWrite + Unpin + Send + 'static,
{
    let (client, driver) = Session::client(near, Config::default(), pools[0].clone());
    tokio::spawn(driver);
    let (server, driver) = Session::server(far, Config::default(), pools[1].clone());
    tokio::spawn(driver);
    let mut streams: Vec<(Stream, Stream)> = Vec::new();
    for _ in 0..count {
        let near = client.open().await.expect("a stream");
        let far = server.accept().await.expect("a session").expect("a stream");
        streams.push((Box::new(near), Box::new(far)));
    }
    // The handles stay, or the sessions would end with their last stream.
    std::mem::forget((client, server));
    streams
}

async fn rust<S>(near: S, far: S, count: usize) -> Vec<(Stream, Stream)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let new = |io: S, mode| yamux::Connection::new(io.compat(), yamux::Config::default(), mode);
    let (mut client, mut server) = (new(near, yamux::Mode::Client), new(far, yamux::Mode::Server));
    let (open, mut opened) = mpsc::unbounded_channel();
    let mut left = count;
    tokio::spawn(poll_fn(move |cx| {
        while left > 0
            && let Poll::Ready(stream) = client.poll_new_outbound(cx)
        {
            open.send(stream.expect("a stream").compat()).expect("it is wanted");
            left -= 1;
        }
        client.poll_next_inbound(cx).map(drop)
    }));
    let (accept, mut accepted) = mpsc::unbounded_channel();
    tokio::spawn(poll_fn(move |cx| {
        while let Poll::Ready(stream) = server.poll_next_inbound(cx) {
            let Some(Ok(stream)) = stream else { return Poll::Ready(()) };
            accept.send(stream.compat()).expect("it is wanted");
        }
        Poll::Pending
    }));
    let mut streams: Vec<(Stream, Stream)> = Vec::new();
    for _ in 0..count {
        let mut near = opened.recv().await.expect("a stream");
        // It is announced with its first bytes.
        near.write_all(b"x").await.expect("written");
        near.flush().await.expect("flushed");
        let mut far = accepted.recv().await.expect("a stream");
        far.read_u8().await.expect("a byte");
        streams.push((Box::new(near), Box::new(far)));
    }
    streams
}
