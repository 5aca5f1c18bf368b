//! Captured sessions of widespread clients and servers.

mod captured;
mod client;
mod replay;
mod transcript;
mod wire;
