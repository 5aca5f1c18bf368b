//! Accepting goes on, whatever those who connect do and however accepting fails.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use alts::Error;
use alts::connect::Settings;
use alts::handshaker::{self, AlertCode, HandshakeLimits, LimitOptions};
use alts::pool::BufferPool;
use alts::tonic::{Access, Authorization, Incoming, cause_of};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_stream::{Stream, StreamExt};

use crate::fixture::{Over, Served, Talk, message, nothing_out};
use crate::support::{CLIENT, World, rng::Rng, settings};

#[tokio::test]
async fn garbage_and_silence_disturb_nobody() {
    let world = World::new();
    let served = Served::new(&world, Over::Tcp).await;
    let (mut client, _) = served.connect(&world).await;
    let mut talk = Talk::begin(&mut client).await;

    let connect = || async { TcpStream::connect(("127.0.0.1", served.port())).await.unwrap() };
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(connect().await);
    }
    let mut rng = Rng::new(11);
    for len in [1, 8, 100, 5_000, 100_000] {
        let garbage: Vec<u8> = (0..len).map(|_| rng.next() as u8).collect();
        let mut tcp = connect().await;
        // The server may hang up before it has taken all of it.
        let _ = tcp.write_all(&garbage).await;
        talk.exchange(b"still here").await;
        // Nobody stays connected who speaks in this way.
        drop(tcp.shutdown().await);
        drop(tcp.read_to_end(&mut Vec::new()).await);
    }
    let mut plain = connect().await;
    plain.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    drop(plain.read_to_end(&mut Vec::new()).await);

    served.connect(&world).await.0.once(message("hello")).await.unwrap();
    talk.exchange(b"still here").await;
    drop(silent);
    nothing_out(&[&served.pool]).await;
}

#[tokio::test]
async fn handshakes_are_limited() {
    let world = World::new();
    let mut limits = LimitOptions::default();
    (limits.half_open, limits.queue) = (2, 2);
    let limits = HandshakeLimits::new(limits);
    let pool = BufferPool::new();
    let acceptor = world.acceptor(settings(&pool, |settings| settings.limits = limits.clone()));
    let served =
        Served::start(&acceptor, Over::Tcp, Authorization::new(Access::authenticated())).await;
    let mut silent = Vec::new();
    for _ in 0..4 {
        silent.push(TcpStream::connect(("127.0.0.1", served.port())).await.unwrap());
        while limits.half_open() < silent.len().min(2) {
            tokio::task::yield_now().await;
        }
    }
    // There is no place, nor one to wait at: told so at once, while nothing else moves.
    let error = served.connect_as(&world, CLIENT).await.unwrap_err();
    let overloaded = AlertCode::Overloaded;
    match cause_of(&error).unwrap() {
        Error::Handshake(handshaker::Error::Alert { code, .. }) => assert_eq!(*code, overloaded),
        other => panic!("{other:?}"),
    }
    assert_eq!(limits.half_open(), 2);
    drop(silent);
    served.connect(&world).await.0.once(message("hello")).await.unwrap();
}

/// Sockets from a script, and how many of its lines were taken.
struct Script {
    lines: mpsc::UnboundedReceiver<io::Result<UnixStream>>,
    taken: Arc<AtomicUsize>,
}

impl Stream for Script {
    type Item = io::Result<UnixStream>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let line = ready!(self.lines.poll_recv(cx));
        self.taken.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(line)
    }
}

/// By a clock that goes on when nobody has anything to do.
#[tokio::test(start_paused = true)]
async fn errors_of_accepting_are_survived_without_spinning() {
    const EMFILE: i32 = 24;
    let world = World::new();
    let (script, lines) = mpsc::unbounded_channel();
    let taken = Arc::new(AtomicUsize::new(0));
    let acceptor = world.acceptor(Settings::default());
    let mut incoming = Incoming::over(Script { lines, taken: Arc::clone(&taken) }, &acceptor);
    let exhausted = || script.send(Err(io::Error::from_raw_os_error(EMFILE))).unwrap();
    let mut taken_after = async |millis| {
        let nothing = timeout(Duration::from_millis(millis), incoming.next()).await;
        assert!(nothing.is_err(), "{nothing:?}");
        taken.load(Ordering::Relaxed)
    };

    for _ in 0..100 {
        script.send(Err(io::ErrorKind::ConnectionAborted.into())).unwrap();
    }
    // Those are over at once.
    assert_eq!(taken_after(1).await, 100);
    for _ in 0..12 {
        exhausted();
    }
    // 5, 10, 20 ms and so on up to 640 ms, and then a second each time.
    assert_eq!(taken_after(1).await, 101);
    assert_eq!(taken_after(5).await, 102);
    assert_eq!(taken_after(2_260).await, 109);
    assert_eq!(taken_after(20).await, 110);
    assert_eq!(taken_after(970).await, 110);
    assert_eq!(taken_after(40).await, 111);
    assert_eq!(taken_after(970).await, 111);
    assert_eq!(taken_after(40).await, 112);

    // A success makes the next wait short again.
    let (_near, far) = UnixStream::pair().unwrap();
    script.send(Ok(far)).unwrap();
    exhausted();
    exhausted();
    assert_eq!(taken_after(1_010).await, 115);

    let (near, far) = UnixStream::pair().unwrap();
    script.send(Ok(far)).unwrap();
    drop(script);
    let connector = world.connector(Settings::default());
    let (accepted, connected) = tokio::join!(incoming.next(), connector.connect(near));
    accepted.unwrap().unwrap();
    connected.unwrap();
    // It ends with the sockets and the last handshake.
    assert!(incoming.next().await.is_none());
}

#[tokio::test]
async fn dropping_ends_handshakes() {
    let world = World::new();
    let (script, lines) = mpsc::unbounded_channel();
    let taken = Arc::default();
    let acceptor = world.acceptor(Settings::default());
    let mut incoming = Incoming::over(Script { lines, taken }, &acceptor);
    let (mut near, far) = UnixStream::pair().unwrap();
    script.send(Ok(far)).unwrap();
    let limits = &acceptor.settings().limits;
    while limits.half_open() == 0 {
        let next = timeout(Duration::from_millis(1), incoming.next());
        assert!(next.await.is_err(), "there is no handshake that could end");
    }
    drop(incoming);
    assert_eq!(near.read(&mut [0; 8]).await.unwrap(), 0);
    assert_eq!(limits.half_open(), 0);
}

/// Handshakes that end are given out while others go on.
#[tokio::test]
async fn a_slow_handshake_holds_up_no_other() {
    let world = World::new();
    let (script, lines) = mpsc::unbounded_channel();
    let acceptor = world.acceptor(Settings::default());
    let mut incoming = Incoming::over(Script { lines, taken: Arc::default() }, &acceptor);
    let connector = world.connector(Settings::default());
    let mut slow = Vec::new();
    for _ in 0..50 {
        let (near, far) = UnixStream::pair().unwrap();
        slow.push(near);
        script.send(Ok(far)).unwrap();
        let (near, far) = UnixStream::pair().unwrap();
        script.send(Ok(far)).unwrap();
        let (accepted, connected) = tokio::join!(incoming.next(), connector.connect(near));
        accepted.unwrap().unwrap();
        connected.unwrap();
    }
}
