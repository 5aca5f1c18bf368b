//! Streams against a model: a pipe of bytes. Long sequences of calls from fixed seeds, over a socket that is as awkward as a
//! socket may be.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod world;

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use alts::handshaker::RecordProtocol;
use alts::pool::{BufferPool, PooledBuf};
use alts::ready::ReadyReader;
use alts::{AltsStream, Error, ReadHalf, WriteHalf};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use world::polling::now;
use world::rng::Rng;
use world::wire::{Control, Incoming, Outgoing, Wire, wires};
use world::{World, assert_nothing_out, pattern, settings};

/// A stream, or what it came apart into.
enum Side {
    Whole(AltsStream<Wire>),
    Halves(ReadHalf<Incoming>, WriteHalf<Outgoing>),
    /// While it changes from one to the other.
    Gone,
}

macro_rules! reader {
    ($side:expr, $reader:ident => $call:expr) => {
        match $side {
            Side::Whole($reader) => $call,
            Side::Halves($reader, _) => $call,
            Side::Gone => unreachable!(),
        }
    };
}

macro_rules! writer {
    ($side:expr, $writer:ident => $call:expr) => {
        match $side {
            Side::Whole($writer) => $call,
            Side::Halves(_, $writer) => $call,
            Side::Gone => unreachable!(),
        }
    };
}

impl Side {
    fn read(&mut self, room: usize) -> Option<io::Result<Vec<u8>>> {
        let mut bytes = vec![0; room];
        let mut buf = ReadBuf::new(&mut bytes);
        let read = now(|cx| reader!(self, r => Pin::new(r).poll_read(cx, &mut buf)))?;
        let len = buf.filled().len();
        Some(read.map(|()| {
            bytes.truncate(len);
            bytes
        }))
    }

    fn read_ready(&mut self, pool: &BufferPool) -> Option<io::Result<Option<PooledBuf>>> {
        now(|cx| reader!(self, r => r.poll_read_ready(cx, pool, &mut None)))
    }

    fn readable(&mut self) -> bool {
        now(|cx| reader!(self, r => r.poll_readable(cx))).is_some_and(|ready| ready.is_ok())
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> Option<io::Result<usize>> {
        now(|cx| writer!(self, w => Pin::new(w).poll_write_vectored(cx, slices)))
    }

    fn flush(&mut self) -> Option<io::Result<()>> {
        now(|cx| writer!(self, w => Pin::new(w).poll_flush(cx)))
    }

    fn shutdown(&mut self) -> Option<io::Result<()>> {
        now(|cx| writer!(self, w => Pin::new(w).poll_shutdown(cx)))
    }

    fn peer_closed_authenticated(&self) -> bool {
        reader!(self, r => r.peer_closed_authenticated())
    }
}

/// One end and what the model knows about what it sends.
struct End {
    side: Side,
    control: Control,
    /// Written here and not read there.
    sent: VecDeque<u8>,
    /// A shutdown was begun, and whether it is done.
    shutting: bool,
    shut: bool,
    /// The peer's end was seen.
    ended: bool,
    kept: Vec<PooledBuf>,
    next_byte: u32,
}

impl End {
    fn new(stream: AltsStream<Wire>, control: Control) -> Self {
        Self {
            side: Side::Whole(stream),
            control,
            sent: VecDeque::new(),
            shutting: false,
            shut: false,
            ended: false,
            kept: Vec::new(),
            next_byte: 0,
        }
    }

    fn payload(&mut self, len: usize) -> Vec<u8> {
        let make = |i: u32| i.wrapping_mul(2_654_435_761).to_be_bytes()[0];
        (self.next_byte..).take(len).map(make).collect()
    }

    fn write(&mut self, rng: &mut Rng) {
        let len = if rng.one_in(20) { 0 } else { rng.size(60_000) };
        let payload = self.payload(len);
        let mut slices = Vec::new();
        let mut rest = &payload[..];
        while slices.len() < 5 && rng.one_in(2) {
            let (slice, more) = rest.split_at(rng.below(rest.len() + 1));
            slices.push(IoSlice::new(slice));
            rest = more;
        }
        slices.push(IoSlice::new(rest));
        match self.side.write(&slices) {
            Some(Ok(count)) => {
                assert!(count <= len && (count > 0 || len == 0), "{count} of {len}");
                // A shutdown that waits for the kernel has ended nothing yet.
                assert!(!self.shut);
                self.sent.extend(&payload[..count]);
                self.next_byte += count as u32;
            }
            Some(Err(error)) => {
                assert!(self.shutting, "{error}");
                assert_eq!(Error::of(&error), Some(&Error::WriteAfterShutdown));
            }
            None => {}
        }
    }

    fn shutdown(&mut self) {
        self.shutting = true;
        if let Some(result) = self.side.shutdown() {
            result.unwrap();
            self.shut = true;
        }
    }

    fn split(&mut self) {
        self.side = match std::mem::replace(&mut self.side, Side::Gone) {
            Side::Whole(stream) => {
                let (read, write) = stream.into_split();
                Side::Halves(read, write)
            }
            halves => halves,
        };
    }
}

struct Model {
    ends: [End; 2],
    pool: BufferPool,
    close_notify: bool,
    /// The most that the two ends may hold for the kernel.
    most_beyond_cap: usize,
}

impl Model {
    async fn new(world: &World, rng: &mut Rng) -> Self {
        let buffer_size = 4096 << rng.below(5);
        let pool = BufferPool::builder().buffer_size(buffer_size).build().unwrap();
        let close_notify = !rng.one_in(3);
        let plain = rng.one_in(4);
        let write_batch = [1, 100, 5_000, 40_000, 256 << 10][rng.below(5)];
        let max_frame_size = [0, 4_096, 5_000, 16_384, 65_536, 1 << 20][rng.below(6)];
        let settings = settings(&pool, |settings| {
            settings.handshake.close_notify = close_notify;
            settings.handshake.max_frame_size = max_frame_size;
            if plain {
                settings.handshake.record_protocols = vec![RecordProtocol::Aes128Gcm];
            }
            settings.stream.max_frame_size = max_frame_size;
            settings.stream.write_batch = write_batch;
        });
        let capacity = [100, 5_000, 70_000, usize::MAX][rng.below(4)];
        let ((near, near_control), (far, far_control)) = wires(capacity);
        let (near, far) = world.pair_over(near, far, settings.clone(), settings).await;
        for control in [&near_control, &far_control] {
            control.script().false_readiness = rng.one_in(3);
        }
        let ends = [End::new(near, near_control), End::new(far, far_control)];
        // Records of at least 4,096 bytes, or one.
        let records = write_batch / 4_072 + 1;
        let batch = BufferPool::capacity_for(write_batch + 24 * records + 64).unwrap();
        Self { ends, pool, close_notify, most_beyond_cap: 2 * batch }
    }

    /// A call that is chosen at random, at an end that is.
    fn act(&mut self, rng: &mut Rng, late: bool) {
        let at = rng.below(2);
        let end = &mut self.ends[at];
        match rng.below(if late { 25 } else { 23 }) {
            0..6 => end.write(rng),
            6..10 => {
                let room = rng.size(70_000);
                self.read(at, |end, _| end.side.read(room));
            }
            10..14 => self.read_ready(at, rng),
            14 => {
                end.side.readable();
            }
            15..17 => {
                if let Some(result) = end.side.flush() {
                    result.unwrap();
                }
            }
            17 => end.control.set_write_chunk(if rng.one_in(2) { 0 } else { rng.size(40_000) }),
            18 => end.control.set_write_chunk(usize::MAX),
            19 => end.control.script().read_chunk = rng.size(20_000),
            20 => end.control.script().moods = rng.one_in(2).then(|| rng.clone()),
            21 => {
                end.kept.pop();
            }
            22 if rng.one_in(8) => end.split(),
            22 => self.settle(),
            _ => end.shutdown(),
        }
        let stats = self.pool.stats();
        assert!(stats.beyond_cap_buffers <= 2 && stats.beyond_cap_bytes <= self.most_beyond_cap);
    }

    /// Whether there was anything.
    fn read(
        &mut self,
        at: usize,
        read: impl FnOnce(&mut End, &BufferPool) -> Option<io::Result<Vec<u8>>>,
    ) -> bool {
        let Some(bytes) = read(&mut self.ends[at], &self.pool) else { return false };
        self.compare(at, &bytes.unwrap());
        true
    }

    fn read_ready(&mut self, at: usize, rng: &mut Rng) {
        match self.ends[at].side.read_ready(&self.pool) {
            None => {}
            Some(buf) => match buf.unwrap() {
                None => self.compare(at, b""),
                Some(buf) => {
                    assert!(!buf.is_empty());
                    self.compare(at, &buf);
                    if rng.one_in(3) && self.ends[at].kept.len() < 4 {
                        self.ends[at].kept.push(buf);
                    }
                }
            },
        }
    }

    fn compare(&mut self, at: usize, bytes: &[u8]) {
        let sender = &mut self.ends[1 - at];
        if bytes.is_empty() {
            assert!(sender.shutting && sender.sent.is_empty(), "an end that nobody made");
            self.ends[at].ended = true;
            assert_eq!(self.ends[at].side.peer_closed_authenticated(), self.close_notify);
            return;
        }
        assert!(!self.ends[at].ended, "bytes after the end");
        let sender = &mut self.ends[1 - at];
        assert!(bytes.len() <= sender.sent.len(), "bytes that nobody sent");
        assert!(sender.sent.drain(..bytes.len()).eq(bytes.iter().copied()), "other bytes");
    }

    /// Lets everything arrive. Then nobody holds anything.
    fn settle(&mut self) {
        for end in &mut self.ends {
            end.kept.clear();
            end.control.set_write_chunk(usize::MAX);
            let mut script = end.control.script();
            script.moods = None;
            script.read_chunk = usize::MAX;
        }
        let mut quiet = 0;
        for round in 0.. {
            assert!(round < 100_000, "stuck: {:?}", self.pool.stats());
            let before = self.ends.each_ref().map(|end| end.sent.len());
            let mut drained = true;
            for at in 0..2 {
                let end = &mut self.ends[at];
                drained &= match end.shutting {
                    true => {
                        end.shutdown();
                        end.shut
                    }
                    false => end.side.flush().is_some_and(|result| result.is_ok()),
                };
                self.read(at, |end, _| end.side.read(50_000));
            }
            let after = self.ends.each_ref().map(|end| end.sent.len());
            let arriving = self.ends.iter().any(|end| end.control.arriving() > 0);
            // A reader may take a turn off now and then.
            quiet = if drained && before == after && !arriving { quiet + 1 } else { 0 };
            if quiet == 3 {
                break;
            }
        }
        for end in &self.ends {
            assert!(end.sent.is_empty(), "{} bytes are lost", end.sent.len());
        }
        assert_nothing_out(&self.pool);
    }

    fn finish(mut self) {
        self.settle();
        for end in &mut self.ends {
            end.shutdown();
        }
        self.settle();
        for at in 0..2 {
            assert!(self.read(at, |end, _| end.side.read(1)));
            assert!(self.read(at, |end, pool| {
                Some(end.side.read_ready(pool)?.map(|buf| buf.map_or(vec![], |buf| buf.to_vec())))
            }));
            assert!(self.ends[at].ended && self.ends[at].side.readable());
        }
        drop(self.ends);
        assert_nothing_out(&self.pool);
    }
}

#[tokio::test(start_paused = true)]
async fn any_sequence_of_calls_moves_the_same_bytes() {
    let world = World::new();
    for seed in 0..250 {
        let mut rng = Rng::new(seed);
        let mut model = Model::new(&world, &mut rng).await;
        let steps = 20 + rng.below(200);
        for step in 0..steps {
            model.act(&mut rng, step > steps / 2);
        }
        model.finish();
    }
}

// The same with tasks: whoever waits is woken.

/// Long enough that only a clock which runs ahead when nobody can go on ever gets there.
const NEVER: Duration = Duration::from_hours(1);

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
    while let Some(buf) = from.read_ready(&pool).await.unwrap() {
        received.extend(&*buf);
    }
    received
}

async fn awkward_pair(
    world: &World,
    pool: &BufferPool,
    seed: u64,
    capacity: usize,
) -> (AltsStream<Wire>, AltsStream<Wire>) {
    let ((near, near_control), (far, far_control)) = wires(capacity);
    let settings = settings(pool, |settings| settings.stream.write_batch = 30_000);
    let pair = world.pair_over(near, far, settings.clone(), settings).await;
    for (control, seed) in [(near_control, seed), (far_control, !seed)] {
        control.script().moods = Some(Rng::new(seed));
    }
    pair
}

#[tokio::test(start_paused = true)]
async fn split_streams_go_on_by_themselves() {
    let world = World::new();
    let data = pattern(200_000);
    for seed in 0..10 {
        let pool = BufferPool::new();
        let (near, far) = awkward_pair(&world, &pool, seed, 20_000).await;
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
    let world = World::new();
    let data = pattern(200_000);
    for seed in 0..10 {
        let pool = BufferPool::new();
        let (near, far) = awkward_pair(&world, &pool, seed, 20_000).await;
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
    let world = World::new();
    let pool = BufferPool::new();
    let ((near, near_control), (far, _far_control)) = wires(usize::MAX);
    let settings = settings(&pool, |settings| settings.stream.write_batch = 10_000);
    let (near, mut far) = world.pair_over(near, far, settings.clone(), settings).await;
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

/// One task that reads and writes the same stream at once.
#[tokio::test(start_paused = true)]
async fn whole_streams_go_on_in_one_task() {
    let world = World::new();
    let data = pattern(200_000);
    for seed in 0..10 {
        let pool = BufferPool::new();
        let (near, far) = awkward_pair(&world, &pool, seed, 20_000).await;
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
