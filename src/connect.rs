//! From a socket to an [`AltsStream`](crate::AltsStream): the handshake, within limits.
//!
//! [`Acceptor`] and [`Connector`] hold what the connections of a server or a client have in common: the handshaker and the
//! [`Settings`]. On tokio, [`Acceptor::accept`] and [`Connector::connect`] secure one [`Socket`] each. In an event loop without
//! tokio, `start` begins a [`MidHandshake`] over a non-blocking socket.

#[cfg(feature = "tokio")]
mod drive;
mod endpoint;
#[cfg(feature = "tokio")]
mod farewell;
#[cfg(feature = "tokio")]
mod future;
mod handshaking;
mod nonblocking;
mod settings;
#[cfg(feature = "tokio")]
mod socket;

pub use endpoint::{Acceptor, Connector};
#[cfg(feature = "tokio")]
pub use future::HandshakeFuture;
pub use nonblocking::{MidHandshake, Progress};
pub use settings::Settings;
#[cfg(feature = "tokio")]
pub use socket::Socket;
