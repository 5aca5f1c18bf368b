//! The server, and clients that say what they like.

mod crash;
mod failures;
mod handshake;
mod hostile;
mod memory;
mod raw;
mod transmission;
