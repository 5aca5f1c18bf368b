//! ALTS secure transport whose idle connections hold no memory.
//!
//! **Memory is held only while bytes move.** A reader waits until its socket is readable, then takes a buffer from a pool, reads,
//! opens the records in place, and hands up the plaintext in that same buffer. The buffer returns to the pool when its last slice
//! is dropped.
//!
//! ```text
//!  socket readable ─► take a pooled buffer ─► read ─► open records in place, plaintext packed at the front
//!                                                                     │
//!       pool ◄─ last slice dropped ◄─ application ◄───────────────────┘   the same memory, handed up
//! ```
//!
//! # Layers
//!
//! ```text
//!  Connector, Acceptor      a handshake over a socket, within limits
//!    │        └─ handshaker   the package alts-handshaker: identity, keys, authorization; no I/O
//!    ▼
//!  AltsStream               a secured byte stream
//!    ├─ record              the ALTS record protocol: slices in, slices out
//!    └─ ready               on-ready reads: ReadyReader
//!         └─ pool           BufferPool
//! ```
//!
//! Each works without what is above it: the record protocol with keys from elsewhere, on-ready reads for plain sockets, the
//! pool for anything.
//!
//! # Start
//!
//! A server makes an [`Acceptor`], a client a [`Connector`], both from a [`Handshaker`](handshaker::Handshaker); in-process that is
//! [`LocalHandshaker`](handshaker::LocalHandshaker) with an identity from PEM files. Both give an [`AltsStream`]. This example makes
//! its identities with the feature `dev-ca`; the README has a server and a client that read theirs from files.
//!
//! ```
//! use std::time::SystemTime;
//! use alts::handshaker::{LocalHandshaker, dev_ca::DevCa, identity::Policy};
//! use alts::{Acceptor, Connector};
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use tokio::net::UnixStream;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = SystemTime::now();
//! let ca = DevCa::new(now)?;
//! let server = ca.issue("spiffe://dev.local/server", now)?.identity(now)?;
//! let client = ca.issue("spiffe://dev.local/client", now)?.identity(now)?;
//!
//! let acceptor = Acceptor::new(LocalHandshaker::builder(server).build());
//! let policy = Policy::from_rules(["spiffe://dev.local/server"])?;
//! let connector = Connector::new(LocalHandshaker::builder(client).server_policy(policy).build());
//!
//! let (near, far) = UnixStream::pair()?;
//! let (near, far) = tokio::join!(connector.connect(near), acceptor.accept(far));
//! let (mut near, mut far) = (near?, far?);
//! assert_eq!(far.peer().name(), "spiffe://dev.local/client");
//!
//! near.write_all(b"hello").await?;
//! near.shutdown().await?;
//! let mut received = String::new();
//! far.read_to_string(&mut received).await?;
//! assert_eq!(received, "hello");
//! assert!(far.peer_closed_authenticated());
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! They add and never change behavior.
//!
//! | feature | what it adds |
//! | --- | --- |
//! | `tokio` (default) | streams, [`Connector`] and [`Acceptor`] on tokio, [`ReadyReader`](ready::ReadyReader) for its sockets |
//! | `mio` | on-ready reads for mio's sockets; streams over them, and over any non-blocking socket of `std::io`, work without it |
//! | `tonic` | gRPC |
//! | `http2` | HTTP/2 on on-ready reads, for tower's services |
//! | `http1` | HTTP/1.1 on hyper, without buffers between requests |
//! | `axum` | secured connections for `axum::serve`, and who calls |
//! | `codec` | messages by the codecs of tokio-util: `ready::Framed` |
//! | `yamux` | many streams in one connection |
//! | `relay` | two connections joined into one |
//! | `plain` | TCP, Unix sockets and systemd's as one type, by addresses as people write them |
//! | `prometheus` | all that an operator sees, for a registry of prometheus-client |
//! | `admin` | pages with health and metrics, signals, systemd: `alts::handshaker::admin` |
//! | `cli` | what the command `alts` needs |
//! | `aws-lc-rs` | AWS-LC for the cryptography of records, where [`StreamOptions::aead`] asks for it |
//! | `dev-ca` | an authority for development and tests: `alts::handshaker::dev_ca` |
//! | `remote` | `RemoteHandshaker`, which asks a HandshakerService |
//! | `workload-api` | `WorkloadApi`, an identity from the SPIFFE Workload API |
//! | `service` | that service, for a tonic server |
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "axum")]
pub mod axum;
pub mod connect;
mod error;
#[cfg(doc)]
pub mod guide;
#[cfg(feature = "http1")]
pub mod http1;
#[cfg(feature = "http2")]
pub mod http2;
pub mod observer;
#[cfg(all(unix, feature = "plain"))]
pub mod plain;
pub mod pool;
#[cfg(feature = "prometheus")]
pub mod prometheus;
pub mod ready;
pub mod record;
#[cfg(feature = "relay")]
pub mod relay;
mod stream;
#[cfg(feature = "tonic")]
pub mod tonic;
#[cfg(feature = "yamux")]
pub mod yamux;

pub use alts_handshaker as handshaker;
#[cfg(feature = "tokio")]
pub use connect::Incoming;
pub use connect::{Acceptor, Connector};
pub use error::{Error, Fault, Truncation};
pub use stream::{AltsStream, Negotiated, SecurityLevel, StreamOptions};
#[cfg(feature = "tokio")]
pub use stream::{IntoSplit, ReadHalf, Reunite, ReuniteError, WriteHalf};

/// A secured stream as one end of a relay: its bytes have to be copied, and its end counts only if the peer announced it.
#[cfg(feature = "relay")]
impl<S> relay::RelayEnd for AltsStream<S>
where
    Self: ready::ReadyReader + ::tokio::io::AsyncWrite,
    S: Unpin,
{
    fn ended_cleanly(&self) -> bool {
        self.peer_closed_authenticated() || !self.negotiated().close_notify
    }
}

/// A plain stream as one end of a relay, which the kernel can move the bytes of.
#[cfg(all(unix, feature = "plain", feature = "relay"))]
impl relay::RelayEnd for plain::PlainStream {
    fn bare(&self) -> Option<relay::BareSocket<'_>> {
        match self {
            Self::Tcp(socket) => socket.bare(),
            Self::Unix(socket) => socket.bare(),
        }
    }

    fn abort(self) {
        match self {
            Self::Tcp(socket) => socket.abort(),
            Self::Unix(socket) => socket.abort(),
        }
    }
}

/// A stream of a session as one end of a relay. Buffers with its bytes come from the session's pool: give the relay the same one, so
/// that a receiver that has stopped is noticed before it keeps the pool from others.
#[cfg(all(feature = "relay", feature = "yamux"))]
impl relay::RelayEnd for yamux::Stream {
    /// Resets it.
    fn abort(self) {
        self.reset(0);
    }
}

/// The README's examples compile, those for gRPC too.
#[cfg(all(doctest, feature = "tonic"))]
#[doc = include_str!("../README.md")]
struct Readme;
