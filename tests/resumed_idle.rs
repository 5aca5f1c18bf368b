//! An idle connection costs no more with tickets than without, on either side, once the first frame has come. One test, since the
//! allocator counts for the whole process.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod support;

use std::alloc::System;
use std::sync::Arc;
use std::time::Duration;

use alts::handshaker::LocalHandshaker;
use alts::handshaker::identity::Policy;
use alts::handshaker::resumption::{TicketCache, TicketKeys};
use alts::pool::BufferPool;
use alts::{Acceptor, AltsStream, Connector};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use support::wire::{Wire, wires};
use support::{Parties, SERVER, assert_nothing_out, settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const CONNECTIONS: usize = 100;
/// Enough that the caches have what they will have.
const BEFORE: usize = 20;

fn live() -> isize {
    let stats = HEAP.stats();
    stats.bytes_allocated.cast_signed() - stats.bytes_deallocated.cast_signed()
}

struct Sides {
    acceptor: Acceptor,
    connector: Connector,
    pool: BufferPool,
}

impl Sides {
    fn new(parties: &Parties, tickets: bool) -> Self {
        let pool = BufferPool::new();
        let mut server = LocalHandshaker::builder(Arc::new(parties.server.clone()));
        let mut client = LocalHandshaker::builder(Arc::new(parties.client.clone()))
            .server_policy(Policy::from_rules([SERVER]).unwrap());
        if tickets {
            server = server.ticket_keys(TicketKeys::generate(Duration::from_secs(3_600)).unwrap());
            client = client.ticket_cache(TicketCache::new());
        }
        let settings =
            || settings(&pool, |it| it.handshake.target_name = Some("server.test:443".to_owned()));
        let acceptor = Acceptor::with_settings(server.build(), settings());
        let connector = Connector::with_settings(client.build(), settings());
        Self { acceptor, connector, pool }
    }

    async fn pair(&self) -> (AltsStream<Wire>, AltsStream<Wire>) {
        let ((near, _), (far, _)) = wires(usize::MAX);
        let (near, far) = tokio::join!(self.connector.connect(near), self.acceptor.accept(far));
        let (mut near, mut far) = (near.unwrap(), far.unwrap());
        far.write_all(b"welcome").await.unwrap();
        let mut first = [0; 7];
        near.read_exact(&mut first).await.unwrap();
        (near, far)
    }

    /// Live heap that so many idle connections add, and how many of them were resumed.
    async fn idle(&self) -> (isize, usize) {
        for _ in 0..BEFORE {
            self.pair().await;
        }
        let mut held = Vec::with_capacity(CONNECTIONS);
        let before = live();
        for _ in 0..CONNECTIONS {
            held.push(self.pair().await);
        }
        let added = live() - before;
        assert_nothing_out(&self.pool);
        let resumed = held.iter().filter(|(near, _)| near.negotiated().resumed.is_some()).count();
        (added, resumed)
    }
}

#[tokio::test]
async fn tickets_cost_idle_connections_nothing() {
    let parties = Parties::new();
    let (off, none) = Sides::new(&parties, false).idle().await;
    let (on, resumed) = Sides::new(&parties, true).idle().await;
    assert_eq!((none, resumed), (0, CONNECTIONS));
    println!("{CONNECTIONS} idle connections, both ends: {off} bytes without tickets, {on} with");
    assert!(off > 0);
    // Less than a pointer for each.
    assert!(on - off < CONNECTIONS.cast_signed() * 8, "{on} bytes, {off} without tickets");
}
