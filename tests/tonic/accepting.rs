//! Accepting goes on, whatever those who connect do and however accepting fails.

use std::io;
use std::time::Duration;

use alts::Error;
use alts::connect::Settings;
use alts::handshaker::{self, AlertCode, HandshakeLimits, LimitOptions};
use alts::pool::BufferPool;
use alts::tonic::{Access, Authorization, StreamListener, cause_of};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinSet;
use tokio_stream::StreamExt;

use crate::echo::echo_client::EchoClient;
use crate::fixture::{Over, Served, Talk, message, nothing_out};
use crate::support::{CLIENT, Parties, rng::Rng, settings};

#[tokio::test]
async fn garbage_and_silence_disturb_nobody() {
    let parties = Parties::new();
    let served = Served::new(&parties, Over::Tcp).await;
    let (mut client, _) = served.connect(&parties).await;
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

    served.connect(&parties).await.0.once(message("hello")).await.unwrap();
    talk.exchange(b"still here").await;
    drop(silent);
    nothing_out(&[&served.pool]).await;
}

#[tokio::test]
async fn handshakes_are_limited() {
    let parties = Parties::new();
    let mut limits = LimitOptions::default();
    (limits.half_open, limits.queue) = (2, 2);
    let limits = HandshakeLimits::new(limits);
    let pool = BufferPool::new();
    let acceptor = parties.acceptor(settings(&pool, |settings| settings.limits = limits.clone()));
    let served =
        Served::start(&acceptor, Over::Tcp, Authorization::new(Access::authenticated())).await;
    let mut slow = Vec::new();
    for count in 1..=4 {
        let mut socket = TcpStream::connect(("127.0.0.1", served.port())).await.unwrap();
        socket.write_all(&[100, 0, 0, 0, 0x41, 0, 0, 0]).await.unwrap();
        slow.push(socket);
        while limits.half_open() + limits.waiting() < count {
            tokio::task::yield_now().await;
        }
    }
    // There is no place, nor one to wait at: told so at once, while nothing else moves.
    let error = served.connect_as(&parties, CLIENT).await.unwrap_err();
    let overloaded = AlertCode::Overloaded;
    match cause_of(&error).unwrap() {
        Error::Handshake(handshaker::Error::Alert { code, .. }) => assert_eq!(*code, overloaded),
        other => panic!("{other:?}"),
    }
    assert_eq!(limits.half_open(), 2);
    drop(slow);
    served.connect(&parties).await.0.once(message("hello")).await.unwrap();
}

/// As after a restart of the server: channels of one process, from one address, all at once.
#[tokio::test]
async fn channels_wait_for_each_other() {
    let parties = Parties::new();
    let mut limits = LimitOptions::default();
    (limits.half_open, limits.half_open_per_source) = (16, 4);
    let limits = HandshakeLimits::new(limits);
    let patient = |settings: &mut Settings| {
        settings.handshake_timeout = Duration::from_secs(600);
        settings.first_bytes_timeout = Duration::from_secs(600);
    };
    let acceptor = parties.acceptor(settings(&BufferPool::new(), |settings| {
        settings.limits = limits.clone();
        patient(settings);
    }));
    let served =
        Served::start(&acceptor, Over::Tcp, Authorization::new(Access::authenticated())).await;
    let connector = parties.connector(settings(&BufferPool::new(), patient));
    let mut calls = JoinSet::new();
    for _ in 0..80 {
        let (endpoint, connector) = served.endpoint(connector.clone());
        let channel = endpoint.connect_with_connector_lazy(connector);
        calls.spawn(async move { EchoClient::new(channel).once(message("hello")).await });
    }
    while let Some(called) = calls.join_next().await {
        called.unwrap().unwrap();
    }
}

/// What tonic makes of a listener, a stream of sockets, can be secured too, and ends when the stream has ended.
#[tokio::test]
async fn a_stream_of_sockets_is_a_listener() {
    let parties = Parties::new();
    let (near, far) = UnixStream::pair().unwrap();
    let acceptor = parties.acceptor(Settings::default());
    let connector = parties.connector(Settings::default());
    let sockets = [Err(io::ErrorKind::ConnectionAborted.into()), Ok(far)];
    let incoming = acceptor.incoming(StreamListener::new(tokio_stream::iter(sockets)));
    let (accepted, connected) =
        tokio::join!(incoming.collect::<Result<Vec<_>, _>>(), connector.connect(near));
    assert_eq!(accepted.unwrap().len(), 1);
    connected.unwrap();
}
