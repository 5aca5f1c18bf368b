//! What tests share: a development authority, handshakers under its identities, and connected pairs.

#![allow(dead_code, reason = "each test binary uses another part of it")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

pub(crate) mod by_hand;
pub(crate) mod double;
pub(crate) mod pair;
pub(crate) mod polling;
pub(crate) mod rng;
pub(crate) mod tickets;
pub(crate) mod wire;

use std::sync::Arc;
use std::time::SystemTime;

use alts::connect::{Settings, Socket};
use alts::handshaker::LocalHandshaker;
use alts::handshaker::dev_ca::DevCa;
use alts::handshaker::identity::{Identity, Policy};
use alts::pool::{BufferPool, PoolStats};
use alts::{Acceptor, AltsStream, Connector};
use tokio::net::{TcpListener, TcpStream, UnixStream};

pub(crate) const SERVER: &str = "spiffe://dev.local/server";
pub(crate) const CLIENT: &str = "spiffe://dev.local/client";

/// One authority and an identity for each side.
pub(crate) struct Parties {
    pub(crate) ca: DevCa,
    pub(crate) server: Arc<Identity>,
    pub(crate) client: Arc<Identity>,
}

impl Parties {
    pub(crate) fn new() -> Self {
        let now = SystemTime::now();
        let ca = DevCa::new(now).unwrap();
        let server = ca.issue(SERVER, now).unwrap().identity(now).unwrap();
        let client = ca.issue(CLIENT, now).unwrap().identity(now).unwrap();
        Self { ca, server, client }
    }

    pub(crate) fn server_handshaker(&self) -> LocalHandshaker {
        LocalHandshaker::builder(Arc::new(self.server.clone())).build()
    }

    pub(crate) fn client_handshaker(&self) -> LocalHandshaker {
        let policy = Policy::from_rules([SERVER]).unwrap();
        LocalHandshaker::builder(Arc::new(self.client.clone())).server_policy(policy).build()
    }

    pub(crate) fn acceptor(&self, settings: Settings) -> Acceptor {
        Acceptor::with_settings(self.server_handshaker(), settings)
    }

    pub(crate) fn connector(&self, settings: Settings) -> Connector {
        Connector::with_settings(self.client_handshaker(), settings)
    }

    /// A connected pair over TCP, the client first.
    pub(crate) async fn tcp_pair(
        &self,
        client: Settings,
        server: Settings,
    ) -> (AltsStream<TcpStream>, AltsStream<TcpStream>) {
        let (near, far) = tcp_sockets().await;
        self.pair_over(near, far, client, server).await
    }

    /// A connected pair over Unix sockets, the client first.
    pub(crate) async fn unix_pair(
        &self,
        client: Settings,
        server: Settings,
    ) -> (AltsStream<UnixStream>, AltsStream<UnixStream>) {
        let (near, far) = UnixStream::pair().unwrap();
        self.pair_over(near, far, client, server).await
    }

    /// A connected pair over sockets that are there already, the client first.
    pub(crate) async fn pair_over<S: Socket + 'static>(
        &self,
        near: S,
        far: S,
        client: Settings,
        server: Settings,
    ) -> (AltsStream<S>, AltsStream<S>) {
        let (acceptor, connector) = (self.acceptor(server), self.connector(client));
        let (near, far) = tokio::join!(connector.connect(near), acceptor.accept(far));
        (near.unwrap(), far.unwrap())
    }
}

/// Two ends of a TCP connection on loopback.
pub(crate) async fn tcp_sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

/// `len` bytes that differ from place to place.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}

/// Settings over `pool`, changed as needed.
pub(crate) fn settings(pool: &BufferPool, change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = Settings::default();
    settings.pool = pool.clone();
    change(&mut settings);
    settings
}

/// Nobody holds or waits for a buffer.
#[track_caller]
pub(crate) fn assert_nothing_out(pool: &BufferPool) {
    let stats = pool.stats();
    let PoolStats { in_use_buffers, overdraft_bytes, beyond_cap_buffers, waiting, .. } = stats;
    let out = (in_use_buffers, overdraft_bytes, beyond_cap_buffers, waiting);
    assert_eq!(out, (0, 0, 0, 0), "{stats:?}");
}
