//! Identity: names, keys, certificate chains, the chain cache, files.

mod authority;
mod cache;
mod chain;
mod extensions;
mod files;
mod keys;
mod names;
mod revocation;
mod trust;
