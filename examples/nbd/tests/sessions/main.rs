//! Captured sessions of widespread clients and servers.

mod captured;
mod wire;
