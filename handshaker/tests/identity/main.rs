//! Identity: names, keys, certificate chains, the chain cache, files.
#![expect(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod authority;
mod cache;
mod chain;
mod constraints;
mod distrust;
mod extensions;
mod files;
mod keys;
mod life;
mod log;
mod names;
mod paths;
mod revocation;
mod trust;
