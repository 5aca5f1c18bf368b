//! A world for tests: a development authority, handshakers under its identities, and connected pairs.

#![allow(dead_code, reason = "each test binary uses another part of it")]

use std::sync::Arc;
use std::time::SystemTime;

use alts::handshaker::LocalHandshaker;
use alts::handshaker::dev_ca::DevCa;
use alts::handshaker::identity::{Identity, Policy};
use alts::{Acceptor, AltsStream, Connector, Settings};
use tokio::net::{TcpListener, TcpStream, UnixStream};

pub const SERVER: &str = "spiffe://dev.local/server";
pub const CLIENT: &str = "spiffe://dev.local/client";

/// One authority and an identity for each side.
pub struct World {
    pub ca: DevCa,
    pub server: Arc<Identity>,
    pub client: Arc<Identity>,
}

impl World {
    pub fn new() -> Self {
        let now = SystemTime::now();
        let ca = DevCa::new(now).unwrap();
        let server = ca.issue(SERVER, now).unwrap().identity(now).unwrap();
        let client = ca.issue(CLIENT, now).unwrap().identity(now).unwrap();
        Self { ca, server, client }
    }

    pub fn server_handshaker(&self) -> LocalHandshaker {
        LocalHandshaker::builder(Arc::new(self.server.clone())).build()
    }

    pub fn client_handshaker(&self) -> LocalHandshaker {
        let policy = Policy::from_rules([SERVER]).unwrap();
        LocalHandshaker::builder(Arc::new(self.client.clone())).server_policy(policy).build()
    }

    pub fn acceptor(&self, settings: Settings) -> Acceptor {
        Acceptor::with_settings(self.server_handshaker(), settings)
    }

    pub fn connector(&self, settings: Settings) -> Connector {
        Connector::with_settings(self.client_handshaker(), settings)
    }

    /// A connected pair over TCP, the client first.
    pub async fn tcp_pair(
        &self,
        client: Settings,
        server: Settings,
    ) -> (AltsStream<TcpStream>, AltsStream<TcpStream>) {
        let (near, far) = tcp_sockets().await;
        let (acceptor, connector) = (self.acceptor(server), self.connector(client));
        let (near, far) = tokio::join!(connector.connect(near), acceptor.accept(far));
        (near.unwrap(), far.unwrap())
    }

    /// A connected pair over Unix sockets, the client first.
    pub async fn unix_pair(
        &self,
        client: Settings,
        server: Settings,
    ) -> (AltsStream<UnixStream>, AltsStream<UnixStream>) {
        let (near, far) = UnixStream::pair().unwrap();
        let (acceptor, connector) = (self.acceptor(server), self.connector(client));
        let (near, far) = tokio::join!(connector.connect(near), acceptor.accept(far));
        (near.unwrap(), far.unwrap())
    }
}

/// Two ends of a TCP connection on loopback.
pub async fn tcp_sockets() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (near, far) = tokio::join!(TcpStream::connect(address), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

/// `len` bytes that differ from place to place.
pub fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}
