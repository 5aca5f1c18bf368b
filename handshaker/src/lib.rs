//! The `altsh1` handshake.

mod engine;
mod error;
pub mod identity;
mod local;
mod session;
