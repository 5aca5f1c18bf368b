//! A whole client and a whole server, and somebody on the path between them who delays, changes, adds, drops and cuts off. What
//! holds whatever they do: who is told that the handshake is done was in the same handshake as the peer; what is read is the
//! beginning of what was written; an end that is told is the writer's; and nothing is left behind. Who only delays harms nobody.

use std::collections::VecDeque;
use std::pin::Pin;

use alts::connect::HandshakeFuture;
use alts::handshaker::identity::Policy;
use alts::handshaker::{self, AlertCode, HandshakeLimits};
use alts::pool::BufferPool;
use alts::{AltsStream, Error};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::FEW;
use crate::choices::Choices;
use crate::edits::edit;
use crate::runtime::{block_on, parties};
use crate::support::polling::now;
use crate::support::wire::{Control, Wire, wires};
use crate::support::{assert_nothing_out, settings};

enum State {
    Handshaking(HandshakeFuture<Wire>),
    Done(AltsStream<Wire>),
    Failed(Error),
}

#[expect(clippy::struct_excessive_bools, reason = "what has happened is independent of each other")]
struct Side {
    state: State,
    control: Control,
    /// The other end of its wire, which nobody reads.
    _far: Wire,
    /// What it has sent, as far as the path knows, and what of it is not delivered.
    sent: Vec<u8>,
    held: VecDeque<u8>,
    /// What was delivered to it.
    received: Vec<u8>,
    cut_off: bool,
    written: Vec<u8>,
    read: Vec<u8>,
    shutting: bool,
    shut: bool,
    ended: bool,
}

impl Side {
    fn new(begin: impl FnOnce(Wire) -> HandshakeFuture<Wire>) -> Self {
        let ((wire, control), (far, _)) = wires(usize::MAX);
        Self {
            state: State::Handshaking(begin(wire)),
            control,
            _far: far,
            sent: Vec::new(),
            held: VecDeque::new(),
            received: Vec::new(),
            cut_off: false,
            written: Vec::new(),
            read: Vec::new(),
            shutting: false,
            shut: false,
            ended: false,
        }
    }

    /// One turn; whether its handshake is done now.
    fn turn(&mut self) -> bool {
        let State::Handshaking(handshake) = &mut self.state else { return false };
        let Some(result) = now(|cx| Pin::new(handshake).poll(cx)) else { return false };
        let done = result.is_ok();
        self.state = result.map_or_else(State::Failed, State::Done);
        done
    }

    /// Takes what it sends onto the path.
    fn collect(&mut self) {
        let bytes = self.control.intercept();
        self.sent.extend(&bytes);
        self.held.extend(bytes);
    }

    fn fail(&mut self, error: std::io::Error) {
        self.state = State::Failed(Error::from(error));
    }

    fn write(&mut self, bytes: &[u8]) {
        let State::Done(stream) = &mut self.state else { return };
        match now(|cx| Pin::new(&mut *stream).poll_write(cx, bytes)) {
            Some(Ok(count)) => {
                assert!(!self.shutting);
                self.written.extend(&bytes[..count]);
            }
            Some(Err(error)) if Error::of(&error) == Some(&Error::WriteAfterShutdown) => {
                assert!(self.shutting);
            }
            // Perhaps that the server has refused this side, which counts for more.
            Some(Err(error)) => self.fail(error),
            None => panic!("the path takes everything"),
        }
    }

    fn shutdown(&mut self) {
        let State::Done(stream) = &mut self.state else { return };
        self.shutting = true;
        match now(|cx| Pin::new(&mut *stream).poll_shutdown(cx)) {
            Some(Ok(())) => self.shut = true,
            Some(Err(error)) => self.fail(error),
            None => panic!("the path takes everything"),
        }
    }

    /// Whether there was something to read.
    fn read(&mut self, room: usize) -> bool {
        let State::Done(stream) = &mut self.state else { return false };
        let mut bytes = vec![0; room];
        let mut buf = ReadBuf::new(&mut bytes);
        match now(|cx| Pin::new(&mut *stream).poll_read(cx, &mut buf)) {
            Some(Ok(())) => {
                self.ended |= buf.filled().is_empty();
                assert!(!self.ended || buf.filled().is_empty(), "bytes after the end");
                self.read.extend(buf.filled());
                !buf.filled().is_empty()
            }
            Some(Err(error)) => {
                let mut again = ReadBuf::new(&mut bytes);
                let again = now(|cx| Pin::new(&mut *stream).poll_read(cx, &mut again));
                let again = again.unwrap().unwrap_err();
                assert_eq!(Error::of(&again), Error::of(&error), "the first error repeats");
                self.fail(error);
                true
            }
            None => false,
        }
    }
}

/// Where the first frame ends, and the second.
fn lengths(sent: &[u8]) -> [usize; 2] {
    let mut at = 0;
    [(); 2].map(|()| {
        if let Some(length) = sent.get(at..).and_then(|rest| rest.first_chunk()) {
            at += 4 + u32::from_le_bytes(*length) as usize;
        }
        at
    })
}

struct Handshakes {
    /// The client first.
    sides: [Side; 2],
    pool: BufferPool,
    limits: HandshakeLimits,
    /// The server does not let this client in.
    refuses: bool,
}

impl Handshakes {
    fn new(choices: &mut Choices<'_>) -> Self {
        let pool = BufferPool::new();
        let write_batch = choices.pick(&[256 << 10, 1, 5_000]);
        let settings = settings(&pool, |settings| settings.stream.write_batch = write_batch);
        let limits = settings.limits.clone();
        let refuses = choices.one_in(8);
        let parties = parties();
        let acceptor = if refuses {
            let nobody = Policy::from_rules(["spiffe://dev.local/nobody"]).unwrap();
            let handshaker =
                handshaker::LocalHandshaker::builder(parties.server.clone()).client_policy(nobody);
            alts::Acceptor::with_settings(handshaker.build(), settings.clone())
        } else {
            parties.acceptor(settings.clone())
        };
        let connector = parties.connector(settings);
        let sides =
            [Side::new(|wire| connector.connect(wire)), Side::new(|wire| acceptor.accept(wire))];
        Self { sides, pool, limits, refuses }
    }

    /// How much of what `to` got is what its peer has sent.
    fn genuine(&self, to: usize) -> usize {
        let (sent, received) = (&self.sides[1 - to].sent, &self.sides[to].received);
        sent.iter().zip(received).take_while(|(sent, received)| sent == received).count()
    }

    fn is_clean(&self, to: usize) -> bool {
        self.genuine(to) == self.sides[to].received.len()
    }

    fn turn(&mut self, at: usize) {
        let done = self.sides[at].turn();
        self.sides[at].collect();
        if !done {
            return;
        }
        // The server's two messages, and one or both of the client's.
        let [client, server] = self.sides.each_ref().map(|side| lengths(&side.sent));
        let seen = if at == 0 { client[0] } else { client[1] };
        assert!(self.genuine(0) >= server[1] && self.genuine(1) >= seen, "{at} was deceived");
        assert!(at == 0 || !self.refuses);
    }

    fn deliver(&mut self, to: usize, count: usize) {
        let bytes: Vec<u8> = self.sides[1 - to].held.drain(..count).collect();
        let side = &mut self.sides[to];
        if !side.cut_off {
            side.control.inject(&bytes);
            side.received.extend(bytes);
        }
    }

    fn act(&mut self, choices: &mut Choices<'_>) {
        let at = choices.below(2);
        match choices.below(16) {
            0..4 => {
                self.turn(at);
                let held = self.sides[1 - at].held.len();
                self.deliver(at, held);
                self.turn(at);
            }
            4..6 => {
                let count = choices.below(self.sides[1 - at].held.len() + 1);
                self.deliver(at, count);
            }
            6 => self.turn(at),
            7 => {
                let len = choices.below(2_000);
                let bytes = vec![choices.byte(); len];
                self.sides[at].write(&bytes);
            }
            8 | 9 => drop(self.sides[at].read(1 + choices.below(3_000))),
            10 => self.sides[at].shutdown(),
            11 | 12 => {
                let held = &mut self.sides[at].held;
                let mut bytes: Vec<u8> = held.drain(..).collect();
                edit(choices, &mut bytes);
                held.extend(bytes);
            }
            13 => {
                let count = 1 + choices.below(60);
                self.sides[at].held.extend(choices.bytes(count));
            }
            14 if choices.one_in(4) => {
                self.sides[at].cut_off = true;
                self.sides[at].control.end_incoming();
            }
            _ => drop(self.sides[at].held.pop_front()),
        }
        self.sides[at].collect();
        self.check(at);
    }

    fn check(&self, at: usize) {
        let (side, peer) = (&self.sides[at], &self.sides[1 - at]);
        assert!(peer.written.starts_with(&side.read), "bytes that nobody wrote");
        if side.ended {
            assert!(peer.shutting && side.read == peer.written, "an end that nobody made");
        }
        let harmed = !self.is_clean(0) || !self.is_clean(1) || side.cut_off || peer.cut_off;
        if let State::Failed(error) = &side.state
            && !harmed
        {
            match error {
                Error::Handshake(handshaker::Error::Denied { .. }) => {
                    assert!(self.refuses && at == 1);
                }
                Error::Handshake(handshaker::Error::Alert { code, sealed: true, .. }) => {
                    assert!(self.refuses && at == 0 && *code == AlertCode::AccessDenied);
                }
                other => panic!("nobody did any harm: {other:?}"),
            }
        }
    }

    /// If nobody was harmed so far, nobody will be: everything arrives.
    fn settle(&mut self) {
        for _ in 0..6 {
            for at in 0..2 {
                let held = self.sides[1 - at].held.len();
                self.deliver(at, held);
                self.turn(at);
                while self.sides[at].read(4_000) {}
                self.sides[at].shutdown();
                self.sides[at].collect();
                self.check(at);
            }
        }
        let harmed = self.sides.iter().any(|side| side.cut_off);
        let whole = |to: usize| self.sides[to].received == self.sides[1 - to].sent;
        if harmed || !whole(0) || !whole(1) || self.refuses {
            return;
        }
        for at in 0..2 {
            let side = &self.sides[at];
            assert!(side.shut && side.ended && side.read == self.sides[1 - at].written);
        }
    }
}

fn run(choices: &mut Choices<'_>) {
    let mut handshakes = Handshakes::new(choices);
    while !choices.are_over() {
        handshakes.act(choices);
    }
    handshakes.settle();
    let Handshakes { sides, pool, limits, .. } = handshakes;
    drop(sides);
    assert_nothing_out(&pool);
    assert_eq!(limits.half_open(), 0);
}

#[test]
fn path() {
    bolero::check!(name = "path")
        .with_iterations(FEW)
        .with_max_len(1_000)
        .for_each(|input: &[u8]| block_on(async { run(&mut Choices::new(input)) }));
}
