//! Handshakers for ALTS: two sides prove to each other who they are, agree on how to talk, and derive keys for an ALTS record
//! protocol. What they do with the keys is not this package's business; it knows neither records nor sockets.
//!
//! ```text
//!  peer's bytes ─► HandshakeSession::poll_step ─► bytes for the peer
//!                            │
//!                            └─► HandshakeResult: keys, protocols, who the peer is
//! ```
//!
//! A [`Handshaker`] starts [`HandshakeSession`]s. [`LocalHandshaker`] does the handshake `altsh1` in this process, which
//! `PROTOCOL.md` specifies, under an identity from [`identity`]: X.509 certificates with SPIFFE IDs, one set of trusted
//! authorities per trust domain, and a policy that says who may be the peer.
//!
//! Nothing here reads a clock or waits: the time of day is an argument, and so are the peer's bytes. A driver writes what
//! a step gives, gives it what arrives, and ends a handshake that takes too long with [`HandshakeSession::fail`].

#[cfg(feature = "dev-ca")]
pub mod dev_ca;
mod engine;
mod error;
pub mod identity;
#[cfg(feature = "tokio")]
mod limits;
mod local;
mod session;

pub use engine::{Handshake, SealedAlertKey, Suite};
pub use error::{AlertCode, Error, ForeignProtocol};
#[cfg(feature = "tokio")]
pub use limits::{HalfOpen, HandshakeLimits, LimitOptions};
pub use local::{LocalHandshaker, LocalHandshakerBuilder};
pub use session::{
    HandshakeOptions, HandshakeResult, HandshakeSession, Handshaker, KeyData, RecordProtocol, Role, RpcVersion,
    RpcVersions, Step,
};
