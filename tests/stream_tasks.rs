//! Streams driven by tasks, over a socket that is as awkward as a socket may be: whoever waits is woken, and all bytes arrive.
//! What single calls do is the fuzz target `stream`'s to compare with a model.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod support;

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use alts::AltsStream;
use alts::pool::BufferPool;
use alts::ready::ReadyReader;
use support::polling::Wakes;
use support::rng::Rng;
use support::wire::{Wire, wires};
use support::{Parties, assert_nothing_out, pattern, settings};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};

/// Long enough that only a clock which runs ahead when nobody can go on ever gets there.
const NEVER: Duration = Duration::from_secs(60 * 60);

async fn send(mut to: impl AsyncWrite + Unpin, data: &[u8], seed: u64) {
    let mut rng = Rng::new(seed);
    let mut rest = data;
    while !rest.is_empty() {
        let (now, later) = rest.split_at(rng.size(rest.len().min(50_000)));
        to.write_all(now).await.unwrap();
        if rng.one_in(3) {
            to.flush().await.unwrap();
        }
        rest = later;
    }
    to.shutdown().await.unwrap();
}

async fn receive(mut from: impl AsyncRead + Unpin, seed: u64) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    let mut received = Vec::new();
    loop {
        let mut buf = vec![0; rng.size(50_000)];
        match from.read(&mut buf).await.unwrap() {
            0 => return received,
            count => received.extend(&buf[..count]),
        }
    }
}

async fn receive_ready(mut from: impl ReadyReader, pool: BufferPool) -> Vec<u8> {
    let mut received = Vec::new();
    while let Some(buf) = from.read_on_ready(&pool).await.unwrap() {
        received.extend(&*buf);
    }
    received
}

async fn awkward_pair(
    parties: &Parties,
    pool: &BufferPool,
    seed: u64,
    capacity: usize,
) -> (AltsStream<Wire>, AltsStream<Wire>) {
    let ((near, near_control), (far, far_control)) = wires(capacity);
    let settings = settings(pool, |settings| settings.stream.write_batch = 30_000);
    let pair = parties.pair_over(near, far, settings.clone(), settings).await;
    for (control, seed) in [(near_control, seed), (far_control, !seed)] {
        control.script().moods = Some(Rng::new(seed));
    }
    pair
}

#[tokio::test(start_paused = true)]
async fn split_streams_go_on_by_themselves() {
    let parties = Parties::new();
    let data = pattern(200_000);
    for seed in 0..10 {
        let pool = BufferPool::new();
        let (near, far) = awkward_pair(&parties, &pool, seed, 20_000).await;
        let ((near_read, near_write), (far_read, far_write)) =
            (near.into_split(), far.into_split());
        let all = async {
            tokio::join!(
                send(near_write, &data, seed),
                send(far_write, &data, seed + 1),
                receive(near_read, seed),
                receive_ready(far_read, pool.clone()),
            )
        };
        let ((), (), near, far) = tokio::time::timeout(NEVER, all).await.expect("a deadlock");
        assert!(near == data && far == data);
        assert_nothing_out(&pool);
    }
}

/// Streams over other transports come apart with tokio's lock. Reader and writer are then tasks of their own over one stream,
/// and the reader also sends what the kernel refused.
#[tokio::test(start_paused = true)]
async fn streams_split_by_tokio_go_on_by_themselves() {
    let parties = Parties::new();
    let data = pattern(200_000);
    for seed in 0..10 {
        let pool = BufferPool::new();
        let (near, far) = awkward_pair(&parties, &pool, seed, 20_000).await;
        let (near_read, near_write) = tokio::io::split(near);
        let (far_read, far_write) = tokio::io::split(far);
        let tasks =
            [tokio::spawn(receive(near_read, seed)), tokio::spawn(receive(far_read, seed + 1))];
        let sent = [(near_write, seed), (far_write, seed + 1)].map(|(write, seed)| {
            let data = data.clone();
            tokio::spawn(async move { send(write, &data, seed).await })
        });
        for task in tasks {
            let received = tokio::time::timeout(NEVER, task).await.expect("a deadlock");
            assert!(received.unwrap() == data);
        }
        for task in sent {
            tokio::time::timeout(NEVER, task).await.expect("a deadlock").unwrap();
        }
        assert_nothing_out(&pool);
    }
}

/// The reader's attempt to send must not cost the writer its wake-up.
#[tokio::test(start_paused = true)]
async fn a_reader_takes_no_wake_up_from_the_writer() {
    let parties = Parties::new();
    let pool = BufferPool::new();
    let ((near, near_control), (far, _far_control)) = wires(usize::MAX);
    let settings = settings(&pool, |settings| settings.stream.write_batch = 10_000);
    let (near, mut far) = parties.pair_over(near, far, settings.clone(), settings).await;
    near_control.set_write_chunk(0);
    let (mut read, mut write) = tokio::io::split(near);
    let writer = tokio::spawn(async move {
        write.write_all(&pattern(50_000)).await.unwrap();
        write.flush().await.unwrap();
        write
    });
    let reader = tokio::spawn(async move {
        let mut text = [0; 4];
        read.read_exact(&mut text).await.unwrap();
        // Whatever it waits for next, it does not come.
        read.read_exact(&mut text).await.unwrap_err();
    });
    // Both wait, the writer first; then the reader is woken and waits again.
    tokio::time::sleep(Duration::from_secs(1)).await;
    far.write_all(b"ping").await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    near_control.set_write_chunk(usize::MAX);
    let writer = tokio::time::timeout(NEVER, writer).await.expect("the writer sleeps on").unwrap();
    let mut received = vec![0; 50_000];
    far.read_exact(&mut received).await.unwrap();
    assert!(received == pattern(50_000));
    drop((writer, far));
    reader.await.unwrap();
}

/// A busy stream gives others a turn after two reads of the socket, whatever more there is.
#[tokio::test]
async fn two_reads_are_a_turn() {
    let pool = BufferPool::new();
    let ((near, near_control), (far, _far_control)) = wires(usize::MAX);
    let settings = settings(&pool, |_| ());
    let (mut near, mut far) = Parties::new().pair_over(near, far, settings.clone(), settings).await;
    far.write_all(&pattern(1_000)).await.unwrap();
    near_control.script().read_chunk = 100;
    let mut received = [0; 1_000];
    for turn in 1..=5 {
        near_control.take_counts();
        let (wakes, waker) = Wakes::new();
        let cx = &mut Context::from_waker(&waker);
        let mut buf = ReadBuf::new(&mut received);
        assert!(Pin::new(&mut near).poll_read(cx, &mut buf).is_pending(), "{turn}");
        assert_eq!((near_control.script().counts.reads, wakes.count()), (2, 1), "{turn}");
    }
    near.read_exact(&mut received).await.unwrap();
    assert!(received[..] == pattern(1_000));
}

/// One task that reads and writes the same stream at once.
#[tokio::test(start_paused = true)]
async fn whole_streams_go_on_in_one_task() {
    let parties = Parties::new();
    let data = pattern(200_000);
    for seed in 0..10 {
        let pool = BufferPool::new();
        let (near, far) = awkward_pair(&parties, &pool, seed, 20_000).await;
        let exchange = |stream, seed| Exchange {
            stream,
            rest: &data,
            received: Vec::new(),
            rng: Rng::new(seed),
            shut: false,
            ended: false,
        };
        let both = async { tokio::join!(exchange(near, seed), exchange(far, seed + 9)) };
        let (near, far) = tokio::time::timeout(NEVER, both).await.expect("a deadlock");
        assert!(near == data && far == data);
        assert_nothing_out(&pool);
    }
}

struct Exchange<'data> {
    stream: AltsStream<Wire>,
    rest: &'data [u8],
    received: Vec<u8>,
    rng: Rng,
    shut: bool,
    ended: bool,
}

impl Future for Exchange<'_> {
    type Output = Vec<u8>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Vec<u8>> {
        let this = self.get_mut();
        let mut stream = Pin::new(&mut this.stream);
        let mut progress = true;
        while progress {
            progress = false;
            if !this.rest.is_empty() {
                let now = &this.rest[..this.rng.size(this.rest.len())];
                if let Poll::Ready(count) = stream.as_mut().poll_write(cx, now) {
                    this.rest = &this.rest[count.unwrap()..];
                    progress = true;
                }
            } else if !this.shut && stream.as_mut().poll_shutdown(cx).map(Result::unwrap).is_ready()
            {
                this.shut = true;
                progress = true;
            }
            let mut bytes = vec![0; this.rng.size(20_000)];
            let mut buf = ReadBuf::new(&mut bytes);
            if !this.ended && stream.as_mut().poll_read(cx, &mut buf).map(Result::unwrap).is_ready()
            {
                this.received.extend(buf.filled());
                this.ended = buf.filled().is_empty();
                progress = true;
            }
        }
        if this.shut && this.ended {
            return Poll::Ready(std::mem::take(&mut this.received));
        }
        Poll::Pending
    }
}
