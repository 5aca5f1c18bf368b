//! Handshakes with peers that speak something else, nothing, too slowly, or go away.

use std::num::NonZeroU32;
use std::time::Duration;

use alts::connect::Settings;
use alts::handshaker::{
    self, AlertCode, ForeignProtocol, HandshakeLimits, HandshakeOptions, Handshaker, LimitOptions,
    Role,
};
use alts::pool::BufferPool;
use alts::{AltsStream, Error, Fault, Truncation};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;

use crate::read_until_error;
use crate::support::by_hand;
use crate::support::wire::{Control, Wire, wires};
use crate::support::{Parties, assert_nothing_out, settings, tcp_sockets};

const HTTP2_CLIENT: &[u8] =
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64";
const HTTP2_SERVER: &[u8] = &[0, 0, 18, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 128, 0, 4, 0, 1, 0, 0];
/// The beginning of a `ClientHello` of TLS 1.3, as OpenSSL sends it: record, handshake header, version, random.
const TLS_CLIENT: &[u8] = &[
    0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3, 0xcb, 0x34, 0xec, 0xb1, 0xe7, 0x81, 0x63, 0xba, 0x1c,
    0x38, 0xc6, 0xda, 0xcb, 0x19, 0x6a, 0x6d, 0xff, 0xa2, 0x1a, 0x8d, 0x99, 0x12, 0xec, 0x18, 0xa2,
    0xef,
];
/// What a TLS server answers to something that is not TLS.
const TLS_SERVER: &[u8] = &[0x15, 3, 3, 0, 2, 2, 10];
const CLEAR_ALERT_LEN: usize = 11;

/// The alert in plaintext with this code.
fn clear_alert(code: AlertCode) -> Vec<u8> {
    let [high, low] = code.number().to_be_bytes();
    vec![7, 0, 0, 0, 0x4F, 0, 0, 0, high, low, 0]
}

/// The outcome of a handshake of `role` with a peer that sends `bytes` over TCP, and what the peer gets after that.
async fn against(role: Role, bytes: &[u8]) -> (Error, Vec<u8>) {
    let parties = Parties::new();
    let pool = BufferPool::new();
    let (ours, mut peer) = tcp_sockets().await;
    let settings = settings(&pool, |_| ());
    let limits = settings.limits.clone();
    let handshake = match role {
        Role::Server => parties.acceptor(settings).accept(ours),
        Role::Client => parties.connector(settings).connect(ours),
    };
    let talk = async {
        if role == Role::Client {
            // Its first message, and then it waits.
            let mut offer = [0; 8];
            peer.read_exact(&mut offer).await.unwrap();
            let mut rest = vec![0; u32::from_le_bytes(*offer.first_chunk().unwrap()) as usize - 4];
            peer.read_exact(&mut rest).await.unwrap();
        }
        peer.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        // A reset is as good as an end: there may be bytes that nobody read.
        let _ = peer.read_to_end(&mut answer).await;
        answer
    };
    let (result, answer) = tokio::join!(handshake, talk);
    assert_nothing_out(&pool);
    assert_eq!(limits.half_open(), 0);
    (result.unwrap_err(), answer)
}

#[tokio::test]
async fn peers_that_speak_something_else() {
    use ForeignProtocol::{Http1, Http2, Proxy, Ssh, Text, Tls};
    for (role, bytes, protocol) in [
        (Role::Server, HTTP2_CLIENT, Http2),
        (Role::Server, TLS_CLIENT, Tls),
        (Role::Server, b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", Http1),
        (Role::Server, b"PROXY TCP4 192.0.2.1 192.0.2.2 49152 7000\r\n", Proxy),
        (Role::Server, b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x01", Proxy),
        (Role::Server, b"SSH-2.0-OpenSSH_9.9\r\n", Ssh),
        (Role::Server, b"HELO example.org\r\n", Text),
        (Role::Client, HTTP2_SERVER, Http2),
        (Role::Client, TLS_SERVER, Tls),
        (Role::Client, b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", Http1),
        (Role::Client, b"SSH-2.0-OpenSSH_9.9\r\n", Ssh),
        (Role::Client, b"220 mail.example.org ESMTP\r\n", Text),
    ] {
        let (error, answer) = against(role, bytes).await;
        assert_eq!(error, Error::Handshake(handshaker::Error::Foreign(protocol)));
        assert_eq!(error.fault(), Fault::Incompatible);
        assert_eq!(answer, b"", "what it could not understand");
        // There is nothing to wait for.
        let parties = Parties::new();
        let ((wire, control), (_peer, _)) = wires(usize::MAX);
        control.inject(bytes);
        let mut handshake = match role {
            Role::Server => parties.acceptor(Settings::default()).accept(wire),
            Role::Client => parties.connector(Settings::default()).connect(wire),
        };
        assert!(poll_once(&mut handshake).unwrap().is_err());
    }
}

/// A check of a port, which may reset the connection.
#[tokio::test]
async fn peers_that_connect_and_leave() {
    let parties = Parties::new();
    let acceptor = parties.acceptor(settings(&BufferPool::new(), |_| ()));
    for reset in [false, true] {
        let (near, far) = tcp_sockets().await;
        if reset {
            near.set_zero_linger().unwrap();
        }
        drop(near);
        let error = acceptor.accept(far).await.unwrap_err();
        assert_eq!(error, Error::Truncated { at: Truncation::BeforeHandshake });
    }
}

#[tokio::test]
async fn peers_that_send_garbage() {
    for role in [Role::Server, Role::Client] {
        for (bytes, code) in [
            (&[0; 64][..], AlertCode::DecodeError),
            (&[3, 0, 0, 0, 0x41, 0, 0, 0], AlertCode::DecodeError),
            (&[0xff; 64], AlertCode::TooLarge),
            (&[20, 0, 0, 0, 6, 0, 0, 0], AlertCode::UnexpectedMessage),
            (&[20, 0, 0, 0, 0x4E, 0, 0, 0], AlertCode::UnexpectedMessage),
            (&[20, 0, 0, 0, 0x44, 0, 0, 0], AlertCode::UnexpectedMessage),
        ] {
            let (error, answer) = against(role, bytes).await;
            let Error::Handshake(handshaker::Error::Peer { code: found, .. }) = &error else {
                panic!("{role:?}, {bytes:x?}: {error:?}");
            };
            assert_eq!(*found, code, "{role:?}, {bytes:x?}");
            assert_eq!(error.fault(), Fault::Peer);
            assert_eq!(answer, clear_alert(code));
        }
    }
}

/// An alert of the peer's is not answered.
#[tokio::test]
async fn peers_that_send_an_alert() {
    for role in [Role::Server, Role::Client] {
        let (error, answer) = against(role, &clear_alert(AlertCode::Overloaded)).await;
        let told = handshaker::Error::Alert {
            code: AlertCode::Overloaded,
            reason: String::new(),
            sealed: false,
        };
        assert_eq!(error, Error::Handshake(told));
        assert_eq!(answer, b"");
    }
}

// Time, which goes as fast as these tests like.

type Running = JoinHandle<Result<AltsStream<Wire>, Error>>;

struct Slow {
    running: Running,
    control: Control,
    pool: BufferPool,
    limits: HandshakeLimits,
    /// Must stay, or the stream ends.
    _peer: Wire,
    began: Instant,
}

fn begin(parties: &Parties, role: Role, change: impl FnOnce(&mut Settings)) -> Slow {
    let pool = BufferPool::new();
    let ((wire, control), (peer, _)) = wires(usize::MAX);
    let settings = settings(&pool, change);
    let limits = settings.limits.clone();
    let handshake = match role {
        Role::Server => parties.acceptor(settings).accept(wire),
        Role::Client => parties.connector(settings).connect(wire),
    };
    let running = tokio::spawn(handshake);
    Slow { running, control, pool, limits, _peer: peer, began: Instant::now() }
}

impl Slow {
    /// Awaits the failure for time, which comes so long after the beginning, and what the peer is told.
    async fn times_out(self, after: Duration) {
        let error = self.running.await.unwrap().unwrap_err();
        // And a moment for what the peer has under way.
        let took = self.began.elapsed();
        assert!(took >= after && took < after + Duration::from_millis(200), "{took:?}");
        let Error::Handshake(handshaker::Error::Limit { code, .. }) = &error else {
            panic!("{error:?}");
        };
        assert_eq!(*code, AlertCode::Timeout);
        assert_eq!(error.fault(), Fault::Limit);
        assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::TimedOut);
        let told = self.control.intercept();
        assert_eq!(told[told.len() - CLEAR_ALERT_LEN..], clear_alert(AlertCode::Timeout));
        assert_nothing_out(&self.pool);
        assert_eq!(self.limits.half_open(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn silent_peers_are_waited_for_a_short_time() {
    let parties = Parties::new();
    for role in [Role::Server, Role::Client] {
        for said in [0, 1, 7] {
            let slow = begin(&parties, role, |_| ());
            tokio::time::sleep(Duration::from_secs(1)).await;
            slow.control.inject(
                &[100, 0, 0, 0, if role == Role::Server { 0x41 } else { 0x42 }, 0, 0, 0][..said],
            );
            assert_nothing_out(&slow.pool);
            // A server may be busy with others, and it lets clients queue as long as a handshake may take.
            slow.times_out(Duration::from_secs(if role == Role::Server { 5 } else { 10 })).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn peers_that_dawdle_have_until_the_deadline() {
    let parties = Parties::new();
    for role in [Role::Server, Role::Client] {
        let slow = begin(&parties, role, |settings| {
            settings.handshake_timeout = Duration::from_secs(20);
            settings.first_bytes_timeout = Duration::from_secs(9);
        });
        let control = slow.control.clone();
        let dawdling = tokio::spawn(async move {
            let kind = if role == Role::Server { 0x41 } else { 0x42 };
            let mut message = vec![0xfc, 0x0f, 0, 0, kind, 0, 0, 0];
            message.resize(4_096, 0);
            for byte in message {
                control.inject(&[byte]);
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        });
        slow.times_out(Duration::from_secs(20)).await;
        dawdling.abort();
    }
}

/// The first bytes never get more time than there is for all.
#[tokio::test(start_paused = true)]
async fn the_deadline_is_the_deadline() {
    let parties = Parties::new();
    for role in [Role::Server, Role::Client] {
        let slow = begin(&parties, role, |settings| {
            settings.handshake_timeout = Duration::from_secs(3);
            settings.first_bytes_timeout = Duration::from_secs(60);
        });
        slow.times_out(Duration::from_secs(3)).await;
    }
}

/// A peer that does not take our bytes is no better than one that sends none. The alert cannot be delivered.
#[tokio::test(start_paused = true)]
async fn peers_that_do_not_read() {
    let parties = Parties::new();
    for role in [Role::Server, Role::Client] {
        let slow = begin(&parties, role, |_| ());
        slow.control.set_write_chunk(0);
        if role == Role::Server {
            let client = parties.client_handshaker();
            let mut session = client.start(Role::Client, &HandshakeOptions::default()).unwrap();
            let mut out = Vec::new();
            by_hand::step(&mut *session, &[], &mut out).unwrap();
            slow.control.inject(&out);
        }
        let error = slow.running.await.unwrap().unwrap_err();
        assert_eq!(error.fault(), Fault::Limit, "{error:?}");
        assert!(slow.began.elapsed() < Duration::from_secs(11));
        assert_eq!(slow.control.intercept(), b"");
        assert_nothing_out(&slow.pool);
        assert_eq!(slow.limits.half_open(), 0);
    }
}

/// Both messages of a client, or of a server, in a handshake with `role`, whose own go to it.
async fn whole_handshake(parties: &Parties, role: Role) -> (Vec<u8>, usize, Slow) {
    let slow = begin(parties, role, |_| ());
    let (client, server) = (parties.client_handshaker(), parties.server_handshaker());
    let mut options = HandshakeOptions::default();
    options.close_notify = true;
    let mut session = match role.peer() {
        Role::Client => client.start(Role::Client, &options),
        Role::Server => server.start(Role::Server, &options),
    }
    .unwrap();
    let pause = || tokio::time::sleep(Duration::from_millis(1));
    let mut out = Vec::new();
    if role == Role::Server {
        by_hand::step(&mut *session, &[], &mut out).unwrap();
        slow.control.inject(&out);
    }
    let first = out.len();
    pause().await;
    by_hand::step(&mut *session, &slow.control.intercept(), &mut out).unwrap();
    (out, first, slow)
}

/// A peer that goes away after any number of its bytes.
#[tokio::test(start_paused = true)]
async fn peers_that_close_at_any_stage() {
    let parties = Parties::new();
    for role in [Role::Server, Role::Client] {
        let (all, ..) = whole_handshake(&parties, role).await;
        let step = all.len() / 40;
        for len in (0..10).chain((10..all.len()).step_by(step)).chain([all.len() - 1]) {
            // The rest of this handshake is never sent.
            let (bytes, first, slow) = whole_handshake(&parties, role).await;
            let len = len.min(bytes.len() - 1);
            if len < first {
                // Too late: the first message was sent whole. Another handshake, cut in it.
                let cut = begin(&parties, role, |_| ());
                cut.control.inject(&bytes[..len]);
                cut.control.end_incoming();
                closed(cut, len == 0, false).await;
                slow.running.abort();
                continue;
            }
            slow.control.inject(&bytes[first..len]);
            slow.control.end_incoming();
            closed(slow, len == 0, false).await;
        }
        let (bytes, first, slow) = whole_handshake(&parties, role).await;
        slow.control.inject(&bytes[first..]);
        slow.control.end_incoming();
        closed(slow, false, true).await;
    }
}

async fn closed(slow: Slow, silent: bool, finished: bool) {
    let outcome = slow.running.await.unwrap();
    if finished {
        let (received, error) = read_until_error(&mut outcome.unwrap()).await;
        assert_eq!(received, b"");
        assert_eq!(error, Some(Error::Truncated { at: Truncation::MissingClose }));
    } else {
        let error = outcome.unwrap_err();
        let at = if silent { Truncation::BeforeHandshake } else { Truncation::Handshake };
        assert_eq!(error, Error::Truncated { at });
        assert_eq!(error.fault(), Fault::Peer);
    }
    assert!(slow.began.elapsed() < Duration::from_secs(1), "it does not wait for a deadline");
    assert_nothing_out(&slow.pool);
    assert_eq!(slow.limits.half_open(), 0);
}

// Crowds.

fn crowded(change: impl FnOnce(&mut LimitOptions)) -> HandshakeLimits {
    let mut options = LimitOptions::default();
    options.half_open = 2;
    options.queue = 1;
    change(&mut options);
    HandshakeLimits::new(options)
}

/// A `ClientInit` of 104 bytes begins like this.
const FIRST_HEADER: [u8; 8] = [100, 0, 0, 0, 0x41, 0, 0, 0];

#[tokio::test]
async fn too_many_at_once_are_told_so() {
    let parties = Parties::new();
    let pool = BufferPool::new();
    let limits = crowded(|_| ());
    let acceptor = parties.acceptor(settings(&pool, |settings| settings.limits = limits.clone()));
    let mut slow = Vec::new();
    // Two that do not go on, and one that would, but has to wait for them.
    for _ in 0..2 {
        let (mut peer, socket) = tcp_sockets().await;
        peer.write_all(&FIRST_HEADER).await.unwrap();
        slow.push((peer, tokio::spawn(acceptor.accept(socket))));
    }
    while limits.half_open() < 2 {
        tokio::task::yield_now().await;
    }
    let (near, far) = tcp_sockets().await;
    let connector = parties.connector(settings(&pool, |_| ()));
    let waiting_client = tokio::spawn(connector.connect(near));
    far.readable().await.unwrap();
    let mut waiting = acceptor.accept(far);
    // Polled once, it is in the queue.
    assert!(poll_once(&mut waiting).is_none());
    let waiting = tokio::spawn(waiting);

    for _ in 0..3 {
        let (near, far) = tcp_sockets().await;
        let (client, server) = tokio::join!(connector.connect(near), acceptor.accept(far));
        let error = server.unwrap_err();
        let Error::Handshake(handshaker::Error::Limit { code, .. }) = &error else {
            panic!("{error:?}")
        };
        assert_eq!((*code, error.fault()), (AlertCode::Overloaded, Fault::Limit));
        let told = handshaker::Error::Alert {
            code: AlertCode::Overloaded,
            reason: String::new(),
            sealed: false,
        };
        let error = client.unwrap_err();
        assert_eq!(error, Error::Handshake(told));
        assert_eq!(limits.half_open(), 2);
    }
    // A slow one leaves, and the queue moves on.
    let (peer, accepting) = slow.pop().unwrap();
    drop(peer);
    let error = accepting.await.unwrap().unwrap_err();
    assert_eq!(error, Error::Truncated { at: Truncation::Handshake });
    waiting.await.unwrap().unwrap();
    waiting_client.await.unwrap().unwrap();
    assert_eq!(limits.half_open(), 1);
    // Giving up a handshake makes room as well.
    let (_, accepting) = slow.pop().unwrap();
    accepting.abort();
    assert!(accepting.await.unwrap_err().is_cancelled());
    assert_eq!(limits.half_open(), 0);
    assert_nothing_out(&pool);
}

fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    crate::support::polling::now(|cx| std::pin::Pin::new(future).poll(cx))
}

#[tokio::test]
async fn one_source_cannot_keep_others_out() {
    let parties = Parties::new();
    let pool = BufferPool::new();
    let limits = crowded(|options| {
        options.half_open = 10;
        options.half_open_per_source = 1;
        options.queue = 0;
    });
    let acceptor = parties.acceptor(settings(&pool, |settings| settings.limits = limits.clone()));
    let connector = parties.connector(settings(&pool, |_| ()));
    let source = |text: &str| Some(text.parse().unwrap());
    let (mut slow, socket) = tcp_sockets().await;
    slow.write_all(&FIRST_HEADER).await.unwrap();
    let greedy = tokio::spawn(acceptor.accept_from(socket, source("192.0.2.1")));
    while limits.half_open() < 1 {
        tokio::task::yield_now().await;
    }
    for (from, admitted) in [("192.0.2.1", false), ("192.0.2.2", true), ("2001:db8::1", true)] {
        let (near, far) = tcp_sockets().await;
        let accepting = acceptor.accept_from(far, source(from));
        let (client, server) = tokio::join!(connector.connect(near), accepting);
        assert_eq!((client.is_ok(), server.is_ok()), (admitted, admitted), "{from}");
    }
    drop(slow);
    greedy.await.unwrap().unwrap_err();
    assert_eq!(limits.half_open(), 0);
    assert_nothing_out(&pool);
}

#[tokio::test]
async fn a_source_has_a_rate() {
    let parties = Parties::new();
    let pool = BufferPool::new();
    let limits = crowded(|options| options.rate_per_source = NonZeroU32::new(1));
    let acceptor = parties.acceptor(settings(&pool, |settings| settings.limits = limits.clone()));
    let connector = parties.connector(settings(&pool, |_| ()));
    let mut running = JoinSet::new();
    for _ in 0..10 {
        let (near, far) = tcp_sockets().await;
        let (connecting, accepting) = (connector.connect(near), acceptor.accept(far));
        running.spawn(async move { tokio::join!(connecting, accepting) });
    }
    let mut admitted = 0;
    while let Some(ended) = running.join_next().await {
        let (client, server) = ended.unwrap();
        let Err(error) = server else {
            admitted += 1;
            continue;
        };
        assert!(error.to_string().contains("per second"), "{error}");
        let Err(Error::Handshake(handshaker::Error::Alert { code, .. })) = client else {
            panic!("{client:?}")
        };
        assert_eq!(code, AlertCode::Overloaded);
    }
    // As many seconds would have to pass for all of them.
    assert!((1..10).contains(&admitted), "{admitted}");
    assert_eq!(limits.half_open(), 0);
}

/// Dropping a handshake closes the socket, at any stage.
#[tokio::test]
async fn a_handshake_that_is_dropped_closes_its_socket() {
    let parties = Parties::new();
    let pool = BufferPool::new();
    let acceptor = parties.acceptor(settings(&pool, |_| ()));
    for said in [0, 8, 100] {
        let (mut peer, socket) = tcp_sockets().await;
        let client = parties.client_handshaker();
        let mut session = client.start(Role::Client, &HandshakeOptions::default()).unwrap();
        let mut out = Vec::new();
        by_hand::step(&mut *session, &[], &mut out).unwrap();
        peer.write_all(&out[..said]).await.unwrap();
        let accepting = tokio::spawn(acceptor.accept(socket));
        tokio::task::yield_now().await;
        accepting.abort();
        assert!(accepting.await.unwrap_err().is_cancelled());
        let ended: std::io::Result<usize> = peer.read(&mut [0; 10]).await;
        assert!(matches!(ended, Ok(0) | Err(_)), "nothing was said");
        assert_nothing_out(&pool);
        assert_eq!(acceptor.settings().limits.half_open(), 0);
    }
}
