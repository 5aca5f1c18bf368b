//! Connections are made to whichever address of a server answers.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod support;

use std::net::SocketAddr;
use std::time::Duration;

use alts::Error;
use alts::connect::{Settings, dial};
use alts::pool::BufferPool;
use support::{Parties, SERVER, settings};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

/// An address that answers nothing: a listener with a full backlog, to which Linux drops further requests.
struct Dead {
    address: SocketAddr,
    _listener: TcpListener,
    _waiting: Vec<TcpStream>,
}

impl Dead {
    async fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut waiting = Vec::new();
        // The first that is not answered shows that the backlog is full.
        let full = async {
            loop {
                let connecting = TcpStream::connect(address);
                match tokio::time::timeout(Duration::from_millis(200), connecting).await {
                    Ok(connected) => waiting.push(connected.unwrap()),
                    Err(_) => return,
                }
            }
        };
        full.await;
        Self { address, _listener: listener, _waiting: waiting }
    }
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_dead_address_does_not_hang() {
    let dead = Dead::new().await;
    let live = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = live.local_addr().unwrap();
    // The outer timeout is far below that of the kernel, which tries for two minutes.
    let connected = dial(&[dead.address, address][..], Duration::from_mins(1)).await.unwrap();
    assert_eq!(connected.peer_addr().unwrap(), address);

    let error = dial(dead.address, Duration::from_millis(300)).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
    assert_eq!(error.to_string(), "no answer before the timeout");
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn the_timeout_of_a_handshake_includes_dialing() {
    let parties = Parties::new();
    let dead = Dead::new().await;
    let connector = parties.connector(settings(&BufferPool::new(), |settings| {
        settings.handshake_timeout = Duration::from_millis(300);
    }));
    let error = connector.dial(dead.address.to_string()).await.unwrap_err();
    let Error::Io { kind, message, .. } = error else { panic!("{error:?}") };
    assert_eq!(kind, std::io::ErrorKind::TimedOut);
    let expected = format!("cannot connect to {}: no answer", dead.address);
    assert!(message.starts_with(&expected), "{message}");
}

#[tokio::test]
async fn a_connector_dials_and_secures() {
    let parties = Parties::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut incoming = parties.acceptor(Settings::default()).incoming(listener);
    let connector = parties.connector(Settings::default());
    // `localhost` is often ::1 first, where nobody listens here.
    let dialing = connector.dial(format!("localhost:{}", address.port()));
    let (stream, accepted) = tokio::join!(dialing, incoming.next());
    assert_eq!(stream.unwrap().peer().name(), SERVER);
    assert!(accepted.is_some());
}
