//! The daemon itself: `alts-handshaker serve` as a process of its own.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up fails")]

mod admin;
mod arguments;
mod daemon;
mod flood;
mod identities;
mod life;
mod tickets;
