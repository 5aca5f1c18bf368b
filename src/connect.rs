//! From a socket to an [`AltsStream`](crate::AltsStream): the handshake, within limits.
//!
//! [`Acceptor`] and [`Connector`] hold what the connections of a server or a client have in common: the handshaker and the
//! [`Settings`]. On tokio, [`Acceptor::incoming`] accepts and secures the connections of a [`Listener`], [`Acceptor::accept`] and
//! [`Connector::connect`] secure one [`Socket`] each, and an [`AcceptLoop`] accepts connections that are not to be secured. In an event loop without
//! tokio, `start` begins a [`MidHandshake`] over a non-blocking socket.

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
