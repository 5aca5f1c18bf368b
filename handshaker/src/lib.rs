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
//! authorities per trust domain, and a policy that says who may be the peer. They come from PEM files or, with the feature
//! `workload-api`, from the SPIFFE Workload API.
//!
//! Or a service does it for programs on the same machine, which then hold no private key: gRPC's `HandshakerService`, which
//! gRPC's own ALTS implementations use as they are. `service` (feature `service`) is one over the same engine,
//! `alts-handshaker serve` (feature `serve`) a daemon of it, and `RemoteHandshaker` (feature `remote`) asks one: that daemon, or
//! Google Cloud's. The folder `deploy` has a systemd unit and a Kubernetes side-car.
//!
//! The engine reads no clock and does not wait: the time of day is an argument, and so are the peer's bytes. A driver
//! writes what a step gives, gives it what arrives, and ends a handshake that takes too long with
//! [`HandshakeSession::fail`].
//!
//! Two ends in one process, under certificates of a development authority (feature `dev-ca`):
//!
#![cfg_attr(feature = "dev-ca", doc = "```")]
#![cfg_attr(not(feature = "dev-ca"), doc = "```ignore")]
//! use std::{sync::Arc, time::SystemTime};
//! use alts_handshaker::{dev_ca::DevCa, HandshakeOptions, LocalHandshaker, Role, identity::Policy};
//!
//! let now = SystemTime::now();
//! let authority = DevCa::new(now)?;
//! let cart = authority.issue("spiffe://dev.local/cart", now)?.identity(now)?;
//! let stock = authority.issue("spiffe://dev.local/stock", now)?.identity(now)?;
//!
//! let options = HandshakeOptions::default();
//! let mut client = LocalHandshaker::builder(Arc::new(cart))
//!     .server_policy(Policy::from_rules(["spiffe://dev.local/stock"])?)
//!     .build()
//!     .handshake(Role::Client, &options)?;
//! let mut server = LocalHandshaker::builder(Arc::new(stock)).build().handshake(Role::Server, &options)?;
//!
//! let (mut offer, mut answer, mut finish) = (Vec::new(), Vec::new(), Vec::new());
//! client.step(&[], now, &mut offer)?;
//! server.step(&offer, now, &mut answer)?;
//! let to_stock = client.step(&answer, now, &mut finish)?.result.expect("the client is done first");
//! let to_cart = server.step(&finish, now, &mut Vec::new())?.result.expect("now both are");
//! assert_eq!(to_stock.key_data, to_cart.key_data);
//! assert_eq!(to_cart.peer.name(), "spiffe://dev.local/cart");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

/// Under the name that tests outside use: some of their modules are used inside, too.
#[cfg(test)]
extern crate self as alts_handshaker;

pub mod accept;
#[cfg(feature = "admin")]
pub mod admin;
mod alert;
#[cfg(feature = "cli")]
pub mod cli;
mod counters;
/// The examples of the README are compiled.
#[cfg(all(doctest, feature = "remote", feature = "serve"))]
#[doc = include_str!("../README.md")]
mod readme {}

#[cfg(feature = "dev-ca")]
pub mod dev_ca;
mod engine;
mod error;
mod foreign;
pub mod identity;
mod labels;
#[cfg(feature = "tokio")]
mod limits;
mod local;
#[cfg(feature = "prometheus")]
pub mod prometheus;
#[cfg(any(feature = "remote", feature = "service"))]
pub mod proto;
#[cfg(feature = "remote")]
pub mod remote;
pub mod resumption;
mod role;
#[cfg(any(feature = "remote", feature = "service"))]
mod rpc_status;
#[cfg(feature = "service")]
pub mod service;
mod session;
mod watch;

pub use alert::AlertCode;
pub use counters::{Durations, HandshakeCounters, HandshakeStats, RoleStats};
pub use engine::{Handshake, Suite};
pub use error::Error;
pub use foreign::ForeignProtocol;
#[cfg(feature = "tokio")]
pub use limits::{Arrival, CorePermit, HalfOpen, HandshakeLimits, LimitOptions, RefusalPermit};
pub use local::{LocalHandshaker, LocalHandshakerBuilder};
#[cfg(feature = "remote")]
pub use remote::{RemoteHandshaker, RemoteHandshakerBuilder};
pub use role::Role;
pub use session::{
    HandshakeOptions, HandshakeResult, HandshakeSession, Handshaker, KeyData, LateAlert,
    RecordProtocol, RpcVersion, RpcVersions, Step,
};
