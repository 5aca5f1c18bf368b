//! Records that carry nothing, and what follows the authenticated close.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;

use alts::Error;
use alts::handshaker::{HandshakeOptions, Role};
use alts::pool::BufferPool;
use alts::record::RecordError;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;

use crate::support::by_hand::{self, Peer};
use crate::support::polling::Wakes;
use crate::support::wire::wires;
use crate::support::{Parties, assert_nothing_out, settings, tcp_sockets};
use crate::{error_of, read_until_error};

pub(crate) fn options(close_notify: bool) -> HandshakeOptions {
    let mut options = HandshakeOptions::default();
    options.close_notify = close_notify;
    options
}

/// A server's stream and a client by hand.
async fn with_client(
    pool: &BufferPool,
    close_notify: bool,
) -> (alts::AltsStream<TcpStream>, Peer<TcpStream>) {
    let parties = Parties::new();
    let (near, far) = tcp_sockets().await;
    let client = parties.client_handshaker();
    let options = options(close_notify);
    let acceptor = parties.acceptor(settings(pool, |_| ()));
    let (server, client) = tokio::join!(
        acceptor.accept(far),
        by_hand::handshake(&client, Role::Client, &options, near),
    );
    (server.unwrap(), client.unwrap())
}

#[tokio::test]
async fn a_flood_of_empty_records_starves_nobody() {
    const FLOOD: usize = 100_000;
    let pool = BufferPool::new();
    let (mut server, mut client) = with_client(&pool, false).await;
    let mut flood = client.seal(b"before");
    for _ in 0..FLOOD {
        let mut record = [0; 24];
        client.sealer.seal(b"", &mut record).unwrap();
        flood.extend(record);
    }
    flood.extend(client.seal(b"after"));
    let turns = Rc::new(Cell::new(0));
    let local = tokio::task::LocalSet::new();
    let counting = turns.clone();
    local.spawn_local(async move {
        loop {
            counting.set(counting.get() + 1);
            tokio::task::yield_now().await;
        }
    });
    let text = local
        .run_until(async {
            let mut text = [0; 11];
            let receive = async {
                server.read_exact(&mut text).await.unwrap();
            };
            let send = async { client.socket.write_all(&flood).await.unwrap() };
            tokio::join!(receive, send);
            text
        })
        .await;
    assert_eq!(&text, b"beforeafter");
    assert!(turns.get() > FLOOD / 100, "others had {} turns", turns.get());
    client.socket.shutdown().await.unwrap();
    assert_eq!(server.read(&mut [0; 10]).await.unwrap(), 0);
    assert!(!server.peer_closed_authenticated());
    drop(server);
    assert_nothing_out(&pool);
}

/// The same counted exactly: how often a read lets others run.
#[tokio::test(start_paused = true)]
async fn a_read_yields_every_64_empty_records() {
    const FLOOD: usize = 10_000;
    let parties = Parties::new();
    let pool = BufferPool::new();
    let ((near, _), (far, far_control)) = wires(usize::MAX);
    let client = parties.client_handshaker();
    let options = options(false);
    let acceptor = parties.acceptor(settings(&pool, |_| ()));
    let (server, client) = tokio::join!(
        acceptor.accept(far),
        by_hand::handshake(&client, Role::Client, &options, near),
    );
    let (mut server, mut client) = (server.unwrap(), client.unwrap());
    for _ in 0..FLOOD {
        far_control.inject(&client.seal(b""));
    }
    far_control.inject(&client.seal(b"text"));
    let (wakes, waker) = Wakes::new();
    let cx = &mut std::task::Context::from_waker(&waker);
    let mut bytes = [0; 100];
    let mut buf = ReadBuf::new(&mut bytes);
    let mut polls = 0;
    while Pin::new(&mut server).poll_read(cx, &mut buf).map(Result::unwrap).is_pending() {
        polls += 1;
        assert_eq!(wakes.count(), polls, "it is woken again at once");
    }
    assert_eq!(buf.filled(), b"text");
    assert!(polls >= FLOOD / 64, "{polls}");
    drop(server);
    assert_nothing_out(&pool);
}

#[tokio::test]
async fn an_empty_record_is_the_end_if_that_was_agreed_on() {
    for parts in [&[][..], &[b"one".as_slice(), b"two"]] {
        let pool = BufferPool::new();
        let (mut server, mut client) = with_client(&pool, true).await;
        let mut bytes = Vec::new();
        for part in parts {
            bytes.extend(client.seal(part));
        }
        bytes.extend(client.seal(b""));
        client.socket.write_all(&bytes).await.unwrap();
        let (received, error) = read_until_error(&mut server).await;
        assert_eq!((received, error), (parts.concat(), None));
        assert!(server.peer_closed_authenticated());
        // Whatever comes later is not read.
        let later = client.seal(b"later");
        client.socket.write_all(&later).await.unwrap();
        assert_eq!(server.read(&mut [0; 10]).await.unwrap(), 0);
        assert_nothing_out(&pool);
    }
}

#[tokio::test]
async fn what_comes_with_the_close_but_after_it_is_an_error() {
    for after in [1, 7, 8, 25, 50] {
        let pool = BufferPool::new();
        let (mut server, mut client) = with_client(&pool, true).await;
        let mut bytes = [client.seal(b"text"), client.seal(b"")].concat();
        bytes.extend(&[client.seal(b"more"), client.seal(b"and more")].concat()[..after]);
        client.socket.write_all(&bytes).await.unwrap();
        let mut text = [0; 4];
        server.read_exact(&mut text).await.unwrap();
        assert_eq!(&text, b"text");
        for _ in 0..3 {
            let error = error_of(server.read(&mut text).await);
            assert_eq!(error, Error::Record(RecordError::AfterClose), "{after}");
        }
        assert!(!server.peer_closed_authenticated());
        drop(server);
        assert_nothing_out(&pool);
    }
}
