//! Connections that fail leave nothing behind: live heap is what it was after hundreds of each kind. One test, since the allocator
//! counts for the whole process.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod support;

use std::alloc::System;
use std::sync::Arc;
use std::time::Duration;

use alts::handshaker::identity::Policy;
use alts::handshaker::{
    HandshakeLimits, HandshakeOptions, LimitOptions, LocalHandshaker, RecordProtocol, Role,
};
use alts::pool::BufferPool;
use alts::{Acceptor, AltsStream, Connector, Error};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use support::by_hand::{self, Peer};
use support::wire::{Control, Wire, wires};
use support::{Parties, assert_nothing_out, settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Connections of each kind, after a tenth as many that fill what is filled once: caches, the runtime's own lists.
const CONNECTIONS: usize = 200;
/// The most that may be live beyond what was before, in bytes. One connection that leaks anything, times 200, is far more.
const TOLERANCE: isize = 2_048;

fn live() -> isize {
    let stats = HEAP.stats();
    stats.bytes_allocated.cast_signed() - stats.bytes_deallocated.cast_signed()
}

struct Sides {
    parties: Parties,
    acceptor: Acceptor,
    connector: Connector,
    pool: BufferPool,
}

impl Sides {
    fn new() -> Self {
        let parties = Parties::new();
        let pool = BufferPool::new();
        let settings = settings(&pool, |settings| {
            let mut options = LimitOptions::default();
            options.half_open = 2;
            options.queue = 0;
            settings.limits = HandshakeLimits::new(options);
        });
        let acceptor = parties.acceptor(settings.clone());
        let connector = parties.connector(settings);
        Self { parties, acceptor, connector, pool }
    }

    /// A server's handshake whose peer has sent `bytes` and, perhaps, gone.
    async fn server_against(&self, bytes: &[u8], gone: bool) -> Error {
        let ((wire, control), (peer, _)) = wires(usize::MAX);
        control.inject(bytes);
        let peer = if gone { None } else { Some(peer) };
        let error = self.acceptor.accept(wire).await.unwrap_err();
        drop(peer);
        error
    }

    async fn client_against(&self, bytes: &[u8]) -> Error {
        let ((wire, control), (_peer, _)) = wires(usize::MAX);
        control.inject(bytes);
        self.connector.connect(wire).await.unwrap_err()
    }

    async fn pair(&self) -> (AltsStream<Wire>, AltsStream<Wire>) {
        let ((near, _), (far, _)) = wires(usize::MAX);
        let (near, far) = tokio::join!(self.connector.connect(near), self.acceptor.accept(far));
        (near.unwrap(), far.unwrap())
    }

    /// A server's stream and a client by hand.
    async fn with_client(&self) -> (AltsStream<Wire>, Peer<Wire>, Control) {
        let ((near, _), (far, control)) = wires(usize::MAX);
        let client = self.parties.client_handshaker();
        let mut options = HandshakeOptions::default();
        options.close_notify = true;
        let (server, client) = tokio::join!(
            self.acceptor.accept(far),
            by_hand::handshake(&client, Role::Client, &options, near),
        );
        (server.unwrap(), client.unwrap(), control)
    }

    /// What a server's stream says to `bytes` that a client makes.
    async fn records(&self, make: impl FnOnce(&mut Peer<Wire>) -> Vec<u8>, gone: bool) {
        let (mut server, mut client, control) = self.with_client().await;
        control.inject(&make(&mut client));
        if gone {
            drop(client);
        }
        server.write_all(b"an answer that nobody reads").await.unwrap_or(());
        let mut all = Vec::new();
        server.read_to_end(&mut all).await.unwrap_err();
    }

    async fn one(&self, kind: Kind) {
        match kind {
            Kind::Garbage => drop(self.server_against(&[0xff; 100], false).await),
            Kind::GarbageFromAServer => drop(self.client_against(&[0xff; 100]).await),
            Kind::Http2 => drop(self.server_against(b"PRI * HTTP/2.0\r\n\r\n", false).await),
            Kind::Gone => drop(self.server_against(b"", true).await),
            Kind::GoneWithinAMessage => {
                drop(self.server_against(&[200, 0, 0, 0, 0x41, 0, 0, 0, 1, 2, 3], true).await);
            }
            Kind::Silent => drop(self.server_against(b"", false).await),
            Kind::SilentServer => drop(self.client_against(b"").await),
            Kind::GivenUp => {
                let ((wire, _), (_peer, _)) = wires(usize::MAX);
                let accepting = self.acceptor.accept(wire);
                tokio::time::timeout(Duration::from_secs(1), accepting).await.unwrap_err();
            }
            Kind::Overloaded => {
                const SLOW: &[u8] = &[200, 0, 0, 0, 0x41, 0, 0, 0];
                let slow: [_; 2] = std::array::from_fn(|_| {
                    let ((wire, control), (peer, _)) = wires(usize::MAX);
                    control.inject(SLOW);
                    (tokio::spawn(self.acceptor.accept(wire)), peer)
                });
                tokio::time::sleep(Duration::from_millis(1)).await;
                let error = self.server_against(SLOW, false).await;
                assert!(error.to_string().contains("too many"), "{error}");
                for (accepting, peer) in slow {
                    drop(peer);
                    accepting.await.unwrap().unwrap_err();
                }
            }
            Kind::Denied => {
                let policy = Policy::from_rules(["spiffe://dev.local/somebody"]).unwrap();
                let identity = Arc::new(self.parties.server.clone());
                let server = LocalHandshaker::builder(identity).client_policy(policy).build();
                let acceptor = Acceptor::with_settings(server, self.acceptor.settings().clone());
                let ((near, _), (far, _)) = wires(usize::MAX);
                let (client, server) =
                    tokio::join!(self.connector.connect(near), acceptor.accept(far));
                server.unwrap_err();
                client.unwrap().read(&mut [0; 10]).await.unwrap_err();
            }
            Kind::OtherProtocol => {
                let mut options = HandshakeOptions::default();
                options.record_protocols = vec![RecordProtocol::Aes128Gcm];
                let ((near, _), (far, _)) = wires(usize::MAX);
                let (client, server) = tokio::join!(
                    self.connector.connect_with(near, options),
                    self.acceptor.accept(far)
                );
                client.unwrap_err();
                server.unwrap_err();
            }
            Kind::BadRecord => {
                let bad = |client: &mut Peer<Wire>| {
                    let mut bad = [client.seal(b"good"), client.seal(&vec![7; 20_000])].concat();
                    *bad.last_mut().unwrap() ^= 1;
                    bad
                };
                self.records(bad, false).await;
            }
            Kind::TooLong => self.records(|_| vec![0xff; 8], false).await,
            Kind::EndWithinARecord => {
                self.records(|client| client.seal(&vec![7; 20_000])[..10_000].to_vec(), true).await;
            }
            Kind::MissingClose => self.records(|client| client.seal(b"text"), true).await,
            Kind::DroppedWithEverything => {
                let (mut near, mut far) = self.pair().await;
                near.write_all(&vec![7; 100_000]).await.unwrap();
                far.write_all(&vec![7; 100_000]).await.unwrap();
                // Plaintext, whole records and part of one are held.
                far.read_exact(&mut [0; 1_000]).await.unwrap();
            }
            Kind::Good => {
                let (mut near, mut far) = self.pair().await;
                near.write_all(b"text").await.unwrap();
                near.shutdown().await.unwrap();
                far.read_to_end(&mut Vec::new()).await.unwrap();
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Garbage,
    GarbageFromAServer,
    Http2,
    Gone,
    GoneWithinAMessage,
    Silent,
    SilentServer,
    GivenUp,
    Overloaded,
    Denied,
    OtherProtocol,
    BadRecord,
    TooLong,
    EndWithinARecord,
    MissingClose,
    DroppedWithEverything,
    Good,
}

#[tokio::test(start_paused = true)]
async fn failed_connections_leave_nothing_behind() {
    use Kind::{
        BadRecord, Denied, DroppedWithEverything, EndWithinARecord, Garbage, GarbageFromAServer,
        GivenUp, Gone, GoneWithinAMessage, Good, Http2, MissingClose, OtherProtocol, Overloaded,
        Silent, SilentServer, TooLong,
    };
    let sides = Sides::new();
    for kind in [
        Garbage,
        GarbageFromAServer,
        Http2,
        Gone,
        GoneWithinAMessage,
        Silent,
        SilentServer,
        GivenUp,
        Overloaded,
        Denied,
        OtherProtocol,
        BadRecord,
        TooLong,
        EndWithinARecord,
        MissingClose,
        DroppedWithEverything,
        Good,
    ] {
        for _ in 0..CONNECTIONS / 10 {
            sides.one(kind).await;
        }
        sides.pool.trim();
        let before = live();
        for _ in 0..CONNECTIONS {
            sides.one(kind).await;
        }
        assert_nothing_out(&sides.pool);
        assert_eq!(sides.acceptor.settings().limits.half_open(), 0, "{kind:?}");
        sides.pool.trim();
        let left = live() - before;
        assert!(left.abs() <= TOLERANCE, "{kind:?}: {left} bytes after {CONNECTIONS} connections");
    }
    let metrics = tokio::runtime::Handle::current().metrics();
    assert_eq!(metrics.num_alive_tasks(), 0);
}
