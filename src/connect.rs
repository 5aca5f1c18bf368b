//! From a socket to an [`AltsStream`]: the handshake, within limits.

mod endpoint;
mod handshaking;
mod nonblocking;
#[cfg(feature = "tokio")]
mod tokio;

pub use endpoint::{Acceptor, Connector, Settings};
pub use nonblocking::{Advance, MidHandshake};
#[cfg(feature = "tokio")]
pub use tokio::{Handshake, Socket};
