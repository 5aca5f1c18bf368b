//! The client: with this package's server, and with servers that say what they like.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod cancelled;
mod handshake;
mod hostile;
mod memory;
mod reconnect;
mod requests;
mod scripted;
mod secured;
