//! A handshaker from outside both packages makes connections.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod support;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use alts::connect::Progress;
use alts::handshaker::identity::PeerIdentity;
use alts::handshaker::{
    Error, HandshakeOptions, HandshakeResult, HandshakeSession, Handshaker, KeyData,
    LocalHandshaker, RecordProtocol, Role, Step,
};
use alts::pool::BufferPool;
use alts::{Acceptor, Connector, Error as ConnectionError};
use support::by_hand::{self, crypters};
use support::tickets::{Tickets, named};
use support::wire::wires;
use support::{Parties, SERVER, assert_nothing_out};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

/// Both sides were given a key, and tell each other their names. (It authenticates nobody.)
#[derive(Clone, Debug)]
struct Agreed {
    name: &'static str,
    key: Vec<u8>,
    says: Arc<Mutex<Says>>,
}

/// What the next handshake says beside the peer's name.
#[derive(Clone, Debug, Default)]
struct Says {
    local: &'static str,
    application_protocol: &'static str,
    max_frame_size: u32,
    close_notify: bool,
    rpc_minor: u32,
}

impl Agreed {
    fn new(name: &'static str, key: Vec<u8>) -> Self {
        Self { name, key, says: Arc::default() }
    }
}

#[derive(Debug)]
struct Greeting {
    agreed: Agreed,
    sent: bool,
    received: Vec<u8>,
}

const NAME_LEN: usize = 8;

impl Handshaker for Agreed {
    fn start(
        &self,
        _role: Role,
        _options: &HandshakeOptions,
    ) -> Result<Box<dyn HandshakeSession>, Error> {
        Ok(Box::new(Greeting { agreed: self.clone(), sent: false, received: Vec::new() }))
    }
}

impl HandshakeSession for Greeting {
    fn poll_step(
        &mut self,
        _cx: &mut Context<'_>,
        received: &[u8],
        _now: SystemTime,
        out: &mut Vec<u8>,
    ) -> Poll<Result<Step, Error>> {
        if !std::mem::replace(&mut self.sent, true) {
            out.extend_from_slice(self.agreed.name.as_bytes());
        }
        let consumed = received.len().min(NAME_LEN - self.received.len());
        self.received.extend_from_slice(&received[..consumed]);
        let result = (self.received.len() == NAME_LEN).then(|| {
            let peer = std::str::from_utf8(&self.received).unwrap();
            let peer = PeerIdentity::from_service(peer, BTreeMap::new());
            let keys = KeyData::new(self.agreed.key.clone());
            let mut result = HandshakeResult::new(RecordProtocol::Aes128Gcm, keys, peer);
            let says = self.agreed.says.lock().unwrap();
            says.application_protocol.clone_into(&mut result.application_protocol);
            result.peer_max_frame_size = says.max_frame_size;
            result.close_notify = says.close_notify;
            result.peer_rpc_versions.max.minor += says.rpc_minor;
            self.agreed.name.clone_into(&mut result.local);
            result.local.push_str(says.local);
            result
        });
        Poll::Ready(Ok(Step { consumed, result }))
    }
}

#[tokio::test]
async fn streams_are_made_of_its_results() {
    let key = vec![7; RecordProtocol::Aes128Gcm.key_len()];
    let acceptor = Acceptor::new(Agreed::new("cellar-1", key.clone()));
    let connector = Connector::new(Agreed::new("attic-12", key));
    let (near, far) = UnixStream::pair().unwrap();
    let (near, far) = tokio::join!(connector.connect(near), acceptor.accept(far));
    let (mut near, mut far) = (near.unwrap(), far.unwrap());
    assert_eq!((near.peer().name(), far.peer().name()), ("cellar-1", "attic-12"));
    assert_eq!(near.negotiated().local, "attic-12");
    near.write_all(b"hello").await.unwrap();
    let mut received = [0; 5];
    far.read_exact(&mut received).await.unwrap();
    assert_eq!(&received, b"hello");
}

#[tokio::test]
async fn keys_that_are_too_short_are_refused() {
    let agreed = Agreed::new("cellar-1", vec![7; 15]);
    let (near, far) = UnixStream::pair().unwrap();
    let (acceptor, connector) = (Acceptor::new(agreed.clone()), Connector::new(agreed));
    let (near, far) = tokio::join!(connector.connect(near), acceptor.accept(far));
    for error in [near.unwrap_err(), far.unwrap_err()] {
        assert!(matches!(error, ConnectionError::Record(_)), "{error:?}");
    }
}

/// It ends its handshakes while they wait for the peer.
#[derive(Clone, Debug, Default)]
struct Ending(Arc<tokio::sync::Notify>);

struct EndingSession(Pin<Box<dyn Future<Output = ()> + Send>>);

impl std::fmt::Debug for EndingSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EndingSession")
    }
}

impl Handshaker for Ending {
    fn start(
        &self,
        _role: Role,
        _options: &HandshakeOptions,
    ) -> Result<Box<dyn HandshakeSession>, Error> {
        let ended = Arc::clone(&self.0);
        Ok(Box::new(EndingSession(Box::pin(async move { ended.notified().await }))))
    }
}

impl HandshakeSession for EndingSession {
    fn poll_step(
        &mut self,
        _cx: &mut Context<'_>,
        received: &[u8],
        _now: SystemTime,
        out: &mut Vec<u8>,
    ) -> Poll<Result<Step, Error>> {
        out.extend_from_slice(b"and you?");
        Poll::Ready(Ok(Step { consumed: received.len(), result: None }))
    }

    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        self.0.as_mut().poll(cx).map(|()| Error::Unavailable("no longer".into()))
    }
}

/// Not only when the peer speaks again.
#[tokio::test]
async fn a_handshake_that_its_handshaker_ends_fails_at_once() {
    let handshaker = Ending::default();
    let (acceptor, connector) =
        (Acceptor::new(handshaker.clone()), Connector::new(handshaker.clone()));
    for role in [Role::Client, Role::Server] {
        let (near, mut far) = UnixStream::pair().unwrap();
        let handshake = match role {
            Role::Client => connector.connect(near),
            Role::Server => acceptor.accept(near),
        };
        let handshake = tokio::spawn(handshake);
        // From its answer on it waits for more.
        far.write_all(b"how are you").await.unwrap();
        far.read_exact(&mut [0; 8]).await.unwrap();
        handshaker.0.notify_one();
        let error = handshake.await.unwrap().unwrap_err();
        let ConnectionError::Handshake(Error::Unavailable(reason)) = &error else {
            panic!("{error:?}")
        };
        assert_eq!(reason, "no longer");
    }
}

/// Connections share what they have in common, and nothing else.
#[tokio::test]
async fn what_one_connection_negotiated_is_not_anothers() {
    let key = vec![7; RecordProtocol::Aes128Gcm.key_len()];
    let handshaker = Agreed::new("cellar-1", key.clone());
    let says = Arc::clone(&handshaker.says);
    let acceptor = Acceptor::new(handshaker);
    let variants = [
        Says::default(),
        Says { local: "+", ..Says::default() },
        Says { application_protocol: "h2", ..Says::default() },
        Says { max_frame_size: 8_192, ..Says::default() },
        Says { close_notify: true, ..Says::default() },
        Says { rpc_minor: 1, ..Says::default() },
    ];
    let mut streams = Vec::new();
    // Twice, so that the second time all of them are remembered.
    for variant in variants.iter().chain(&variants) {
        variant.clone_into(&mut says.lock().unwrap());
        let connector = Connector::new(Agreed::new("attic-12", key.clone()));
        let (near, far) = UnixStream::pair().unwrap();
        let (near, far) = tokio::join!(connector.connect(near), acceptor.accept(far));
        streams.push((near.unwrap(), far.unwrap()));
    }
    for ((_, stream), says) in streams.iter().zip(variants.iter().chain(&variants)) {
        let negotiated = stream.negotiated();
        assert_eq!(negotiated.local, format!("cellar-1{}", says.local));
        assert_eq!(negotiated.application_protocol, says.application_protocol);
        assert_eq!(negotiated.peer_max_frame_size, says.max_frame_size);
        assert_eq!(negotiated.close_notify, says.close_notify);
        assert_eq!(negotiated.peer_rpc_versions.max.minor, 1 + says.rpc_minor);
    }
    let (first, second) = streams.split_at(variants.len());
    for ((_, first), (_, second)) in first.iter().zip(second) {
        assert!(std::ptr::eq(first.negotiated(), second.negotiated()), "held once");
    }
}

/// It keeps a client's result back until the ticket has come, as a service does that has the tickets itself.
#[derive(Debug)]
struct Waiting(LocalHandshaker);

#[derive(Debug)]
struct WaitingSession {
    inner: Box<dyn HandshakeSession>,
    held: Option<HandshakeResult>,
    ticket: Vec<u8>,
}

impl Handshaker for Waiting {
    fn start(
        &self,
        role: Role,
        options: &HandshakeOptions,
    ) -> Result<Box<dyn HandshakeSession>, Error> {
        let inner = self.0.start(role, options)?;
        Ok(Box::new(WaitingSession { inner, held: None, ticket: Vec::new() }))
    }
}

impl HandshakeSession for WaitingSession {
    fn poll_step(
        &mut self,
        cx: &mut Context<'_>,
        received: &[u8],
        now: SystemTime,
        out: &mut Vec<u8>,
    ) -> Poll<Result<Step, Error>> {
        let Some(held) = &self.held else {
            let mut step = ready!(self.inner.poll_step(cx, received, now, out))?;
            self.held = step.result.take_if(|result| {
                result.late_alert.as_ref().is_some_and(|late| late.awaits_ticket())
            });
            return Poll::Ready(Ok(step));
        };
        let late = held.late_alert.as_ref().unwrap();
        let mut consumed = 0;
        let is_whole = received.iter().any(|byte| {
            consumed += 1;
            self.ticket.push(*byte);
            let header = self.ticket.first_chunk().copied();
            header.and_then(|header| late.ticket_len(header)) == Some(self.ticket.len())
        });
        let mut result = self.held.take_if(|_| is_whole);
        if let Some(late) = result.as_mut().and_then(|result| result.late_alert.take()) {
            late.take_ticket(&self.ticket)?;
        }
        Poll::Ready(Ok(Step { consumed, result }))
    }
}

/// A server that accepts the client, up to all that it sends in one go: the ticket, and its first record.
fn last_segment(session: &mut dyn HandshakeSession, finish: &[u8]) -> Vec<u8> {
    let mut last = Vec::new();
    let result = by_hand::step(session, finish, &mut last).unwrap().result.unwrap();
    assert_eq!(last[4..8], [0x45, 0, 0, 0]);
    let (mut sealer, _) = crypters(&result, Role::Server);
    last.extend(by_hand::seal(&mut sealer, b"welcome"));
    last
}

#[tokio::test(start_paused = true)]
async fn a_record_in_the_segment_of_the_ticket_is_the_stream_s() {
    let pause = || tokio::time::sleep(Duration::from_millis(1));
    for piece in [usize::MAX, 1, 7, 8, 9, 100, 600] {
        let (parties, tickets, pool) = (Parties::new(), Tickets::new(), BufferPool::new());
        let settings = named(&pool);
        let mut session =
            tickets.server(&parties).start(Role::Server, &settings.handshake).unwrap();
        let ((wire, control), _far) = wires(usize::MAX);
        let connector = Connector::with_settings(Waiting(tickets.client(&parties)), settings);
        let connecting = tokio::spawn(async move { connector.connect(wire).await });
        let mut answer = Vec::new();
        pause().await;
        by_hand::step(&mut *session, &control.intercept(), &mut answer).unwrap();
        control.inject(&answer);
        pause().await;
        let last = last_segment(&mut *session, &control.intercept());
        assert!(!connecting.is_finished());
        for part in last.chunks(piece.min(last.len())) {
            control.inject(part);
            pause().await;
        }
        let mut stream = connecting.await.unwrap().unwrap();
        let mut first = [0; 7];
        stream.read_exact(&mut first).await.unwrap();
        assert_eq!(&first, b"welcome", "{piece}");
        assert_eq!(tickets.cache.len(), 1);
        drop(stream);
        assert_nothing_out(&pool);
    }
}

#[test]
fn a_record_in_the_segment_of_the_ticket_without_tokio() {
    use std::io::{Read, Write};
    let (parties, tickets, pool) = (Parties::new(), Tickets::new(), BufferPool::new());
    let settings = named(&pool);
    let mut session = tickets.server(&parties).start(Role::Server, &settings.handshake).unwrap();
    let (near, mut far) = std::os::unix::net::UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    let connector = Connector::with_settings(Waiting(tickets.client(&parties)), settings);
    let go_on = |progress| match progress {
        Progress::Pending(handshake) => handshake,
        Progress::Done(_) => panic!("it has no ticket yet"),
    };
    let mut bytes = [0; 16 << 10];
    let mut answer = Vec::new();
    let handshake = go_on(connector.start(near).unwrap().advance().unwrap());
    let len = far.read(&mut bytes).unwrap();
    by_hand::step(&mut *session, &bytes[..len], &mut answer).unwrap();
    far.write_all(&answer).unwrap();
    let handshake = go_on(handshake.advance().unwrap());
    let len = far.read(&mut bytes).unwrap();
    far.write_all(&last_segment(&mut *session, &bytes[..len])).unwrap();
    let Progress::Done(mut stream) = handshake.advance().unwrap() else {
        panic!("all of it is there")
    };
    assert_eq!(stream.peer().name(), SERVER);
    let mut first = [0; 7];
    stream.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"welcome");
    assert_eq!(tickets.cache.len(), 1);
}
