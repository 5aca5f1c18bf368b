//! Many clients at once: they wait for each other, and nobody is turned away while there is time.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod support;

use std::time::Duration;

use alts::connect::{Settings, Socket};
use alts::handshaker::{self, AlertCode, HandshakeLimits, LimitOptions};
use alts::pool::BufferPool;
use alts::{Acceptor, Connector, Error};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use support::{Parties, settings, tcp_sockets};

/// A tenth of the defaults.
fn a_tenth() -> HandshakeLimits {
    let mut options = LimitOptions::default();
    options.half_open /= 10;
    options.half_open_per_source /= 10;
    options.queue /= 10;
    options.silent /= 10;
    HandshakeLimits::new(options)
}

/// Whatever the machine has to do besides.
fn patient(limits: &HandshakeLimits) -> Settings {
    settings(&BufferPool::new(), |settings| {
        settings.limits = limits.clone();
        settings.handshake_timeout = Duration::from_secs(600);
        settings.first_bytes_timeout = Duration::from_secs(600);
    })
}

/// Connects `count` clients at the same time, and gives back how many were served.
async fn serve(acceptor: &Acceptor, connector: &Connector, count: usize) -> usize {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut incoming = acceptor.incoming(listener);
    tokio::spawn(async move {
        while let Some(mut stream) = incoming.next().await {
            tokio::spawn(async move { stream.write_all(b"welcome").await });
        }
    });
    let mut clients = JoinSet::new();
    for _ in 0..count {
        let connector = connector.clone();
        clients.spawn(async move {
            let socket = TcpStream::connect(address).await.unwrap();
            let mut stream = connector.connect(socket).await?;
            stream.read_exact(&mut [0; 7]).await?;
            Ok::<_, Error>(())
        });
    }
    let mut served = 0;
    while let Some(client) = clients.join_next().await {
        match client.unwrap() {
            Ok(()) => served += 1,
            Err(error) => panic!("after {served} others: {error}"),
        }
    }
    served
}

/// As behind a NAT, or after a restart.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_one_address_are_all_served() {
    let parties = Parties::new();
    let limits = a_tenth();
    let acceptor = parties.acceptor(patient(&limits));
    let connector = parties.connector(patient(&HandshakeLimits::default()));
    assert_eq!(serve(&acceptor, &connector, 300).await, 300);
    assert_eq!((limits.half_open(), limits.waiting()), (0, 0));
}

/// The limits are about strangers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_does_not_refuse_itself() {
    let parties = Parties::new();
    let mut strict = LimitOptions::default();
    (strict.half_open, strict.queue, strict.silent) = (1, 0, 1);
    let acceptor = parties.acceptor(patient(&HandshakeLimits::default()));
    let connector = parties.connector(patient(&HandshakeLimits::new(strict)));
    assert_eq!(serve(&acceptor, &connector, 200).await, 200);
}

/// Nor does a process that serves strangers refuse its clients for their sake.
#[tokio::test]
async fn strangers_do_not_keep_a_process_from_connecting() {
    let parties = Parties::new();
    let mut strict = LimitOptions::default();
    (strict.half_open, strict.queue) = (1, 0);
    let limits = HandshakeLimits::new(strict);
    let acceptor = parties.acceptor(patient(&limits));
    let (mut slow, far) = tcp_sockets().await;
    slow.write_all(&[100, 0, 0, 0, 0x41, 0, 0, 0]).await.unwrap();
    let slow_handshake = tokio::spawn(acceptor.accept(far));
    while limits.half_open() == 0 {
        tokio::task::yield_now().await;
    }
    let (near, far) = tcp_sockets().await;
    let other = parties.acceptor(patient(&HandshakeLimits::default()));
    let connector = parties.connector(patient(&limits));
    let (connected, accepted) = tokio::join!(connector.connect(near), other.accept(far));
    connected.unwrap();
    accepted.unwrap();
    slow_handshake.abort();
}

/// However many are silent, and wherever they come from.
#[tokio::test]
async fn silent_peers_keep_out_nobody_that_speaks() {
    let parties = Parties::new();
    let limits = a_tenth();
    let acceptor = parties.acceptor(patient(&limits));
    let silent_limit = limits.options().silent;
    let mut silent = JoinSet::new();
    let mut sockets = Vec::new();
    for number in 0..silent_limit as u32 {
        let (near, far) = tcp_sockets().await;
        sockets.push(near);
        let source = std::net::Ipv4Addr::from_bits(0xc000_0200 + number).into();
        silent.spawn(acceptor.accept_from(far, Some(source)));
    }
    while limits.waiting() < silent_limit {
        tokio::task::yield_now().await;
    }
    assert_eq!(limits.half_open(), 0);

    let connector = parties.connector(patient(&HandshakeLimits::default()));
    for _ in 0..20 {
        let (near, far) = tcp_sockets().await;
        let (client, server) = tokio::join!(connector.connect(near), acceptor.accept(far));
        client.unwrap();
        server.unwrap();
    }
    // The first of them made room for one more, once, and was told.
    let error = silent.join_next().await.unwrap().unwrap().unwrap_err();
    let Error::Handshake(handshaker::Error::Limit { code, .. }) = error else {
        panic!("{error:?}")
    };
    assert_eq!(code, AlertCode::Overloaded);
    let mut told = Vec::new();
    sockets[0].read_to_end(&mut told).await.unwrap();
    assert_eq!(told[4..8], [0x4f, 0, 0, 0], "an alert");
    assert_eq!(limits.waiting(), silent_limit - 1);
}

/// One source's crowd stands in the way of no other source.
#[tokio::test]
async fn a_full_queue_is_full_for_the_source_that_fills_it() {
    let parties = Parties::new();
    let limits = a_tenth();
    let acceptor = parties.acceptor(patient(&limits));
    let most = limits.options().half_open_per_source + limits.options().queue;
    let mut greedy = JoinSet::new();
    let mut sockets = Vec::new();
    let source = |text: &str| Some(text.parse().unwrap());
    for _ in 0..most + 50 {
        let (mut near, far) = tcp_sockets().await;
        near.write_all(&[100, 0, 0, 0, 0x41, 0, 0, 0]).await.unwrap();
        far.readable().await.unwrap();
        sockets.push(near);
        greedy.spawn(acceptor.accept_from(far, source("192.0.2.1")));
    }
    for _ in 0..50 {
        let error = greedy.join_next().await.unwrap().unwrap().unwrap_err();
        let refused = matches!(
            error,
            Error::Handshake(handshaker::Error::Limit { code: AlertCode::Overloaded, .. })
        );
        assert!(refused, "{error}");
    }
    assert_eq!(limits.half_open() + limits.waiting(), most);
    let connector = parties.connector(patient(&HandshakeLimits::default()));
    let (near, far) = tcp_sockets().await;
    assert!(far.source().is_some());
    let accepting = acceptor.accept_from(far, source("192.0.2.2"));
    let (client, server) = tokio::join!(connector.connect(near), accepting);
    client.unwrap();
    server.unwrap();
    assert_eq!(limits.half_open() + limits.waiting(), most, "nobody had to go for it");
}
