//! The server: one thread, one event loop.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use alts::connect::{MidHandshake, Progress};
use alts::pool::{BufferPool, PooledBuf};
use alts::ready::TryReadyReader;
use alts::{Acceptor, AltsStream};
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};

/// Handshakes under way. While there are so many, further connections wait in the listener's queue. Each holds some KiB, and
/// is over at its deadline at the latest.
const MAX_HALF_OPEN: usize = 256;

/// Reads before the other connections get a turn: mio tells once that a socket is readable, so whoever has not read all of it
/// has to be called again without being told.
const READS_A_TURN: u32 = 4;

/// How long to wait when accepting fails because descriptors or memory have run out, which would fail again at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

const LISTENER: Token = Token(0);
const STOP: Token = Token(1);
const FIRST_CONNECTION: usize = 2;

pub(crate) struct Server {
    poll: Poll,
    acceptor: Acceptor,
    pool: BufferPool,
    listener: TcpListener,
    /// Whether the listener may have more connections.
    acceptable: bool,
    /// Set while accepting fails.
    accept_after: Option<Instant>,
    next_token: usize,
    half_open: HashMap<Token, HalfOpen>,
    connections: HashMap<Token, Connection>,
    /// Had their turn and could go on.
    unfinished: VecDeque<Token>,
    /// Found no buffer. No event tells when there is one again.
    starved: VecDeque<Token>,
    stop: Arc<AtomicBool>,
    summary: Summary,
}

/// What happened, in numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Summary {
    /// Handshakes that succeeded.
    pub(crate) accepted: u64,
    /// Handshakes that did not.
    pub(crate) refused: u64,
    /// Bytes sent back.
    pub(crate) echoed: u64,
    /// Times that somebody found the pool at its cap.
    pub(crate) starved: u64,
}

struct HalfOpen {
    handshake: MidHandshake<TcpStream>,
    from: SocketAddr,
}

struct Connection {
    stream: AltsStream<TcpStream>,
    from: SocketAddr,
    /// Received and not yet taken by the stream.
    unsent: Option<PooledBuf>,
    /// The client has ended its direction.
    ended: bool,
    echoed: u64,
}

/// How a turn ended.
enum Turn {
    /// Until the next event.
    Waits,
    /// Others are to have a turn.
    Unfinished,
    /// Until there is a buffer.
    Starved,
    Over,
}

/// Ends a [`Server`] from another thread.
pub(crate) struct Stopper {
    stop: Arc<AtomicBool>,
    waker: Waker,
}

impl Stopper {
    pub(crate) fn stop(&self) -> io::Result<()> {
        self.stop.store(true, Ordering::Release);
        self.waker.wake()
    }
}

impl Server {
    pub(crate) fn bind(address: SocketAddr, acceptor: Acceptor) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut listener = TcpListener::bind(address)?;
        poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
        Ok(Self {
            poll,
            pool: acceptor.settings().pool.clone(),
            acceptor,
            listener,
            acceptable: false,
            accept_after: None,
            next_token: FIRST_CONNECTION,
            half_open: HashMap::new(),
            connections: HashMap::new(),
            unfinished: VecDeque::new(),
            starved: VecDeque::new(),
            stop: Arc::default(),
            summary: Summary::default(),
        })
    }

    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    pub(crate) fn stopper(&self) -> io::Result<Stopper> {
        let waker = Waker::new(self.poll.registry(), STOP)?;
        Ok(Stopper { stop: Arc::clone(&self.stop), waker })
    }

    /// Serves until it is stopped.
    pub(crate) fn run(&mut self) -> io::Result<Summary> {
        let mut events = Events::with_capacity(1024);
        while !self.stop.load(Ordering::Acquire) {
            match self.poll.poll(&mut events, self.patience()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result?,
            }
            for token in events.iter().map(Event::token) {
                match token {
                    LISTENER => self.acceptable = true,
                    STOP => {}
                    connection => self.turn(connection),
                }
            }
            for _ in 0..self.unfinished.len() {
                self.unfinished.pop_front().into_iter().for_each(|token| self.turn(token));
            }
            // Buffers come back in turns only. If they find none again, they are in the queue again, in the same order.
            for _ in 0..self.starved.len() {
                self.starved.pop_front().into_iter().for_each(|token| self.turn(token));
            }
            self.expire();
            self.accept();
        }
        Ok(self.summary)
    }

    /// How long the loop may wait for an event.
    fn patience(&self) -> Option<Duration> {
        if !self.unfinished.is_empty() {
            return Some(Duration::ZERO);
        }
        let deadlines = self.half_open.values().map(|half_open| half_open.handshake.deadline());
        // While there are too many handshakes, only the end of one lets another begin.
        let accept_after = self.accept_after.filter(|_| self.half_open.len() < MAX_HALF_OPEN);
        let stalls = self.connections.values().filter_map(|one| one.stream.stall_deadline());
        let stalls = stalls.filter(|_| !self.starved.is_empty());
        let next = deadlines.chain(accept_after).chain(stalls).min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    fn accept(&mut self) {
        if self.accept_after.is_some_and(|after| Instant::now() < after) {
            return;
        }
        while self.acceptable && self.half_open.len() < MAX_HALF_OPEN {
            match self.listener.accept() {
                Ok((socket, from)) => {
                    self.accept_after = None;
                    if let Err(error) = self.begin(socket, from) {
                        tracing::warn!(%from, "cannot begin a handshake: {error}");
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.accept_after = None;
                    self.acceptable = false;
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    if self.accept_after.is_none() {
                        tracing::error!("cannot accept: {error}; trying again until it works");
                    }
                    self.accept_after = Some(Instant::now() + ACCEPT_PAUSE);
                    return;
                }
            }
        }
    }

    fn begin(&mut self, mut socket: TcpStream, from: SocketAddr) -> io::Result<()> {
        // A record is of no use to the peer until all of it is there.
        socket.set_nodelay(self.acceptor.settings().nodelay)?;
        let token = Token(self.next_token);
        self.next_token += 1;
        // Both directions once and for all: an event only says that it is worth another call.
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut socket, token, interest)?;
        let handshake = self.acceptor.start(socket)?;
        self.half_open.insert(token, HalfOpen { handshake, from });
        Ok(())
    }

    /// Does what can be done for one connection.
    fn turn(&mut self, token: Token) {
        if let Some(HalfOpen { handshake, from }) = self.half_open.remove(&token) {
            match handshake.advance() {
                Ok(Progress::Pending(handshake)) => {
                    self.half_open.insert(token, HalfOpen { handshake, from });
                    return;
                }
                Ok(Progress::Done(stream)) => {
                    tracing::info!(%from, peer = stream.peer().name(), "connected");
                    self.summary.accepted += 1;
                    let connection =
                        Connection { stream, from, unsent: None, ended: false, echoed: 0 };
                    // What came with the end of the handshake causes no event.
                    self.connections.insert(token, connection);
                }
                Err(error) => {
                    tracing::warn!(%from, fault = ?error.fault(), "{error}");
                    self.summary.refused += 1;
                    return;
                }
            }
        }
        // Events may come late, for connections that are gone.
        let Some(connection) = self.connections.get_mut(&token) else { return };
        let from = connection.from;
        match connection.echo(&self.pool) {
            Ok(Turn::Waits) => return,
            Ok(Turn::Unfinished) => return self.unfinished.push_back(token),
            Ok(Turn::Starved) => return self.starve(token),
            Ok(Turn::Over) => tracing::info!(%from, bytes = connection.echoed, "closed"),
            Err(error) => tracing::warn!(%from, "{error}"),
        }
        self.summary.echoed += connection.echoed;
        self.connections.remove(&token);
    }

    fn starve(&mut self, token: Token) {
        self.summary.starved += 1;
        if !self.starved.contains(&token) {
            self.starved.push_back(token);
        }
    }

    /// Ends handshakes that take too long, and connections on which part of a record takes memory that others need. Both
    /// notice it themselves when they are called.
    fn expire(&mut self) {
        let now = Instant::now();
        let late = |(token, half_open): (&Token, &HalfOpen)| {
            (half_open.handshake.deadline() <= now).then_some(*token)
        };
        let mut due: Vec<Token> = self.half_open.iter().filter_map(late).collect();
        if !self.starved.is_empty() {
            let stalled = |(token, connection): (&Token, &Connection)| {
                let deadline = connection.stream.stall_deadline()?;
                (deadline <= now).then_some(*token)
            };
            due.extend(self.connections.iter().filter_map(stalled));
        }
        for token in due {
            self.turn(token);
        }
    }
}

impl Connection {
    /// Sends back what comes. Reads only when all that was read before is with the kernel: a client that does not read is
    /// not read from, and holds one batch at most.
    fn echo(&mut self, pool: &BufferPool) -> io::Result<Turn> {
        for _ in 0..READS_A_TURN {
            while let Some(unsent) = &mut self.unsent {
                match self.stream.write(unsent) {
                    Ok(count) => {
                        unsent.advance(count);
                        self.echoed += count as u64;
                    }
                    Err(error) => return waits(error),
                }
                if unsent.is_empty() {
                    self.unsent = None;
                }
            }
            if self.stream.wants_write()
                && let Err(error) = self.stream.flush()
            {
                return waits(error);
            }
            if self.ended {
                return match self.stream.try_close() {
                    Ok(()) => {
                        self.stream.get_ref().shutdown(Shutdown::Write)?;
                        Ok(Turn::Over)
                    }
                    Err(error) => waits(error),
                };
            }
            match self.stream.try_read_on_ready(pool) {
                Ok(Some(received)) => self.unsent = Some(received),
                Ok(None) => self.ended = true,
                Err(error) => return waits(error),
            }
        }
        Ok(Turn::Unfinished)
    }
}

/// Tells apart what passes and what does not.
fn waits(error: io::Error) -> io::Result<Turn> {
    match error.kind() {
        io::ErrorKind::WouldBlock => Ok(Turn::Waits),
        io::ErrorKind::ResourceBusy => Ok(Turn::Starved),
        _ => Err(error),
    }
}

/// Whether it is over with the connection that could not be accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
