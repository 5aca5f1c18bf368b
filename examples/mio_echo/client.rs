//! Clients on an event loop: each sends data, has it back, and closes.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use alts::connect::{MidHandshake, Progress};
use alts::pool::BufferPool;
use alts::ready::TryReadyReader;
use alts::{AltsStream, Connector};
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

/// How long nothing may happen at all before the clients give up.
const PATIENCE: Duration = Duration::from_secs(20);

/// How much one client hands to its stream at a time, in bytes.
const CHUNK: usize = 64 << 10;

/// The data repeats after this many bytes: a prime, so that no record or buffer is like the one before.
const PERIOD: usize = 251;

/// What became of one client.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// Who the server proved to be.
    pub(crate) server: String,
    /// Whether the server announced the end.
    pub(crate) authenticated_end: bool,
}

/// Runs clients, each with `size` bytes, until all have had them back.
pub(crate) fn run(
    connector: &Connector,
    to: SocketAddr,
    clients: usize,
    size: usize,
) -> io::Result<Vec<Outcome>> {
    let mut poll = Poll::new()?;
    let mut outcomes = Vec::new();
    let mut running = Vec::new();
    for number in 0..clients {
        running.push(Client::start(&poll, Token(number), connector, to, size)?);
    }
    let buffers = connector.settings().pool.clone();
    let mut events = Events::with_capacity(1024);
    while outcomes.len() < clients {
        wait(&mut poll, &mut events)?;
        for Token(number) in events.iter().map(Event::token) {
            outcomes.extend(running[number].go_on(&buffers)?);
        }
    }
    Ok(outcomes)
}

/// Runs one client that does not read before `quiet` has passed without its being able to send more. Also answers how much it
/// had sent by then.
pub(crate) fn run_without_reading(
    connector: &Connector,
    to: SocketAddr,
    size: usize,
    quiet: Duration,
) -> io::Result<(Outcome, usize)> {
    let mut poll = Poll::new()?;
    let mut client = Client::start(&poll, Token(0), connector, to, size)?;
    client.work.reads = false;
    let buffers = connector.settings().pool.clone();
    let mut events = Events::with_capacity(16);
    let mut stuck_at = None;
    loop {
        let patience = if client.work.reads { PATIENCE } else { quiet };
        poll.poll(&mut events, Some(patience)).or_else(unless_interrupted)?;
        if events.is_empty() && !client.work.reads {
            stuck_at = Some(client.work.sent);
            client.work.reads = true;
        } else if events.is_empty() {
            return Err(nothing_happens());
        }
        if let Some(outcome) = client.go_on(&buffers)? {
            return Ok((outcome, stuck_at.unwrap_or(size)));
        }
    }
}

fn wait(poll: &mut Poll, events: &mut Events) -> io::Result<()> {
    poll.poll(events, Some(PATIENCE)).or_else(unless_interrupted)?;
    if events.is_empty() {
        return Err(nothing_happens());
    }
    Ok(())
}

fn nothing_happens() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "nothing happens any more")
}

fn unless_interrupted(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) }
}

struct Client {
    /// `None` when it is over.
    state: Option<State>,
    work: Work,
}

enum State {
    Handshaking(MidHandshake<TcpStream>),
    Open(AltsStream<TcpStream>),
}

/// How far a client is.
struct Work {
    size: usize,
    sent: usize,
    received: usize,
    closed: bool,
    reads: bool,
}

impl Client {
    /// Begins to connect.
    fn start(
        poll: &Poll,
        token: Token,
        connector: &Connector,
        to: SocketAddr,
        size: usize,
    ) -> io::Result<Self> {
        let mut socket = TcpStream::connect(to)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(&mut socket, token, interest)?;
        let state = Some(State::Handshaking(connector.start(socket)?));
        let work = Work { size, sent: 0, received: 0, closed: false, reads: true };
        Ok(Self { state, work })
    }

    /// Does what can be done now. Answers once, at the end.
    fn go_on(&mut self, buffers: &BufferPool) -> io::Result<Option<Outcome>> {
        let mut stream = match self.state.take() {
            Some(State::Open(stream)) => stream,
            Some(State::Handshaking(handshake)) => match handshake.advance()? {
                Progress::Done(stream) => stream,
                Progress::Pending(handshake) => {
                    self.state = Some(State::Handshaking(handshake));
                    return Ok(None);
                }
            },
            None => return Ok(None),
        };
        let work = &mut self.work;
        until_blocked(work.send(&mut stream))?;
        if work.reads && until_blocked(work.receive(&mut stream, buffers))?.is_some() {
            return Ok(Some(Outcome {
                server: stream.peer().name().to_owned(),
                authenticated_end: stream.peer_closed_authenticated(),
            }));
        }
        self.state = Some(State::Open(stream));
        Ok(None)
    }
}

impl Work {
    /// Sends all there is, then the end.
    fn send(&mut self, stream: &mut AltsStream<TcpStream>) -> io::Result<()> {
        while self.sent < self.size {
            let rest = self.size - self.sent;
            let chunk: Vec<u8> = pattern(self.sent).take(rest.min(CHUNK)).collect();
            self.sent += stream.write(&chunk)?;
        }
        if !self.closed {
            stream.try_close()?;
            stream.get_ref().shutdown(Shutdown::Write)?;
            self.closed = true;
        }
        Ok(())
    }

    /// Receives until the end, and compares.
    fn receive(&mut self, stream: &mut AltsStream<TcpStream>, pool: &BufferPool) -> io::Result<()> {
        while let Some(received) = stream.try_read_on_ready(pool)? {
            if !received.iter().copied().eq(pattern(self.received).take(received.len())) {
                return Err(invalid("the echo differs from what was sent"));
            }
            self.received += received.len();
        }
        if self.received != self.size {
            return Err(invalid("the echo has another length than what was sent"));
        }
        Ok(())
    }
}

/// The data from `start` on.
fn pattern(start: usize) -> impl Iterator<Item = u8> {
    (0..PERIOD as u8).cycle().skip(start % PERIOD)
}

fn invalid(fault: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, fault)
}

/// `None` where the socket said that it is enough for now.
fn until_blocked<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        result => result.map(Some),
    }
}
