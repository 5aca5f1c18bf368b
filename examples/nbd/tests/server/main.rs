//! The server, and clients that say what they like.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod batches;
mod crash;
mod failures;
mod handshake;
mod hostile;
mod identities;
mod memory;
mod raw;
mod secured;
mod status;
mod tls;
mod transmission;
mod unbuffered;
mod yamux;
