//! Captured sessions of widespread clients and servers.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod captured;
mod client;
mod replay;
mod transcript;
mod wire;
