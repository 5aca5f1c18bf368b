//! From a socket to an [`AltsStream`](crate::AltsStream): the handshake, within limits.
//!
//! [`Acceptor`] and [`Connector`] hold what the connections of a server or a client have in common: the handshaker and the
//! [`Settings`]. On tokio, [`Acceptor::incoming`] accepts and secures the connections of a [`Listener`], [`Acceptor::accept`] and
//! [`Connector::connect`] secure one [`Socket`] each, and an [`AcceptLoop`] accepts connections without securing them. In an event loop without
//! tokio, `start` begins a [`MidHandshake`] over a non-blocking socket.
//!
//! # Tests with a stopped clock
//!
//! Handshakes on tokio use tokio's timer. While its clock is stopped (`tokio::time::pause`, `start_paused`), it jumps to the next
//! timeout as soon as no task of the runtime can go on. That works if both sides run in this one runtime. If the peer runs on
//! another thread or in another process, the runtime looks idle while it waits for the peer, and each handshake times out at
//! once, however long its timeout: let the clock run during handshakes (`tokio::time::resume`), or keep a `spawn_blocking` task
//! running meanwhile, which keeps the clock from jumping. A finished [`AltsStream`](crate::AltsStream) uses no timer of tokio's.

#[cfg(feature = "tokio")]
mod deadline;
#[cfg(feature = "tokio")]
mod dial;
#[cfg(feature = "tokio")]
mod drive;
mod endpoint;
mod failure;
#[cfg(feature = "tokio")]
mod farewell;
#[cfg(feature = "tokio")]
mod future;
mod handshaking;
#[cfg(feature = "tokio")]
mod incoming;
mod nonblocking;
mod observed;
mod settings;
#[cfg(feature = "tokio")]
mod socket;

pub use alts_handshaker::accept::concerns_one_connection;
#[cfg(feature = "tokio")]
pub use alts_handshaker::accept::{AcceptLoop, Listener};
#[cfg(feature = "tokio")]
pub use dial::dial;
#[cfg(all(feature = "tokio", feature = "tonic"))]
pub(crate) use dial::dial_until;
pub use endpoint::{Acceptor, Connector};
#[cfg(feature = "tokio")]
pub use future::HandshakeFuture;
#[cfg(feature = "tokio")]
pub use incoming::Incoming;
pub use nonblocking::{MidHandshake, Progress};
pub use settings::Settings;
#[cfg(feature = "tokio")]
pub use socket::Socket;
