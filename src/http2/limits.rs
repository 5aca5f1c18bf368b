//! What a peer can make this side hold or do, and why so much.
//!
//! # Memory of a connection
//!
//! ```text
//!  idle     Connection + the peer's dynamic table (at most header_table_size, and 4 bytes an entry)
//!  at most  connection window                          payload that the application has not read
//!         + max_concurrent_streams x 8 KiB             bodies that came in one read and count as read when they are handed over
//!         + max_concurrent_streams x (max_header_list_size + about 2 KiB)
//!         + UNSENT, and one chunk of a response for each stream
//!         + REPLIES and EVENTS
//!         + `HEADER_BLOCK`, or one frame of 16 KiB that is incomplete
//! ```
//! A payload that is handed up as a slice pins at most [`PIN_RATIO`] times its size of the pool, and until it is read no longer than
//! [`PIN_SECONDS`] while others wait for memory.

use super::frame::ErrorCode;

/// Requests at a time: RFC 9113, section 6.5.2, recommends no fewer than 100.
pub(crate) const MAX_CONCURRENT_STREAMS: u32 = 100;
/// A message of 64 KiB in one round trip, several of them in flight, and not more than 256 KiB for a stream that is not read.
pub(crate) const STREAM_WINDOW: u32 = 256 << 10;
/// Four streams at full speed; what a connection holds of unread payload.
pub(crate) const CONNECTION_WINDOW: u32 = 1 << 20;
/// As hyper's; gRPC's implementations send and take 8 KiB unless told otherwise.
pub(crate) const MAX_HEADER_LIST_SIZE: u32 = 16 << 10;
/// HTTP/2's own: some peers' encoders ignore a smaller one, and lose the connection at their second request.
pub(crate) const HEADER_TABLE_SIZE: u32 = 4_096;

/// Bytes of one header block before it is decoded: four times the list, since Huffman's code saves three eighths at best but literals
/// can be coded worse than raw.
pub(crate) const HEADER_BLOCK_RATIO: usize = 4;
/// CONTINUATION frames of one header block, as many as nghttp2 takes (CVE-2024-28182).
pub(crate) const CONTINUATIONS: u8 = 8;
/// A header list beyond the limit ends the stream; beyond this many times the limit, the connection.
pub(crate) const LIST_ABUSE_RATIO: usize = 4;

/// Bytes that wait for the kernel before bodies are no longer polled and no request is begun. Reading goes on: if both ends stopped reading
/// until the other takes what they send, neither would ever go on.
pub(crate) const UNSENT: usize = 64 << 10;
/// Bytes among those that wait which answer what was read: acknowledgments, credit, resets. A peer that makes this side queue so many and
/// takes none is not read until it does. Flow control keeps those of a peer that sends content far below it.
pub(crate) const REPLIES: usize = 64 << 10;
/// Events that wait in a server whose client takes nothing, before it is not read until it does. An open stream has a few at most; more of
/// them come of requests that are reset at once.
pub(crate) const EVENTS: usize = 1_024;
/// The largest frame that is sent: what every peer takes, and small enough that streams alternate.
pub(crate) const SENT_FRAME: usize = 16 << 10;
/// Payloads of this size and above go to the kernel from where they are; smaller ones are copied behind their head.
pub(crate) const COPIED: usize = 4 << 10;
/// Memory for frames on their way out, a piece at a time. Nothing larger comes from the heap: what the C library cuts off the end of its
/// heap and takes again costs more than several slices a write.
pub(crate) const PAGE: usize = 4 << 10;
/// Pages that a thread keeps for what comes next, beside the one that is in use: as many as `UNSENT` fills.
pub(crate) const SPARE: usize = 15;
/// Memory that small payloads are gathered in, a piece at a time.
pub(crate) const TAIL: usize = 4 << 10;
/// Payloads below this are copied out of the read buffer: to copy them costs less than to keep the buffer.
pub(crate) const SLICED: usize = 8 << 10;
/// A slice keeps its whole buffer, so it must be at least this part of it.
pub(crate) const PIN_RATIO: usize = 4;

/// A bucket that refills with time, and with work that got done.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    /// How many there are at first, and at most unless work has earned more.
    pub(crate) size: u32,
    /// How many there are at most, with those that work has earned.
    pub(crate) earned: u32,
    /// How many come back in a second.
    pub(crate) per_second: u32,
    /// What a peer is told that has used them up.
    pub(crate) exhausted: &'static str,
}

/// What costs this side something and leads nowhere: a request that is reset (CVE-2023-44487), refused, or malformed, each counted with its
/// [weight](weight). A call that is answered gives one back. Honest clients do cancel a thousand calls a second.
pub(crate) const RESETS: Bucket = Bucket {
    size: 10_000,
    earned: 10_000,
    per_second: 1_000,
    exhausted: "too many requests that lead nowhere: resets, refused or malformed ones",
};
/// Frames that only ask for an answer or say nothing: PING, SETTINGS, PRIORITY, unknown kinds, empty DATA, `WINDOW_UPDATE`, frames on streams
/// that are closed. Work gives some back: see [`refund`]. What it earns is kept, since the peer may answer later: as much as for a window of
/// 64 KiB that went out in frames of one byte.
pub(crate) const CONTROL: Bucket = Bucket {
    size: 2_000,
    earned: 3 * (64 << 10),
    per_second: 200,
    exhausted: "too many frames that carry nothing: PING, SETTINGS, WINDOW_UPDATE, empty DATA or the like",
};

/// What is taken from a bucket.
pub(crate) mod weight {
    /// A request that the peer itself resets or that is refused.
    pub(crate) const RESET: u32 = 1;
    /// A request that the peer makes this side reset (CVE-2025-8671).
    pub(crate) const PROVOKED: u32 = 10;
    /// SETTINGS touch every stream and are acknowledged.
    pub(crate) const SETTINGS: u32 = 10;
    /// Any other frame.
    pub(crate) const FRAME: u32 = 1;
}

/// What is given back to the bucket of frames that carry nothing.
pub(crate) mod refund {
    /// For a request that was answered: gRPC's clients send a PING and a few `WINDOW_UPDATE` frames with each.
    pub(crate) const ANSWERED: u32 = 8;
    /// For a DATA frame sent: a `WINDOW_UPDATE` for the stream, one for the connection, and a PING.
    pub(crate) const DATA_SENT: u32 = 3;
    /// For a DATA frame received with content: a PING that measures how long it took.
    pub(crate) const DATA_RECEIVED: u32 = 1;
}

/// Seconds from the start until the preface and the first SETTINGS are here.
pub(crate) const PREFACE_SECONDS: u32 = 10;
/// Seconds in which an incomplete frame other than DATA, or a header block, has to be completed, and in which the peer has to take some of
/// the bytes that wait for it.
pub(crate) const STALL_SECONDS: u32 = 30;
/// Seconds for which a response may wait for window while it keeps other requests out: a client that pauses comes back within minutes.
pub(crate) const WINDOW_SECONDS: u32 = 5 * 60;
/// Seconds for which a payload may keep a buffer of the pool while others wait for one. Then it is copied.
pub(crate) const PIN_SECONDS: u32 = 1;
/// Seconds in which SETTINGS have to be acknowledged.
pub(crate) const SETTINGS_SECONDS: u32 = 20;
/// Seconds between the two GOAWAY frames of an orderly end, unless the peer acknowledges the first sooner.
pub(crate) const DRAIN_SECONDS: u32 = 1;
/// Seconds for which a closed connection still reads, so that the kernel does not withdraw the last bytes sent.
pub(crate) const LINGER_SECONDS: u32 = 2;
/// Bytes that a closed connection still reads.
pub(crate) const LINGER_BYTES: usize = 1 << 20;

/// What a peer that broke a limit is told.
pub(crate) const CALM: ErrorCode = ErrorCode::ENHANCE_YOUR_CALM;
