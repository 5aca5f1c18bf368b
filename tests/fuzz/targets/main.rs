//! Property tests that are also fuzzers. `cargo test` replays the corpora beside the targets and adds a few seconds of random
//! inputs; `tests/fuzz/run` hands the same functions to libFuzzer for as long as one likes.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod altsh1;
mod certificates;
mod choices;
mod edits;
mod hpack;
mod http2;
mod http2_client;
mod identities;
mod insider;
mod insider_records;
mod nbd;
mod nbd_client;
mod path;
mod pool;
mod record_opener;
mod record_round_trip;
mod runtime;
#[cfg(feature = "service")]
mod service;
mod stream;
#[path = "../../support/mod.rs"]
mod support;
mod ticket_frames;
mod ticket_keys;
mod ticket_offers;
mod tickets;
#[path = "../../pool/wakers.rs"]
mod wakers;
mod yamux;

/// Random inputs that `cargo test` adds to the corpus of a quick target.
const MANY: usize = 2_000;
/// The same for a slow one.
const FEW: usize = 300;
