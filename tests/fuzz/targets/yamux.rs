//! A session against a peer that sends whatever frames it likes, cut as it likes, over a connection that takes as much as it likes; with an
//! application that reads, writes, closes, resets and drops. What comes of each frame is compared with a model of the protocol.

mod model;
mod wire;

use std::io::{ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use alts::pool::BufferPool;
use alts::yamux::{Config, Driver, Error, Session, Stream, Violation};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::FEW;
use crate::choices::Choices;
use model::{Fate, Model, byte};
use wire::{DATA, FIN, Frame, GO_AWAY, PING, RST, SYN, WINDOW_UPDATE, Wire};

/// The application's side of a stream.
struct Open {
    stream: Stream,
    id: u32,
    /// Bytes read and written, and whether each direction is over for the application.
    read: u64,
    written: u64,
    closed: bool,
}

struct Run {
    wire: Wire,
    session: Session,
    driver: Option<Driver<Wire>>,
    ended: Option<Result<(), Error>>,
    pool: BufferPool,
    model: Model,
    open: Vec<Open>,
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

impl Run {
    fn new() -> Self {
        let wire = Wire::default();
        let pool = BufferPool::new();
        let config = Config::builder()
            .no_keep_alive()
            .write_timeout(None)
            .window(256 << 10)
            .max_window(256 << 10);
        let (session, driver) =
            Session::server(wire.clone(), config.build().unwrap(), pool.clone());
        let (driver, model) = (Some(driver), Model::default());
        Self { wire, session, driver, ended: None, pool, model, open: Vec::new() }
    }

    /// Runs the driver until nothing changes, and looks at what it sends.
    fn settle(&mut self) {
        let mut idle = 0;
        while idle < 3 {
            let before = self.wire.moved();
            if let Some(driver) = &mut self.driver
                && let Poll::Ready(ended) = Pin::new(driver).poll(&mut cx())
            {
                self.ended = Some(ended);
                self.driver = None;
            }
            idle = if self.wire.moved() == before { idle + 1 } else { 0 };
        }
        for event in self.wire.events() {
            self.model.on(event);
        }
        self.accept();
        self.bounds();
    }

    fn accept(&mut self) {
        while let Poll::Ready(Ok(Some(stream))) = self.session.poll_accept(&mut cx()) {
            let id = stream.id();
            assert!(self.model.accepted(id), "stream {id} was not opened, or is over");
            self.open.push(Open { stream, id, read: 0, written: 0, closed: false });
        }
    }

    /// What is held is what the model knows to be unread, and a chunk for each stream.
    fn bounds(&self) {
        let unread = self.model.unread();
        // The last chunk of each may be the buffer of a large read.
        let chunks = (129 << 10) * (1 + self.model.streams());
        let held = self.pool.stats().in_use_bytes as u64;
        assert!(held <= unread + chunks, "{held} bytes are held for {unread}");
        assert!(self.pool.stats().beyond_cap_bytes <= 2 * ((128 << 10) + 512));
    }

    /// The peer sends a frame.
    fn peer_sends(&mut self, choices: &mut Choices<'_>) {
        let id = 1 + choices.below(8) as u32;
        let kind = [DATA, WINDOW_UPDATE, DATA, WINDOW_UPDATE, PING, GO_AWAY, 9][choices.below(7)];
        // Most streams begin as they should.
        let flags = if self.model.is_new(id) && choices.below(8) != 7 {
            SYN
        } else {
            [0, 0, 0, FIN, 0, RST, SYN, SYN | FIN, FIN | RST, 2][choices.below(10)]
        };
        let (kind, flags) = self.certain(id, kind, flags);
        let len = match choices.below(6) {
            0..=2 => choices.below(40) as u32,
            3 => choices.below(40_000) as u32,
            4 => self.model.credit(id) + choices.below(2) as u32,
            _ if kind == DATA => 0,
            _ => u32::from_le_bytes(choices.array()),
        };
        let (kind, len) = match kind {
            // An end of everything is rare.
            9 | GO_AWAY if choices.below(32) != 31 => (PING, len),
            GO_AWAY => (GO_AWAY, len % 2),
            kind => (kind, len),
        };
        let frame = Frame { kind, flags, stream: if kind < PING { id } else { 0 }, len };
        let delicate = kind < PING && self.model.is_delicate(id, flags);
        let offset = self.model.offset(id);
        let body = (0..u64::from(if kind == DATA { len } else { 0 })).map(|i| byte(id, offset + i));
        self.wire.receive(&frame.header());
        self.wire.receive(&body.collect::<Vec<_>>());
        self.model.departs(frame);
        if delicate {
            self.settle();
        }
    }

    /// A frame of which it is certain what it does. One for a stream that the peer has ended, and a second SYN, are sent when nothing is
    /// under way. Ids are not used again: the model knows one stream for each.
    fn certain(&mut self, id: u32, kind: u8, flags: u8) -> (u8, u8) {
        if kind >= PING || !self.model.is_delicate(id, flags) {
            return (kind, flags);
        }
        self.settle();
        if !self.wire.is_clear() {
            return (PING, flags);
        }
        (kind, if self.model.is_over_on_wire(id) { flags & !SYN } else { flags })
    }

    fn application(&mut self, choices: &mut Choices<'_>) {
        if self.open.is_empty() {
            return;
        }
        let at = choices.below(self.open.len());
        match choices.below(16) {
            0..=6 => self.read(at, 1 + choices.below(70_000)),
            7..=11 => self.write(at, 1 + choices.below(70_000)),
            12 => {
                let open = &mut self.open[at];
                open.closed = true;
                open.stream.close_write();
                self.model.closes(open.id);
            }
            13 => {
                let open = self.open.swap_remove(at);
                let code = u32::from(choices.byte());
                self.model.resets(open.id, code);
                open.stream.reset(code);
            }
            14 => {
                let open = self.open.swap_remove(at);
                self.model.drops(open.id);
                drop(open);
            }
            _ => self.read(at, usize::MAX >> 32),
        }
    }

    fn read(&mut self, at: usize, room: usize) {
        let open = &mut self.open[at];
        let mut buffer = vec![0; room.min(300_000)];
        let mut read = ReadBuf::new(&mut buffer);
        let answer = Pin::new(&mut open.stream).poll_read(&mut cx(), &mut read);
        let fate = self.model.fate(open.id);
        match answer {
            Poll::Ready(Ok(())) if !read.filled().is_empty() => {
                for (i, &got) in (0..).zip(read.filled()) {
                    assert_eq!(got, byte(open.id, open.read + i), "stream {}", open.id);
                }
                open.read += read.filled().len() as u64;
                self.model.reads(open.id, read.filled().len());
            }
            Poll::Ready(Ok(())) => assert_eq!(fate, Fate::Ended, "the end of stream {}", open.id),
            Poll::Pending => {
                assert_eq!(fate, Fate::Open, "stream {} waits", open.id);
                assert!(self.ended.is_none(), "stream {} waits for nothing", open.id);
            }
            Poll::Ready(Err(error)) => match Error::of(&error) {
                Some(Error::Reset { code }) => assert_eq!(fate, Fate::Reset(*code)),
                Some(Error::ResetByThisSide { .. }) => assert_eq!(fate, Fate::Cut),
                Some(_) => {
                    assert!(self.ended.is_some() || self.model.is_over(), "{error}");
                    assert_eq!(fate, Fate::Open, "{error}, stream {}", open.id);
                }
                None => panic!("{error}"),
            },
        }
    }

    fn write(&mut self, at: usize, len: usize) {
        let open = &mut self.open[at];
        let payload: Vec<u8> = (0..len as u64).map(|i| !byte(open.id, open.written + i)).collect();
        let (first, second) = payload.split_at(len / 3);
        let slices = [IoSlice::new(first), IoSlice::new(second)];
        let answer = Pin::new(&mut open.stream).poll_write_vectored(&mut cx(), &slices);
        match answer {
            Poll::Ready(Ok(count)) => {
                assert!(count > 0 && !open.closed);
                open.written += count as u64;
                self.model.writes(open.id, count);
            }
            Poll::Pending => {}
            Poll::Ready(Err(error)) => {
                let expected = open.closed
                    || self.ended.is_some()
                    || self.model.is_over()
                    || matches!(self.model.fate(open.id), Fate::Reset(_) | Fate::Cut)
                    || self.model.was_reset(open.id);
                assert!(expected && error.kind() != ErrorKind::Other, "{error}");
            }
        }
    }

    /// The peer ends the connection; everything comes to an end, and nothing is held.
    fn wind_up(mut self) {
        self.wire.let_all_through();
        self.settle();
        if self.ended.is_none() && self.model.violation.is_none() && !self.model.is_over() {
            self.model.assert_settled();
        }
        self.wire.end();
        self.settle();
        for at in 0..self.open.len() {
            for _ in 0..20 {
                self.read(at, 300_000);
            }
        }
        let ended = self.ended.take().expect("the session ends with its connection");
        match &self.model.violation {
            Some(violation) => {
                assert_eq!(ended, Err(Error::Protocol(*violation)));
                assert_eq!(self.model.last_sent, Some((GO_AWAY, 1)));
            }
            None => assert!(!matches!(ended, Err(Error::Protocol(_))), "{ended:?}"),
        }
        drop((self.open, self.session));
        let stats = self.pool.stats();
        assert_eq!((stats.in_use_buffers, stats.beyond_cap_buffers), (0, 0));
    }
}

/// What the peer did wrong, if the model says so.
type Wrong = Option<Violation>;

#[test]
fn yamux() {
    let runtime = crate::runtime::paused();
    bolero::check!(name = "yamux").with_iterations(FEW).for_each(|input: &[u8]| {
        let _guard = runtime.enter();
        let mut choices = Choices::new(input);
        let mut run = Run::new();
        while !choices.are_over() && run.model.violation.is_none() && !run.model.is_over() {
            match choices.below(8) {
                0..=3 => run.peer_sends(&mut choices),
                4..=6 => run.application(&mut choices),
                _ => run.wire.limit(choices.below(100_000)),
            }
            if choices.below(4) != 3 {
                run.wire.cut(1 + choices.below(100_000));
                run.settle();
            }
        }
        run.wind_up();
    });
}
