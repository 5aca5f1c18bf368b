//! HTTP/2 whose idle connections hold no memory: unmodified services of tonic, tower and axum over any
//! [`ReadyReader`](crate::ready::ReadyReader).
//!
//! ```text
//!  socket readable ─► take a pooled buffer ─► read ─► frames parsed in place ─► handlers
//!                          ▲                               │ content: a slice of the buffer where it is most of it,
//!                          │                               │          copied behind what waits where it is not
//!                          └──── when the task sleeps ◄────┘
//!
//!  Server ─► Connection: one future            the transport, the service, 112 bytes
//!              ├─ core, without I/O and clock  windows, limits, and the peer's header table, as large as it is
//!              └─ only while something is open: streams, handlers, bytes that wait for the kernel
//! ```
//!
//! [`Server`] serves connections, a [`Client`](client::Client) makes calls. [`frame`] and [`hpack`] are the layers below, for protocols and tools of others. Nothing here knows
//! ALTS, tonic, hyper or h2.
//!
//! # What is supported
//!
//! HTTP/2 by prior knowledge (RFC 9113), in plaintext or over a transport that secures it. Trailers, flow control, cancellation, graceful
//! ends, keepalive; for gRPC, `grpc-timeout` over the whole call. No server push, no CONNECT, no upgrade from HTTP/1, no priorities. Nothing
//! is added to responses: neither `date` nor `content-length`.
//!
//! # Limits
//!
//! What a peer can make a server hold or do, and what stops it. Each setting is one of [`ServerBuilder`](server::ServerBuilder).
//!
//! | what a peer may try | what stops it | default |
//! | --- | --- | --- |
//! | many requests at a time | `max_concurrent_streams`; more are refused | 100 |
//! | content that no handler reads | `stream_window`, `connection_window` | 256 KiB, 1 MiB |
//! | many tiny frames, so that each holds a buffer | small payloads are copied into one tail for each stream | window + 4 KiB |
//! | large metadata | `max_header_list_size`, checked while decoding: 431, or the end beyond 4 times that | 16 KiB |
//! | large metadata in every request | what all of them take in memory, at most `max_concurrent_streams` times `max_header_list_size`; more are refused | 1.6 MiB |
//! | header blocks without end | 8 CONTINUATION frames, and 4 times the list's limit in bytes | 64 KiB |
//! | filling the compression table | `header_table_size`; it takes as many bytes as it has | 4,096 |
//! | requests that are reset, refused or malformed | a budget: 10,000, and 1,000 a second; each answered call gives one back. One reset in the same read never reaches the service | |
//! | PING, SETTINGS, empty DATA, `WINDOW_UPDATE` | a budget: 2,000, and 200 a second; each answered call and each DATA frame earns more | |
//! | not reading responses | beyond 64 KiB that wait for the kernel no handler is asked, and nothing is read once 64 KiB of answers to control frames or 1,024 events wait; `stall_timeout` | 30 s |
//! | windows that never open | one chunk of a response is held for each stream; `window_timeout` once they keep other requests out | 5 min |
//! | content that keeps the pool's buffers | it is copied when others have waited for buffers for a second | |
//! | half a preface, half a frame | `preface_timeout`, `stall_timeout` | 10 s, 30 s |
//! | no acknowledgment of settings, no end after the end | `settings_timeout`, `drain_timeout`, `linger` | 20 s, 1 s, 2 s |
//! | keeping quiet | `max_connection_idle`, `keepalive` | off |
//!
//! An idle connection holds its task and its socket, and what the peer put into the compression table. At most a connection holds its
//! window in unread content, 16 KiB of metadata and one chunk of a response for each stream, 64 KiB of content and 64 KiB of answers to
//! control frames for the kernel, 1,024 events, and 64 KiB of a header block. `tests/load` has a scenario for each row, with that formula and
//! with honest clients beside. What a handler has taken out of a body is the program's own: large pieces are slices of the pool's buffers,
//! and what keeps them for long should copy them.
//!
//! While data moves, no block above 4 KiB is taken from the heap, but for a single header field that is larger: what is larger is a buffer of
//! the pool. `tests/http2_blocks` counts.

mod body;
mod budget;
pub mod client;
mod connection;
mod error;
pub mod frame;
mod grpc_timeout;
mod head;
pub mod hpack;
mod inbox;
mod input;
mod limits;
mod link;
mod output;
mod pins;
pub mod server;
mod settings;
mod stream;
mod transport;
mod window;

pub use body::Body;
pub use error::{Error, Fault, Initiator, Reason};
pub use server::Server;
