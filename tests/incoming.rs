//! Accepting goes on, however accepting and handshakes fail.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod support;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use alts::connect::{Listener, Settings};
use alts::handshaker::{HandshakeLimits, LimitOptions};
use alts::pool::BufferPool;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::timeout;

use support::{Parties, settings};

/// Sockets from a script, and how many of its lines were taken.
struct Script {
    lines: mpsc::UnboundedReceiver<io::Result<UnixStream>>,
    taken: Arc<AtomicUsize>,
}

impl Listener for Script {
    type Socket = UnixStream;

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<UnixStream>>> {
        let line = ready!(self.lines.poll_recv(cx));
        self.taken.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(line)
    }
}

/// On a clock that advances when every task is idle.
#[tokio::test(start_paused = true)]
async fn errors_of_accepting_are_survived_without_spinning() {
    const EMFILE: i32 = 24;
    let parties = Parties::new();
    let (script, lines) = mpsc::unbounded_channel();
    let taken = Arc::new(AtomicUsize::new(0));
    let acceptor = parties.acceptor(Settings::default());
    let mut incoming = acceptor.incoming(Script { lines, taken: Arc::clone(&taken) });
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
    let connector = parties.connector(Settings::default());
    let (accepted, connected) = tokio::join!(incoming.next(), connector.connect(near));
    accepted.unwrap();
    connected.unwrap();
    // It ends with the sockets and the last handshake.
    assert!(incoming.next().await.is_none());
}

/// A connection that has said nothing is the first thing that a process without descriptors can do without.
#[tokio::test(start_paused = true)]
async fn silent_connections_make_room_for_others() {
    const EMFILE: i32 = 24;
    let parties = Parties::new();
    let (script, lines) = mpsc::unbounded_channel();
    let acceptor = parties.acceptor(Settings::default());
    let mut incoming = acceptor.incoming(Script { lines, taken: Arc::default() });
    let mut peers = Vec::new();
    for _ in 0..3 {
        let (near, far) = UnixStream::pair().unwrap();
        peers.push(near);
        script.send(Ok(far)).unwrap();
    }
    let limits = &acceptor.settings().limits;
    while limits.waiting() < 3 {
        let next = timeout(Duration::from_millis(1), incoming.next());
        assert!(next.await.is_err(), "nobody is secured");
    }
    for left in [2, 1] {
        script.send(Err(io::Error::from_raw_os_error(EMFILE))).unwrap();
        while limits.waiting() > left {
            let next = timeout(Duration::from_millis(1), incoming.next());
            assert!(next.await.is_err(), "nobody is secured");
        }
        let mut told = Vec::new();
        peers.remove(0).read_to_end(&mut told).await.unwrap();
        assert_eq!(told[4..8], [0x4f, 0, 0, 0], "an alert");
        assert_eq!(limits.waiting(), left);
    }
}

#[tokio::test]
async fn dropping_ends_handshakes() {
    let parties = Parties::new();
    let (script, lines) = mpsc::unbounded_channel();
    let taken = Arc::default();
    let acceptor = parties.acceptor(Settings::default());
    let mut incoming = acceptor.incoming(Script { lines, taken });
    let (mut near, far) = UnixStream::pair().unwrap();
    script.send(Ok(far)).unwrap();
    let limits = &acceptor.settings().limits;
    while limits.waiting() == 0 {
        let next = timeout(Duration::from_millis(1), incoming.next());
        assert!(next.await.is_err(), "there is no handshake that could end");
    }
    drop(incoming);
    assert_eq!(near.read(&mut [0; 8]).await.unwrap(), 0);
    assert_eq!((limits.half_open(), limits.waiting()), (0, 0));
}

/// Handshakes that end are given out while others go on.
#[tokio::test]
async fn a_slow_handshake_holds_up_no_other() {
    let parties = Parties::new();
    let (script, lines) = mpsc::unbounded_channel();
    let acceptor = parties.acceptor(Settings::default());
    let mut incoming = acceptor.incoming(Script { lines, taken: Arc::default() });
    let connector = parties.connector(Settings::default());
    let mut slow = Vec::new();
    for _ in 0..50 {
        let (near, far) = UnixStream::pair().unwrap();
        slow.push(near);
        script.send(Ok(far)).unwrap();
        let (near, far) = UnixStream::pair().unwrap();
        script.send(Ok(far)).unwrap();
        let (accepted, connected) = tokio::join!(incoming.next(), connector.connect(near));
        accepted.unwrap();
        connected.unwrap();
    }
}

/// A listener with connections enough.
struct Plenty(Arc<AtomicUsize>);

impl Listener for Plenty {
    type Socket = UnixStream;

    fn poll_accept(&mut self, _cx: &mut Context<'_>) -> Poll<Option<io::Result<UnixStream>>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Poll::Ready(Some(UnixStream::pair().map(|(_, far)| far)))
    }
}

/// What is accepted waits for what was accepted before, however much there is.
#[tokio::test]
async fn there_are_only_so_many_handshakes() {
    let parties = Parties::new();
    let taken = Arc::new(AtomicUsize::new(0));
    let mut least = LimitOptions::default();
    (least.half_open, least.queue, least.silent) = (1, 0, 1);
    let limits = HandshakeLimits::new(least);
    let most = limits.most_connections();
    let pool = BufferPool::new();
    let acceptor = parties.acceptor(settings(&pool, |settings| settings.limits = limits));
    let mut incoming = acceptor.incoming(Plenty(Arc::clone(&taken)));
    // The handshakes' tasks get no turn in between.
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..100 {
        assert!(incoming.poll_next(&mut cx).is_pending());
    }
    let accepted = taken.load(Ordering::Relaxed);
    assert!((most..=most + 32).contains(&accepted), "{accepted} of {most}");
}
