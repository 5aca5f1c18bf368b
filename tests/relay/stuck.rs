//! Both sides write and neither reads: what a relay holds then, and that it goes on as a TCP connection does.

use std::time::Duration;

use alts::connect::Settings;
use alts::pool::BufferPool;
use alts::relay::{PipePool, RelayOptions, Summary, relay};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::between;
use crate::support::{Parties, assert_nothing_out, pattern, tcp_sockets};

/// Over on a clock that only moves when nothing else can.
const STUCK: Duration = Duration::from_secs(3600);

/// Room for three buffers, and for two pipes.
fn few() -> RelayOptions {
    let mut options = RelayOptions::default();
    options.pool = BufferPool::builder().cap(3 * (33 << 10)).build().unwrap();
    options.pipes = Some(PipePool::new(2, 1 << 20));
    options
}

/// One side, which knows what it has sent.
struct Side<S> {
    reader: ReadHalf<S>,
    writer: WriteHalf<S>,
    sent: usize,
    received: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Side<S> {
    fn new(stream: S) -> Self {
        let (reader, writer) = split(stream);
        Self { reader, writer, sent: 0, received: Vec::new() }
    }

    /// Writes `data`, over and over, until nothing moves any more.
    async fn fill(&mut self, data: &[u8]) {
        loop {
            let at = self.sent % data.len();
            match timeout(STUCK, self.writer.write(&data[at..])).await {
                Ok(written) => self.sent += written.unwrap(),
                Err(_) => return,
            }
        }
    }

    /// Reads so many bytes, which are on their way.
    async fn read(&mut self, count: usize) {
        self.received.resize(count, 0);
        let read = self.reader.read_exact(&mut self.received);
        timeout(STUCK, read).await.expect("they arrive").unwrap();
    }

    /// Reads to the end, and ends this side's direction meanwhile.
    async fn finish(mut self) -> (usize, Vec<u8>) {
        let (ended, read) =
            tokio::join!(self.writer.shutdown(), self.reader.read_to_end(&mut self.received));
        ended.unwrap();
        read.unwrap();
        (self.sent, self.received)
    }
}

async fn both_write_and_neither_reads<L, R>(
    left: L,
    right: R,
    options: &RelayOptions,
    relay: JoinHandle<Summary>,
    meanwhile: impl Future<Output = ()>,
) where
    L: AsyncRead + AsyncWrite + Unpin,
    R: AsyncRead + AsyncWrite + Unpin,
{
    let data = pattern(3 << 20);
    let (mut left, mut right) = (Side::new(left), Side::new(right));
    tokio::join!(left.fill(&data), right.fill(&data));
    let (pool, pipes) = (options.pool.stats(), options.pipes.as_ref().unwrap().stats());
    assert!(pool.in_use_buffers + pipes.in_use <= 2, "{pool:?} {pipes:?}");
    // Others get their turn, and their buffers.
    let mut fine = between(options).await;
    let mut received = [0; 5];
    for _ in 0..10 {
        fine.left.write_all(b"hello").await.unwrap();
        fine.right.read_exact(&mut received).await.unwrap();
        fine.right.write_all(&received).await.unwrap();
        fine.left.read_exact(&mut received).await.unwrap();
    }
    assert_eq!(&received, b"hello");
    meanwhile.await;
    assert!(!relay.is_finished());
    // One of them reads, and then both.
    left.read(right.sent).await;
    let ((there, back_arrived), (back, there_arrived)) =
        tokio::join!(left.finish(), right.finish());
    for (sent, arrived) in [(there, there_arrived), (back, back_arrived)] {
        assert!(sent > 0);
        assert_eq!(arrived.len(), sent);
        assert!(arrived.chunks(data.len()).all(|part| part == &data[..part.len()]), "it differs");
    }
    let summary = relay.await.unwrap();
    assert!(summary.is_clean(), "{summary:?}");
    assert_eq!((summary.a_to_b.bytes, summary.b_to_a.bytes), (there as u64, back as u64));
    assert_nothing_out(&options.pool);
    assert_eq!(options.pipes.as_ref().unwrap().stats().in_use, 0);
}

#[tokio::test(start_paused = true)]
async fn plain_sides_that_only_write_are_held_up_and_lose_nothing() {
    for splices in [true, false] {
        let mut options = few();
        if !splices {
            options.pipes = Some(PipePool::new(0, 1 << 20));
        }
        let between = between(&options).await;
        both_write_and_neither_reads(between.left, between.right, &options, between.relay, async {
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_secured_and_a_plain_side_that_only_write_are_held_up_and_lose_nothing() {
    let options = few();
    let mut settings = Settings::default();
    settings.pool = options.pool.clone();
    let (client, secure) = Parties::new().tcp_pair(Settings::default(), settings).await;
    let (plain, service) = tcp_sockets().await;
    let relay = tokio::spawn(relay(secure, plain, &options));
    both_write_and_neither_reads(client, service, &options, relay, async {}).await;
}

#[cfg(feature = "yamux")]
#[tokio::test(start_paused = true)]
async fn a_multiplexed_and_a_plain_side_that_only_write_are_held_up_and_lose_nothing() {
    use alts::yamux::{Config, Session};
    use tokio::net::UnixStream;

    let mut options = few();
    // What a stream has received waits in buffers of the session, up to its window.
    options.pool = BufferPool::new();
    let (near, far) = UnixStream::pair().unwrap();
    let (client, driver) = Session::client(near, Config::default(), BufferPool::new());
    tokio::spawn(driver);
    let (server, driver) = Session::server(far, Config::default(), BufferPool::new());
    tokio::spawn(driver);
    let stream = client.open().await.unwrap();
    let accepted = server.accept().await.unwrap().unwrap();
    let (plain, service) = tcp_sockets().await;
    let relaying = tokio::spawn(relay(accepted, plain, &options));
    // A neighbor in the same session passes while the other one is stuck.
    let mut neighbor = client.open().await.unwrap();
    let accepted = server.accept().await.unwrap().unwrap();
    let (plain, mut other_service) = tcp_sockets().await;
    let other = tokio::spawn(relay(accepted, plain, &options));
    let meanwhile = async move {
        let mut received = [0; 5];
        neighbor.write_all(b"hello").await.unwrap();
        other_service.read_exact(&mut received).await.unwrap();
        other_service.write_all(b"olleh").await.unwrap();
        other_service.shutdown().await.unwrap();
        neighbor.read_exact(&mut received).await.unwrap();
        assert_eq!(&received, b"olleh");
        neighbor.close_write();
        assert_eq!(neighbor.read(&mut [0]).await.unwrap(), 0);
        assert!(other.await.unwrap().is_clean());
    };
    both_write_and_neither_reads(stream, service, &options, relaying, meanwhile).await;
}
