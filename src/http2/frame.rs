//! Frames, the units of HTTP/2 (RFC 9113, sections 4 and 6): slices in, slices out, no I/O.
//!
//! ```text
//!  0         3      4       5            9                     9 + length
//!  │ length  │ kind │ flags │ R · stream │ payload               │
//!  └──────────── Head ─────────────────── ┴ one type for each kind ┘
//! ```
//!
//! * [`Head`] is the nine bytes that begin every frame.
//! * Each kind of frame has a type with a `parse` that checks all that the frame itself can show to be wrong, and a `write` that
//!   cannot fail. What depends on the connection (is this stream open, is there window) is not checked here.
//! * [`Splitter`] cuts a byte stream into heads and payloads. DATA comes in pieces of any size, and a program with a buffer of its
//!   own can read a payload straight into it.
//!
//! The rest of this crate's HTTP/2 is built on these; they are public for protocols and tools of others.

mod code;
mod data;
mod go_away;
mod head;
mod headers;
mod ping;
mod priority;
mod reset;
mod settings;
mod splitter;
mod violation;
mod window_update;

pub use code::ErrorCode;
pub use data::Data;
pub use go_away::GoAway;
pub use head::{Head, Kind, flag};
pub use headers::{Continuation, Headers};
pub use ping::Ping;
pub use priority::Priority;
pub use reset::Reset;
pub use settings::{Setting, Settings};
pub use splitter::{Part, Splitter};
pub use violation::{Scope, Violation};
pub use window_update::WindowUpdate;

/// What a client sends before its first frame (RFC 9113, section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The largest payload that any peer accepts unless it says otherwise, in bytes, and the least it may be set to (RFC 9113, section
/// 6.5.2).
pub const DEFAULT_MAX_FRAME_SIZE: u32 = 1 << 14;

/// The largest payload that a head can announce, in bytes.
pub const LARGEST_FRAME_SIZE: u32 = (1 << 24) - 1;

/// The window of a connection, and of each stream unless settings say otherwise, in bytes (RFC 9113, section 6.9.2).
pub const DEFAULT_WINDOW: u32 = 65_535;

/// The largest window, in bytes, and the largest stream identifier.
pub const LARGEST_WINDOW: u32 = (1 << 31) - 1;

/// A big-endian number at `at`. The caller has checked the length.
fn u32_at(payload: &[u8], at: usize) -> u32 {
    payload[at..at + 4].iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}
