//! The same records and handshakes on a mio event loop.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod support;

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use alts::connect::{MidHandshake, Progress, Settings};
use alts::handshaker::{AlertCode, Error as HandshakeError};
use alts::pool::BufferPool;
use alts::ready::TryReadyReader;
use alts::{Acceptor, AltsStream, Connector, Error, Fault};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use support::tickets::{Tickets, named};
use support::{CLIENT, Parties, SERVER};

/// No test waits this long unless something is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// An event loop for one socket.
struct Turns {
    poll: Poll,
    events: Events,
}

impl Turns {
    fn of(socket: &mut TcpStream) -> Self {
        let poll = Poll::new().unwrap();
        let interest = Interest::READABLE | Interest::WRITABLE;
        poll.registry().register(socket, Token(0), interest).unwrap();
        Self { poll, events: Events::with_capacity(4) }
    }

    fn wait(&mut self) {
        self.poll.poll(&mut self.events, Some(PATIENCE)).unwrap();
        assert!(!self.events.is_empty(), "no event came");
    }

    fn finish(
        &mut self,
        mut handshake: MidHandshake<TcpStream>,
    ) -> Result<AltsStream<TcpStream>, Error> {
        loop {
            handshake = match handshake.advance()? {
                Progress::Done(stream) => return Ok(stream),
                Progress::Pending(handshake) => handshake,
            };
            self.wait();
        }
    }

    /// Repeats `attempt` until it does not block.
    fn until_done<T>(&mut self, mut attempt: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        loop {
            match attempt() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait(),
                result => return result,
            }
        }
    }
}

fn sockets() -> (TcpStream, TcpStream) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (far, _) = listener.accept().unwrap();
    for socket in [&near, &far] {
        socket.set_nonblocking(true).unwrap();
    }
    (TcpStream::from_std(near), TcpStream::from_std(far))
}

fn client(connector: &Connector, mut socket: TcpStream, message: &[u8]) -> Vec<u8> {
    let mut turns = Turns::of(&mut socket);
    let mut stream = turns.finish(connector.start(socket).unwrap()).unwrap();
    assert_eq!(stream.peer().name(), SERVER);
    let mut back = Vec::new();
    let mut sent = 0;
    let mut buffer = [0; 4096];
    // Writes and reads in turns: the other side echoes while this one still sends.
    while back.len() < message.len() {
        let mut blocked = true;
        if sent < message.len() {
            match stream.write(&message[sent..]) {
                Ok(count) => {
                    sent += count;
                    blocked = false;
                }
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        }
        match stream.read(&mut buffer) {
            Ok(count) => {
                assert!(count > 0, "the stream ended early");
                back.extend_from_slice(&buffer[..count]);
                blocked = false;
            }
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
        if blocked {
            turns.wait();
        }
    }
    turns.until_done(|| stream.try_close()).unwrap();
    assert_eq!(turns.until_done(|| stream.read(&mut buffer)).unwrap(), 0);
    assert!(stream.peer_closed_authenticated());
    back
}

fn echo(acceptor: &Acceptor, mut socket: TcpStream, pool: &BufferPool) {
    let mut turns = Turns::of(&mut socket);
    let mut stream = turns.finish(acceptor.start(socket).unwrap()).unwrap();
    assert_eq!(stream.peer().name(), CLIENT);
    while let Some(received) = turns.until_done(|| stream.try_read_on_ready(pool)).unwrap() {
        let mut rest = &received[..];
        while !rest.is_empty() {
            let count = turns.until_done(|| stream.write(rest)).unwrap();
            rest = &rest[count..];
        }
    }
    assert!(stream.peer_closed_authenticated());
    turns.until_done(|| stream.try_close()).unwrap();
    assert!(!stream.wants_write());
}

#[test]
fn an_echo_of_4_mib() {
    let parties = Parties::new();
    let pool = BufferPool::new();
    let mut settings = Settings::default();
    settings.pool = pool.clone();
    let acceptor = Acceptor::with_settings(parties.server_handshaker(), settings);
    let connector = Connector::new(parties.client_handshaker());
    let (near, far) = sockets();
    let message: Vec<u8> = (0..4_u32 << 20).map(|at| (at / 7) as u8).collect();
    thread::scope(|scope| {
        scope.spawn(|| echo(&acceptor, far, &pool));
        assert!(client(&connector, near, &message) == message);
    });
    let stats = pool.stats();
    assert_eq!((stats.in_use_buffers, stats.beyond_cap_buffers), (0, 0));
}

#[test]
fn connections_after_the_first_resume() {
    let (parties, tickets) = (Parties::new(), Tickets::new());
    let pool = BufferPool::new();
    let acceptor = Acceptor::with_settings(tickets.server(&parties), named(&pool));
    let connector = Connector::with_settings(tickets.client(&parties), named(&pool));
    for resumed in 0..3 {
        let (near, far) = sockets();
        thread::scope(|scope| {
            scope.spawn(|| echo(&acceptor, far, &pool));
            assert!(client(&connector, near, b"hello") == b"hello");
        });
        assert_eq!(tickets.resumed(), resumed);
    }
    assert_eq!(pool.stats().in_use_buffers, 0);
}

fn in_one_go<S: Read + Write>(handshake: MidHandshake<S>) -> AltsStream<S> {
    match handshake.advance().unwrap() {
        Progress::Done(stream) => stream,
        Progress::Pending(_) => panic!("it did not block"),
    }
}

/// Sockets that block do as well: each call then goes on to the end.
#[test]
fn connections_over_blocking_sockets_resume() {
    let (parties, tickets) = (Parties::new(), Tickets::new());
    let pool = BufferPool::new();
    let acceptor = Acceptor::with_settings(tickets.server(&parties), named(&pool));
    let connector = Connector::with_settings(tickets.client(&parties), named(&pool));
    for resumed in 0..3 {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (far, _) = listener.accept().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut stream = in_one_go(acceptor.start(far).unwrap());
                assert_eq!(stream.negotiated().resumed.is_some(), resumed > 0);
                let mut request = [0; 5];
                stream.read_exact(&mut request).unwrap();
                stream.write_all(&request).unwrap();
                stream.flush().unwrap();
            });
            let mut stream = in_one_go(connector.start(near).unwrap());
            assert_eq!(stream.negotiated().resumed.is_some(), resumed > 0);
            stream.write_all(b"hello").unwrap();
            stream.flush().unwrap();
            let mut answer = [0; 5];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"hello");
        });
        assert_eq!(tickets.resumed(), resumed);
    }
}

#[test]
fn a_bare_socket_takes_a_buffer_only_for_bytes() {
    let (mut near, mut far) = sockets();
    let mut turns = Turns::of(&mut near);
    let pool = BufferPool::new();
    let error = near.try_read_on_ready(&pool).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    assert_eq!(pool.stats().in_use_buffers, 0);
    far.write_all(b"bytes").unwrap();
    let received = turns.until_done(|| near.try_read_on_ready(&pool)).unwrap().unwrap();
    assert_eq!(&received[..], b"bytes");
    assert_eq!(pool.stats().in_use_buffers, 1);
    drop((received, far));
    assert!(turns.until_done(|| near.try_read_on_ready(&pool)).unwrap().is_none());
    assert_eq!(pool.stats().in_use_buffers, 0);
}

#[test]
fn a_socket_that_is_still_connecting() {
    let parties = Parties::new();
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let listener = TcpListener::bind(any).unwrap();
    let connector = Connector::new(parties.client_handshaker());
    let mut socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let mut turns = Turns::of(&mut socket);
    let acceptor = Acceptor::new(parties.server_handshaker());
    let handshake = connector.start(socket).unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut socket = loop {
                match listener.accept() {
                    Ok((socket, _)) => break socket,
                    Err(_) => thread::yield_now(),
                }
            };
            let mut turns = Turns::of(&mut socket);
            turns.finish(acceptor.start(socket).unwrap()).unwrap();
        });
        turns.finish(handshake).unwrap();
    });
}

#[test]
fn a_silent_peer_has_until_its_deadline() {
    let parties = Parties::new();
    let mut settings = Settings::default();
    settings.first_bytes_timeout = Duration::ZERO;
    let acceptor = Acceptor::with_settings(parties.server_handshaker(), settings);
    let (mut near, far) = sockets();
    let handshake = acceptor.start(far).unwrap();
    assert!(handshake.deadline() <= Instant::now());
    let error = handshake.advance().unwrap_err();
    assert_eq!(error.fault(), Fault::Limit);
    let Error::Handshake(HandshakeError::Limit { code: AlertCode::Timeout, .. }) = error else {
        panic!("{error:?}")
    };
    // The alert is in plaintext, since there are no keys.
    let mut turns = Turns::of(&mut near);
    let mut alert = [0; 64];
    let count = turns.until_done(|| near.read(&mut alert)).unwrap();
    assert_eq!(&alert[..count], [7, 0, 0, 0, 0x4F, 0, 0, 0, 0, 14, 0]);
}

#[test]
fn a_handshake_goes_on_at_the_cap() {
    let parties = Parties::new();
    let pool = BufferPool::builder().cap(33_280).build().unwrap();
    let mut settings = Settings::default();
    settings.pool = pool.clone();
    let acceptor = Acceptor::with_settings(parties.server_handshaker(), settings);
    let connector = Connector::new(parties.client_handshaker());
    let (mut near, mut far) = sockets();
    let (mut at_near, mut at_far) = (Turns::of(&mut near), Turns::of(&mut far));
    let taken = pool.take(32 << 10).unwrap();
    let (near, far) = thread::scope(|scope| {
        let far = scope.spawn(|| at_far.finish(acceptor.start(far).unwrap()));
        (at_near.finish(connector.start(near).unwrap()), far.join().unwrap())
    });
    assert_eq!(near.unwrap().peer().name(), SERVER);
    assert_eq!(far.unwrap().peer().name(), CLIENT);
    assert_eq!(pool.stats().beyond_cap_buffers, 0);
    drop(taken);
}

#[test]
fn a_stalled_part_gives_way_to_who_was_turned_away() {
    let parties = Parties::new();
    let pool = BufferPool::builder().cap(33_280).build().unwrap();
    let mut settings = Settings::default();
    settings.pool = pool.clone();
    settings.stream.stall_limit = Duration::ZERO;
    let acceptor = Acceptor::with_settings(parties.server_handshaker(), settings);
    let connector = Connector::new(parties.client_handshaker());
    let pair = || {
        let (mut near, mut far) = sockets();
        let (mut at_near, mut at_far) = (Turns::of(&mut near), Turns::of(&mut far));
        let (near, far) = thread::scope(|scope| {
            let far = scope.spawn(|| (at_far.finish(acceptor.start(far).unwrap()), at_far));
            (at_near.finish(connector.start(near).unwrap()), far.join().unwrap())
        });
        (near.unwrap(), far.0.unwrap(), far.1)
    };
    let (mut slow, mut holds_part, mut turns) = pair();
    let (mut quick, mut is_turned_away, mut other_turns) = pair();

    // Part of a record of 16 KiB, straight to the socket.
    let mut part = vec![0; 9_000];
    part[..8].copy_from_slice(&[0, 0x40, 0, 0, 6, 0, 0, 0]);
    slow.get_mut().write_all(&part).unwrap();
    let read = |stream: &mut AltsStream<TcpStream>| stream.try_read_on_ready(&pool);
    while pool.stats().in_use_buffers == 0 {
        turns.wait();
        assert_eq!(read(&mut holds_part).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }
    assert!(holds_part.stall_deadline().is_some());
    // Nobody wants the memory.
    assert_eq!(read(&mut holds_part).unwrap_err().kind(), io::ErrorKind::WouldBlock);

    quick.write_all(b"quick").unwrap();
    assert_eq!(read(&mut is_turned_away).unwrap_err().kind(), io::ErrorKind::ResourceBusy);
    let error = read(&mut holds_part).unwrap_err();
    assert_eq!(Error::of(&error), Some(&Error::Stalled));
    let received = other_turns.until_done(|| read(&mut is_turned_away)).unwrap().unwrap();
    assert_eq!(&received[..], b"quick");
    drop(received);
    assert_eq!(pool.stats().in_use_buffers, 0);
}
