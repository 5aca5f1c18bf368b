//! A handshaker service in this process, asked over a Unix socket by callers of every kind.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up fails")]

mod alerts;
mod bad_requests;
mod handshakes;
mod identities;
mod life;
mod limits;
mod remote;
mod strange_services;
mod support;
mod tickets;
mod unread;
