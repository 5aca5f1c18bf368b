//! The protocol alone, frame by frame: `"1 Data SYN 5"` is a header with a body of five bytes behind it.

mod arrivals;
mod control;
mod flow;
mod memory;

use std::io::IoSlice;
use std::task::{Poll, Waker};
use std::time::Duration;

use super::{After, Core, Half, Moment, Rest, Side, Stalled, Steady};
use crate::pool::BufferPool;
use crate::yamux::config::{Config, ConfigBuilder};
use crate::yamux::error::Error;
use crate::yamux::header::{self, Flags, Header};

/// The length of a body that is not sent along.
const ALONE: &str = "alone";

/// The defaults, with the protocol's own window.
fn config() -> ConfigBuilder {
    Config::builder().window(256 << 10)
}

/// One side, whose peer is the test.
struct One {
    core: Core,
    pool: BufferPool,
    now: Moment,
}

impl One {
    fn server() -> Self {
        Self::with(Side::Server, config(), BufferPool::new())
    }

    fn client() -> Self {
        Self::with(Side::Client, config(), BufferPool::new())
    }

    fn with(side: Side, config: ConfigBuilder, pool: BufferPool) -> Self {
        let core = Core::new(Steady::new(side, config.build().unwrap(), pool.clone()));
        Self { core, pool, now: Moment::default() }
    }

    fn does<R>(&mut self, change: impl FnOnce(&mut Core, &mut After) -> R) -> R {
        let mut after = After::default();
        let result = change(&mut self.core, &mut after);
        after.run();
        result
    }

    /// Frames arrive; each read is of one buffer.
    fn gets(&mut self, frames: &[&str]) -> Result<(), Error> {
        let bytes: Vec<u8> = frames.iter().flat_map(|frame| bytes_of(frame)).collect();
        self.gets_bytes(&bytes)
    }

    fn gets_bytes(&mut self, bytes: &[u8]) -> Result<(), Error> {
        for part in bytes.chunks(32 << 10) {
            let mut buffer = self.pool.take(part.len()).unwrap();
            buffer[..part.len()].copy_from_slice(part);
            buffer.truncate(part.len());
            assert!(self.gets_rest(Rest::Pooled(buffer))?.is_none(), "there is memory");
        }
        Ok(())
    }

    fn gets_rest(&mut self, rest: Rest) -> Result<Option<Stalled>, Error> {
        let now = self.now;
        let received = self.does(|core, after| core.receive(rest, now, after));
        received.inspect_err(|error| {
            self.does(|core, after| {
                core.end(error.clone(), after);
                core.last_word(after);
            });
        })
    }

    /// What it sends: frames without a body, and Data with its length.
    fn sends(&mut self) -> Vec<String> {
        let now = self.now;
        let mut frames = Vec::new();
        loop {
            let mut urgent = [0; 24];
            let (len, batch) = self
                .does(|core, after| (core.urgent(&mut urgent, now, after), core.take_batch(after)));
            frames.extend(shown(&urgent[..len]));
            frames.extend(batch.iter().flat_map(|batch| shown(batch)));
            if len == 0 && batch.is_none() {
                return frames;
            }
        }
    }

    fn opens(&mut self) -> u32 {
        let window = self.core.config().window;
        match self.does(|core, after| core.open(window, Waker::noop(), after)) {
            Poll::Ready(Ok((slot, _))) => slot,
            other => panic!("{other:?}"),
        }
    }

    fn accepts(&mut self) -> Option<u32> {
        match self.does(|core, after| core.accept(Waker::noop(), after)) {
            Poll::Ready(Ok(Some((slot, _)))) => Some(slot),
            Poll::Ready(Ok(None)) | Poll::Pending => None,
            Poll::Ready(Err(error)) => panic!("{error}"),
        }
    }

    /// Reads all there is, up to `room` bytes: their number, and what comes then.
    fn reads(&mut self, slot: u32, room: usize) -> (usize, Poll<Result<usize, Error>>) {
        let mut total = 0;
        loop {
            let left = (room - total).max(1);
            let read = self.does(|core, after| core.read(slot, left, |_| (), Waker::noop(), after));
            match read {
                Poll::Ready(Ok(count @ 1..)) => total += count,
                end => return (total, end),
            }
            if total == room {
                return (total, Poll::Pending);
            }
        }
    }

    fn writes(&mut self, slot: u32, count: usize) -> Poll<Result<usize, Error>> {
        let payload = vec![7; count];
        self.does(|core, after| core.write(slot, &[IoSlice::new(&payload)], Waker::noop(), after))
    }

    fn closes(&mut self, slot: u32) {
        self.does(|core, after| core.close_write(slot, after));
    }

    fn drops(&mut self, slot: u32) {
        self.does(|core, after| {
            core.drop_half(slot, Half::Read, after);
            core.drop_half(slot, Half::Write, after);
        });
    }

    fn passes(&mut self, time: Duration) -> Result<(), Error> {
        self.now = self.now.after(time);
        let now = self.now;
        match self.core.next_timeout() {
            Some(at) if now >= at => self.does(|core, after| core.on_time(now, after)),
            _ => Ok(()),
        }
    }
}

const END: Poll<Result<usize, Error>> = Poll::Ready(Ok(0));

fn fails(error: Error) -> Poll<Result<usize, Error>> {
    Poll::Ready(Err(error))
}

/// A frame from words: the stream's id, the type, flags, and the length.
fn bytes_of(frame: &str) -> Vec<u8> {
    let words: Vec<&str> = frame.split(' ').collect();
    let alone = words.last() == Some(&ALONE);
    let words = if alone { &words[..words.len() - 1] } else { &words[..] };
    let stream: u32 = words[0].parse().unwrap();
    let last: u32 = words[words.len() - 1].parse().unwrap();
    let flags = words[2..words.len() - 1].iter().fold(Flags::NONE, |flags, word| {
        flags.with(match *word {
            "SYN" => Flags::SYN,
            "ACK" => Flags::ACK,
            "FIN" => Flags::FIN,
            "RST" => Flags::RST,
            word => panic!("{word}"),
        })
    });
    let header = match words[1] {
        "Data" => Header::Data { stream, flags, len: last },
        "WindowUpdate" => Header::WindowUpdate { stream, flags, delta: last },
        "Ping" => Header::Ping { value: last },
        "Pong" => Header::Pong { value: last },
        "GoAway" => Header::GoAway { code: last },
        word => panic!("{word}"),
    };
    let mut bytes = header.encode().to_vec();
    if words[1] == "Data" && !alone {
        bytes.resize(bytes.len() + last as usize, 7);
    }
    bytes
}

fn shown(mut bytes: &[u8]) -> Vec<String> {
    let mut frames = Vec::new();
    while let Some((head, rest)) = bytes.split_first_chunk::<{ header::LEN }>() {
        let header = Header::decode(*head).unwrap();
        let (stream, kind, flags, len) = match header {
            Header::Data { stream, flags, len } => (stream, "Data", flags, len),
            Header::WindowUpdate { stream, flags, delta } => (stream, "WindowUpdate", flags, delta),
            Header::Ping { value } => (0, "Ping", Flags::NONE, value),
            Header::Pong { value } => (0, "Pong", Flags::NONE, value),
            Header::GoAway { code } => (0, "GoAway", Flags::NONE, code),
        };
        let names = [
            (Flags::SYN, "SYN "),
            (Flags::ACK, "ACK "),
            (Flags::FIN, "FIN "),
            (Flags::RST, "RST "),
        ];
        let flags: String =
            names.iter().filter(|(flag, _)| flags.has(*flag)).map(|(_, name)| *name).collect();
        frames.push(format!("{stream} {kind} {flags}{len}"));
        bytes = if kind == "Data" { &rest[len as usize..] } else { rest };
    }
    assert!(bytes.is_empty(), "whole frames");
    frames
}

#[test]
fn an_idle_session_is_small() {
    assert!(size_of::<Steady>() <= 176, "{}", size_of::<Steady>());
    let driver = size_of::<crate::yamux::Driver<()>>();
    assert!(driver <= 96, "{driver}");
}
