//! How many system calls a message costs: one to send it, one to receive it.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod support;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use alts::AltsStream;
use alts::connect::Socket;
use alts::pool::{BufferPool, PooledBuf, Ticket};
use alts::ready::ReadyReader;
use support::{Parties, assert_nothing_out, pattern, settings, tcp_sockets};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

/// A socket that counts what it is asked.
#[derive(Debug)]
struct Counted {
    socket: TcpStream,
    calls: Calls,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Calls {
    /// Reads that gave bytes.
    reads: usize,
    /// Reads that found nothing: after a false readiness.
    vain_reads: usize,
    /// Writes that took bytes.
    writes: usize,
    vain_writes: usize,
}

impl Counted {
    fn new(socket: TcpStream) -> Self {
        Self { socket, calls: Calls::default() }
    }
}

impl Socket for Counted {}

impl ReadyReader for Counted {
    fn poll_readable(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.socket.poll_readable(cx)
    }

    fn poll_read_on_ready(
        &mut self,
        _cx: &mut Context<'_>,
        _pool: &BufferPool,
        _place: &mut Option<Ticket>,
    ) -> Poll<io::Result<Option<PooledBuf>>> {
        unreachable!(
            "only handshakes and streams are above, and they read into buffers of their own"
        )
    }
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let poll = Pin::new(&mut self.socket).poll_read(cx, buf);
        match poll {
            Poll::Ready(_) => self.calls.reads += 1,
            Poll::Pending => self.calls.vain_reads += 1,
        }
        poll
    }
}

impl AsyncWrite for Counted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.socket).poll_write(cx, buf);
        match poll {
            Poll::Ready(_) => self.calls.writes += 1,
            Poll::Pending => self.calls.vain_writes += 1,
        }
        poll
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

const ROUNDS: usize = 100;

async fn pair(pool: &BufferPool) -> (AltsStream<Counted>, AltsStream<Counted>) {
    let (near, far) = tcp_sockets().await;
    let settings = settings(pool, |_| ());
    let (near, far) = (Counted::new(near), Counted::new(far));
    Parties::new().pair_over(near, far, settings.clone(), settings).await
}

/// Calls since the last time.
fn take(stream: &mut AltsStream<Counted>) -> Calls {
    std::mem::take(&mut stream.get_mut().calls)
}

/// A short read tells tokio that the socket is drained, so the next wait does not ask it again: apart from the first exchange,
/// which may find a readiness left over from the handshake, no read is in vain.
#[tokio::test]
async fn a_message_costs_one_call_on_each_side() {
    for ready in [false, true] {
        for len in [1, 1_000, 16_000] {
            let pool = BufferPool::new();
            let (mut client, mut server) = pair(&pool).await;
            let text = pattern(len);
            exchange(&mut client, &mut server, &pool, &text, 1, ready).await;
            take(&mut client);
            take(&mut server);
            exchange(&mut client, &mut server, &pool, &text, ROUNDS, ready).await;
            let exactly = Calls { reads: ROUNDS, vain_reads: 0, writes: ROUNDS, vain_writes: 0 };
            assert_eq!(take(&mut client), exactly, "{len} bytes");
            assert_eq!(take(&mut server), exactly, "{len} bytes");
            assert_nothing_out(&pool);
        }
    }
}

async fn exchange(
    client: &mut AltsStream<Counted>,
    server: &mut AltsStream<Counted>,
    pool: &BufferPool,
    text: &[u8],
    rounds: usize,
    ready: bool,
) {
    let ask = async {
        for _ in 0..rounds {
            client.write_all(text).await.unwrap();
            receive(client, pool, text, ready).await;
        }
    };
    let answer = async {
        for _ in 0..rounds {
            receive(server, pool, text, ready).await;
            // While it waits for the next one it holds nothing.
            server.write_all(text).await.unwrap();
        }
    };
    tokio::join!(ask, answer);
}

async fn receive(stream: &mut AltsStream<Counted>, pool: &BufferPool, text: &[u8], ready: bool) {
    if ready {
        let buf = stream.read_on_ready(pool).await.unwrap().unwrap();
        assert!(*buf == *text);
    } else {
        let mut buf = vec![0; text.len() + 1];
        assert_eq!(stream.read(&mut buf).await.unwrap(), text.len());
        assert!(buf.starts_with(text));
    }
}

/// Many records of one write go to the kernel together.
#[tokio::test]
async fn a_large_write_costs_one_call() {
    let pool = BufferPool::new();
    let (mut client, _server) = pair(&pool).await;
    take(&mut client);
    // One batch, less than any socket buffers, and several records.
    let text = pattern(48 << 10);
    client.write_all(&text).await.unwrap();
    assert_eq!(take(&mut client), Calls { writes: 1, ..Calls::default() });
}

/// Small messages that lie ready together are received together.
#[tokio::test]
async fn what_lies_ready_is_received_with_one_call() {
    let pool = BufferPool::new();
    let (mut client, mut server) = pair(&pool).await;
    for round in 0..2 {
        for _ in 0..50 {
            client.write_all(b"message").await.unwrap();
        }
        // All of it is there.
        let mut wire = vec![0; 50 * 31];
        while server.get_ref().socket.peek(&mut wire).await.unwrap() < wire.len() {
            tokio::task::yield_now().await;
        }
        take(&mut server);
        let mut received = vec![0; 350];
        server.read_exact(&mut received).await.unwrap();
        assert_eq!(received, b"message".repeat(50));
        let calls = take(&mut server);
        assert_eq!(calls.reads, 1, "round {round}");
    }
    assert_nothing_out(&pool);
}
