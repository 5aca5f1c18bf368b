//! NBD, the Network Block Device protocol, on [`alts`]: a server and a client whose memory is chosen.
//!
//! ```text
//!  server         connections: TCP, Unix sockets, ALTS, TLS
//!    ├─ negotiation   the handshake, without I/O
//!    └─ export        what is served, and how its memory is bounded
//!         └─ backend  files, memory, slices, overlays
//!  wire           messages: bytes in, values out, and back
//! ```
//!
//! [`wire`] does no I/O and knows no state. What stands above it imports downwards only.

pub mod wire;
