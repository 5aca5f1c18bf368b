//! NBD, the Network Block Device protocol, on [`alts`]: a server whose memory is chosen, and a client.
//!
//! ```text
//!  client           connections to a server: handshake, requests in flight, checked replies
//!
//!  server           connections over any byte stream; memory for requests
//!    ├─ negotiation   the handshake, without I/O
//!    ├─ transmission  which requests are right, without I/O
//!    └─ export        what is served under which name, and how memory is chosen
//!         └─ backend  files, memory, slices, overlays
//!  wire             messages: bytes in, values out, and back
//! ```
//!
//! What stands higher imports downwards only. [`wire`] does no I/O and knows no state.

pub mod backend;
pub mod client;
pub mod export;
pub mod negotiation;
pub mod server;
pub mod transmission;
pub mod wire;

/// The README's examples compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
