//! Captured sessions of widespread clients and servers.

mod captured;
mod replay;
mod transcript;
mod wire;
