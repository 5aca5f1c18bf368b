//! A server that announced a ticket sends it where its first record would be. Anything else there ends the connection, and so does a
//! ticket anywhere else.

use std::sync::Arc;
use std::time::Duration;

use alts::handshaker::identity::Policy;
use alts::handshaker::resumption::{TicketCache, TicketKeys};
use alts::handshaker::{AlertCode, Error as Handshake, Handshaker, LocalHandshaker, Role};
use alts::pool::BufferPool;
use alts::record::{RecordError, Sealer};
use alts::{AltsStream, Connector, Error, Truncation};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::read_until_error;
use crate::support::by_hand::{self, Tap};
use crate::support::wire::{Control, Wire, wires};
use crate::support::{Parties, SERVER, assert_nothing_out, settings};

/// A client whose server has accepted it, and what the server has to send.
struct Announced {
    stream: AltsStream<Wire>,
    control: Control,
    sealer: Sealer,
    cache: Arc<TicketCache>,
    /// Of the server: the ticket's frame, or the alert if it refuses the client.
    last: Vec<u8>,
    pool: BufferPool,
    /// The other end, or the stream would have an end.
    _far: Wire,
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

async fn announced_by(policy: Policy) -> Announced {
    let parties = Parties::new();
    let keys = TicketKeys::generate(Duration::from_secs(600)).unwrap();
    let cache = TicketCache::new();
    let server = LocalHandshaker::builder(Arc::new(parties.server.clone()))
        .client_policy(policy)
        .ticket_keys(keys)
        .build();
    let client = LocalHandshaker::builder(Arc::new(parties.client.clone()))
        .server_policy(Policy::from_rules([SERVER]).unwrap())
        .ticket_cache(Arc::clone(&cache))
        .build();
    let pool = BufferPool::new();
    let settings =
        settings(&pool, |it| it.handshake.target_name = Some("server.test:443".to_owned()));
    let mut session = server.start(Role::Server, &settings.handshake).unwrap();

    let (client, tap): (_, Tap) = by_hand::tapped(client);
    let ((wire, control), (far, _)) = wires(usize::MAX);
    let connector = Connector::with_settings(client, settings);
    let ours = tokio::spawn(async move { connector.connect(wire).await });
    let (mut answer, mut last) = (Vec::new(), Vec::new());
    pause().await;
    by_hand::step(&mut *session, &control.intercept(), &mut answer).unwrap();
    control.inject(&answer);
    pause().await;
    let _ = by_hand::step(&mut *session, &control.intercept(), &mut last);
    let stream = ours.await.unwrap().unwrap();
    let sealer = tap.sealer(Role::Server);
    Announced { stream, control, sealer, cache, last, pool, _far: far }
}

async fn announced() -> Announced {
    announced_by(Policy::own_trust_domain()).await
}

const NOT_A_RECORD: Error = Error::Record(RecordError::WrongType { found: 0x45 });

fn peer(code: AlertCode) -> impl Fn(Option<Error>) -> bool {
    move |error| matches!(error, Some(Error::Handshake(Handshake::Peer { code: found, .. })) if found == code)
}

#[tokio::test(start_paused = true)]
async fn the_ticket_then_records() {
    let ticket_len = announced().await.last.len();
    // Together, cut anywhere, and one byte at a time.
    for piece in [usize::MAX, 1, 7, 8, 9, ticket_len - 1, ticket_len, ticket_len + 1] {
        let mut it = announced().await;
        assert_eq!(it.last[4], 0x45);
        assert!(it.cache.is_empty());
        let record = by_hand::seal(&mut it.sealer, b"welcome");
        let bytes = [&it.last[..], &record].concat();
        let control = it.control;
        let reader = tokio::spawn(async move {
            let mut first = [0; 7];
            it.stream.read_exact(&mut first).await.unwrap();
            (first, it.stream)
        });
        for part in bytes.chunks(piece.min(bytes.len())) {
            control.inject(part);
            pause().await;
        }
        let (first, stream) = reader.await.unwrap();
        assert_eq!(&first, b"welcome");
        assert_eq!(it.cache.len(), 1, "{piece}");
        drop(stream);
        assert_nothing_out(&it.pool);
    }
}

/// Readiness for the ticket alone is a false one, after which nothing is held.
#[tokio::test(start_paused = true)]
async fn the_ticket_alone() {
    let mut it = announced().await;
    it.control.inject(&it.last);
    let mut byte = [0];
    let read = tokio::time::timeout(Duration::from_secs(1), it.stream.read(&mut byte)).await;
    assert!(read.is_err(), "there is no record");
    assert_eq!(it.cache.len(), 1);
    assert_nothing_out(&it.pool);
    // The late alert's turn is over, too.
    it.control.inject(&[23, 0, 0, 0, 0x4e, 0, 0, 0]);
    let (_, error) = read_until_error(&mut it.stream).await;
    assert_eq!(error, Some(Error::Record(RecordError::WrongType { found: 0x4e })));
}

#[tokio::test(start_paused = true)]
async fn a_record_in_its_place() {
    let mut it = announced().await;
    let record = by_hand::seal(&mut it.sealer, b"welcome");
    it.control.inject(&record);
    let (received, error) = read_until_error(&mut it.stream).await;
    let wrong = Error::Record(RecordError::WrongType { found: 6 });
    assert_eq!((received, error), (vec![], Some(wrong.clone())));

    // The header is enough.
    let mut it = announced().await;
    it.control.inject(&record[..8]);
    assert_eq!(read_until_error(&mut it.stream).await, (vec![], Some(wrong)));
}

#[tokio::test(start_paused = true)]
async fn twice_and_late() {
    let mut it = announced().await;
    it.control.inject(&[&it.last[..], &it.last].concat());
    assert_eq!(read_until_error(&mut it.stream).await, (vec![], Some(NOT_A_RECORD)));
    assert_eq!(it.cache.len(), 1);

    let mut it = announced().await;
    let record = by_hand::seal(&mut it.sealer, b"welcome");
    it.control.inject(&[&it.last[..], &record, &it.last].concat());
    let (received, error) = read_until_error(&mut it.stream).await;
    assert_eq!((&received[..], error), (&b"welcome"[..], Some(NOT_A_RECORD)));
}

/// A client that wants no ticket is sent none; what somebody else sends is no record.
#[tokio::test(start_paused = true)]
async fn not_announced() {
    let parties = Parties::new();
    let pool = BufferPool::new();
    let ((near, control), (far, _)) = wires(usize::MAX);
    let settings = || settings(&pool, |_| ());
    let (mut client, server) = parties.pair_over(near, far, settings(), settings()).await;
    control.inject(&announced().await.last);
    assert_eq!(read_until_error(&mut client).await, (vec![], Some(NOT_A_RECORD)));
    drop(server);
}

#[tokio::test(start_paused = true)]
async fn changed() {
    for at in [8, 100, 500] {
        let mut it = announced().await;
        it.last[at] ^= 1;
        it.control.inject(&it.last);
        let (received, error) = read_until_error(&mut it.stream).await;
        assert!(received.is_empty() && peer(AlertCode::DecryptError)(error));
        assert!(it.cache.is_empty());
    }
    // Longer than a ticket may be, by its header.
    let mut it = announced().await;
    let mut header = it.last[..8].to_vec();
    header[..4].copy_from_slice(&1_557_u32.to_le_bytes());
    it.control.inject(&header);
    assert_eq!(read_until_error(&mut it.stream).await, (vec![], Some(NOT_A_RECORD)));
}

#[tokio::test(start_paused = true)]
async fn cut() {
    let len = announced().await.last.len();
    for at in [0, 1, 7, 8, 9, len / 2, len - 1] {
        let mut it = announced().await;
        it.control.inject(&it.last[..at]);
        it.control.end_incoming();
        let (received, error) = read_until_error(&mut it.stream).await;
        assert!(received.is_empty());
        assert_eq!(error, Some(Error::Truncated { at: Truncation::Handshake }), "{at}");
        assert!(it.cache.is_empty());
    }
}

/// The server refuses the client: its alert comes in place of the ticket that it announced.
#[tokio::test(start_paused = true)]
async fn an_alert_in_its_place() {
    let mut it = announced_by(Policy::nobody()).await;
    assert_eq!(it.last[4], 0x4e);
    it.control.inject(&it.last);
    let (_, error) = read_until_error(&mut it.stream).await;
    let told =
        Handshake::Alert { code: AlertCode::AccessDenied, reason: String::new(), sealed: true };
    assert_eq!(error, Some(Error::Handshake(told)));
}

/// A client that only writes leaves nothing in the socket when it shuts down: a reset would take what it wrote away.
#[tokio::test(start_paused = true)]
async fn a_client_that_only_writes() {
    let closing = |sealer: &mut Sealer| by_hand::seal(sealer, b"");
    for (cut, with_close) in [(0, false), (0, true), (5, true), (8, true), (100, true)] {
        let mut it = announced().await;
        it.stream.write_all(b"a request").await.unwrap();
        if cut > 0 {
            // Part of it has been read.
            it.control.inject(&it.last[..cut]);
            let mut byte = [0];
            let read = tokio::time::timeout(Duration::from_secs(1), it.stream.read(&mut byte));
            assert!(read.await.is_err());
        }
        let close = if with_close { closing(&mut it.sealer) } else { Vec::new() };
        it.control.inject(&[&it.last[cut..], &close].concat());
        it.stream.shutdown().await.unwrap();
        let left = it.control.arriving();
        // The task that has read waits in the socket, as far as the stream knows.
        if cut == 0 {
            assert_eq!(left, 0, "{with_close}");
            assert_eq!(it.cache.len(), 1);
        }
        assert_eq!(it.stream.peer_closed_authenticated(), with_close && cut == 0);
    }
}

/// Over TCP and whole streams: the second connection is resumed on both sides, and says since when.
#[tokio::test]
async fn connections_that_resume() {
    let parties = Parties::new();
    let (keys, cache) =
        (TicketKeys::generate(Duration::from_secs(600)).unwrap(), TicketCache::new());
    let server = LocalHandshaker::builder(Arc::new(parties.server.clone()))
        .ticket_keys(Arc::clone(&keys))
        .build();
    let client = LocalHandshaker::builder(Arc::new(parties.client.clone()))
        .server_policy(Policy::from_rules([SERVER]).unwrap())
        .ticket_cache(Arc::clone(&cache))
        .build();
    let pool = BufferPool::new();
    let acceptor = alts::Acceptor::with_settings(server, settings(&pool, |_| ()));
    let connector = Connector::with_settings(client, settings(&pool, |_| ()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut since = None;
    for round in 0..3 {
        let dialed = connector.dial(address.clone());
        let accepted = async { acceptor.accept(listener.accept().await.unwrap().0).await };
        let (near, far) = tokio::join!(dialed, accepted);
        let (mut near, mut far) = (near.unwrap(), far.unwrap());
        assert_eq!(near.negotiated().resumed.is_some(), round > 0);
        assert_eq!(near.negotiated().resumed, far.negotiated().resumed);
        assert!(round < 2 || near.negotiated().resumed == since);
        since = near.negotiated().resumed;
        far.write_all(b"welcome").await.unwrap();
        let mut first = [0; 7];
        near.read_exact(&mut first).await.unwrap();
        assert_eq!((&first, cache.len()), (b"welcome", 1));
    }
    assert_eq!((keys.stats().accepted, cache.stats().accepted), (2, 2));
    assert_eq!(keys.stats().issued, 3);
}
