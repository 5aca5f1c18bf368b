//! Relays between real sockets: what arrives, by which path, how an ending crosses, and what is held in between.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod endings;
mod limits;
mod paths;
mod stuck;
#[path = "../support/mod.rs"]
mod support;

use alts::relay::{Relay, RelayOptions, Summary, relay};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use support::tcp_sockets;

/// A relay between two TCP connections, and the far ends of both.
struct Between {
    left: TcpStream,
    right: TcpStream,
    relay: JoinHandle<Summary>,
}

async fn between(options: &RelayOptions) -> Between {
    let (left, a) = tcp_sockets().await;
    let (b, right) = tcp_sockets().await;
    for socket in [&left, &right, &a, &b] {
        socket.set_nodelay(true).unwrap();
    }
    let relay: Relay<_, _> = relay(a, b, options);
    Between { left, right, relay: tokio::spawn(relay) }
}
