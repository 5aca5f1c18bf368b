//! Streams against a model: a pipe of bytes. Reads, writes, splits, stalls, half-closes and drops as the fuzzer likes, over a
//! socket that is as awkward as a socket may be.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;

use alts::handshaker::RecordProtocol;
use alts::pool::{BufferPool, PooledBuf};
use alts::ready::ReadyReader;
use alts::{AltsStream, Error, ReadHalf, WriteHalf};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::FEW;
use crate::choices::Choices;
use crate::runtime::{block_on, parties};
use crate::support::polling::now;
use crate::support::rng::Rng;
use crate::support::wire::{Control, Incoming, Outgoing, Wire, wires};
use crate::support::{Parties, assert_nothing_out, settings};

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

    fn read_on_ready(&mut self, pool: &BufferPool) -> Option<io::Result<Option<PooledBuf>>> {
        now(|cx| reader!(self, r => r.poll_read_on_ready(cx, pool, &mut None)))
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
#[expect(clippy::struct_excessive_bools, reason = "what has happened is independent of each other")]
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
    /// A read has failed.
    broken: bool,
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
            broken: false,
            kept: Vec::new(),
            next_byte: 0,
        }
    }

    fn payload(&mut self, len: usize) -> Vec<u8> {
        let make = |i: u32| i.wrapping_mul(2_654_435_761).to_be_bytes()[0];
        (self.next_byte..).take(len).map(make).collect()
    }

    fn write(&mut self, choices: &mut Choices<'_>, peer_gone: bool) {
        let len = if choices.one_in(20) { 0 } else { choices.size(60_000) };
        let payload = self.payload(len);
        let mut slices = Vec::new();
        let mut rest = &payload[..];
        while slices.len() < 5 && choices.one_in(2) {
            let (slice, more) = rest.split_at(choices.below(rest.len() + 1));
            slices.push(IoSlice::new(slice));
            rest = more;
        }
        slices.push(IoSlice::new(rest));
        match self.side.write(&slices) {
            Some(Ok(count)) => {
                assert!(count <= len && (count > 0 || len == 0), "{count} of {len}");
                assert!(!self.shutting);
                self.sent.extend(&payload[..count]);
                self.next_byte += count as u32;
            }
            Some(Err(error)) if peer_gone && error.kind() == io::ErrorKind::BrokenPipe => {}
            Some(Err(error)) => {
                assert!(self.shutting, "{error}");
                assert_eq!(Error::of(&error), Some(&Error::WriteAfterShutdown));
            }
            None => {}
        }
    }

    fn shutdown(&mut self, peer_gone: bool) {
        self.shutting = true;
        match self.side.shutdown() {
            Some(Ok(())) => self.shut = true,
            Some(Err(error)) => assert!(peer_gone, "{error}"),
            None => {}
        }
    }

    fn is_gone(&self) -> bool {
        matches!(self.side, Side::Gone)
    }

    /// Takes a whole stream apart, or puts halves together.
    fn split_or_reunite(&mut self) {
        self.side = match std::mem::replace(&mut self.side, Side::Gone) {
            Side::Whole(stream) => {
                let (read, write) = stream.into_split();
                Side::Halves(read, write)
            }
            Side::Halves(read, write) => Side::Whole(read.reunite(write).expect("its halves")),
            Side::Gone => Side::Gone,
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
    async fn new(parties: &Parties, choices: &mut Choices<'_>) -> Self {
        let buffer_size = 4096 << choices.below(5);
        let pool = BufferPool::builder().buffer_size(buffer_size).build().unwrap();
        let close_notify = !choices.one_in(3);
        let plain = choices.one_in(4);
        let write_batch = [1, 100, 5_000, 40_000, 256 << 10][choices.below(5)];
        let max_frame_size = [0, 4_096, 5_000, 16_384, 65_536, 1 << 20][choices.below(6)];
        let settings = settings(&pool, |settings| {
            settings.handshake.close_notify = close_notify;
            settings.handshake.max_frame_size = max_frame_size;
            if plain {
                settings.handshake.record_protocols = vec![RecordProtocol::Aes128Gcm];
            }
            settings.stream.max_frame_size = max_frame_size;
            settings.stream.write_batch = write_batch;
        });
        let capacity = [100, 5_000, 70_000, usize::MAX][choices.below(4)];
        let ((near, near_control), (far, far_control)) = wires(capacity);
        let (near, far) = parties.pair_over(near, far, settings.clone(), settings).await;
        for control in [&near_control, &far_control] {
            control.script().false_readiness = choices.one_in(3);
        }
        let ends = [End::new(near, near_control), End::new(far, far_control)];
        // Records of at least 4,096 bytes, or one.
        let records = write_batch / 4_072 + 1;
        let batch = BufferPool::capacity_for(write_batch + 24 * records + 64).unwrap();
        Self { ends, pool, close_notify, most_beyond_cap: 2 * batch }
    }

    /// A call that is chosen at random, at an end that is.
    fn act(&mut self, choices: &mut Choices<'_>, late: bool) {
        let at = choices.below(2);
        let peer_gone = self.ends[1 - at].is_gone();
        let end = &mut self.ends[at];
        if end.is_gone() {
            return;
        }
        match choices.below(if late { 26 } else { 23 }) {
            0..6 => end.write(choices, peer_gone),
            6..10 => {
                let room = choices.size(70_000);
                self.read(at, |end, _| end.side.read(room));
            }
            10..14 => self.read_on_ready(at, choices),
            14 => {
                end.side.readable();
            }
            15..17 => {
                if let Some(Err(error)) = end.side.flush() {
                    assert!(peer_gone, "{error}");
                }
            }
            17 => end.control.set_write_chunk(if choices.one_in(2) {
                0
            } else {
                choices.size(40_000)
            }),
            18 => end.control.set_write_chunk(usize::MAX),
            19 => end.control.script().read_chunk = choices.size(20_000),
            20 => {
                end.control.script().moods = choices.one_in(2).then(|| Rng::new(choices.u64()));
            }
            21 => {
                end.kept.pop();
            }
            22 if choices.one_in(8) => end.split_or_reunite(),
            22 => self.settle(),
            25 => {
                end.kept.clear();
                end.side = Side::Gone;
            }
            _ => end.shutdown(peer_gone),
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
        match read(&mut self.ends[at], &self.pool) {
            None => return false,
            Some(Ok(bytes)) => self.compare(at, &bytes),
            Some(Err(error)) => self.broken(at, &error),
        }
        true
    }

    fn read_on_ready(&mut self, at: usize, choices: &mut Choices<'_>) {
        match self.ends[at].side.read_on_ready(&self.pool) {
            None => {}
            Some(Err(error)) => self.broken(at, &error),
            Some(Ok(None)) => self.compare(at, b""),
            Some(Ok(Some(buf))) => {
                assert!(!buf.is_empty());
                self.compare(at, &buf);
                if choices.one_in(3) && self.ends[at].kept.len() < 4 {
                    self.ends[at].kept.push(buf);
                }
            }
        }
    }

    /// A read fails, and again, only because the peer closed without the authenticated end.
    fn broken(&mut self, at: usize, error: &io::Error) {
        let peer = &self.ends[1 - at];
        assert!(peer.is_gone() && !peer.shut && !self.ends[at].ended, "{error}");
        assert!(matches!(Error::of(error), Some(Error::Truncated { .. })), "{error}");
        self.ends[at].broken = true;
    }

    fn compare(&mut self, at: usize, bytes: &[u8]) {
        let sender = &mut self.ends[1 - at];
        if bytes.is_empty() {
            let whole = sender.shutting && sender.sent.is_empty();
            let left = sender.is_gone() && !self.close_notify;
            assert!(whole || left, "an end that nobody made");
            self.ends[at].ended = true;
            assert_eq!(self.ends[at].side.peer_closed_authenticated(), self.close_notify);
            return;
        }
        assert!(!self.ends[at].ended && !self.ends[at].broken, "bytes after the end");
        let sender = &mut self.ends[1 - at];
        assert!(bytes.len() <= sender.sent.len(), "bytes that nobody sent");
        assert!(sender.sent.drain(..bytes.len()).eq(bytes.iter().copied()), "other bytes");
    }

    /// Lets everything arrive. Then nobody holds anything.
    fn settle(&mut self) {
        if self.ends.iter().any(End::is_gone) {
            return;
        }
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
                        end.shutdown(false);
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

    /// Reads what a peer that is gone has left.
    fn wind_up(mut self) {
        for at in 0..2 {
            self.ends[at].kept.clear();
            if self.ends[at].is_gone() {
                continue;
            }
            let peer_gone = self.ends[1 - at].is_gone();
            self.ends[at].control.script().moods = None;
            for round in 0.. {
                assert!(round < 100_000, "no end: {:?}", self.pool.stats());
                let end = &self.ends[at];
                if !peer_gone || end.ended || end.broken {
                    break;
                }
                self.read(at, |end, _| end.side.read(50_000));
            }
        }
        for at in 0..2 {
            let peer = &self.ends[1 - at];
            let all = !self.ends[at].is_gone() && peer.shut;
            assert!(!all || peer.sent.is_empty(), "{} bytes are lost", peer.sent.len());
        }
        drop(self.ends);
        assert_nothing_out(&self.pool);
    }

    fn finish(mut self) {
        if self.ends.iter().any(End::is_gone) {
            return self.wind_up();
        }
        self.settle();
        for end in &mut self.ends {
            end.shutdown(false);
        }
        self.settle();
        for at in 0..2 {
            assert!(self.read(at, |end, _| end.side.read(1)));
            assert!(self.read(at, |end, pool| {
                Some(
                    end.side.read_on_ready(pool)?.map(|buf| buf.map_or(vec![], |buf| buf.to_vec())),
                )
            }));
            assert!(self.ends[at].ended && self.ends[at].side.readable());
        }
        drop(self.ends);
        assert_nothing_out(&self.pool);
    }
}

async fn run(choices: &mut Choices<'_>) {
    let mut model = Model::new(parties(), choices).await;
    let mut early = choices.byte();
    while !choices.are_over() {
        model.act(choices, early == 0);
        early = early.saturating_sub(1);
    }
    model.finish();
}

#[test]
fn stream() {
    bolero::check!(name = "stream")
        .with_iterations(FEW)
        .with_max_len(2_000)
        .for_each(|input: &[u8]| block_on(run(&mut Choices::new(input))));
}
