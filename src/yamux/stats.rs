//! What a session has done and holds.

use std::time::Duration;

/// The figures of a session at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct SessionStats {
    /// Streams that are open, of both sides.
    pub streams: u32,
    /// Those of them that the peer opened.
    pub incoming: u32,
    /// Those of them that wait to be accepted.
    pub queued: u32,
    /// Streams that this side has opened, from the start, modulo 2^32.
    pub opened: u32,
    /// Streams that this side has accepted, from the start, modulo 2^32.
    pub accepted: u32,
    /// Streams that this side has refused, from the start, modulo 2^32.
    pub refused: u32,
    /// Streams that the peer has reset, from the start, modulo 2^32.
    pub resets_received: u32,
    /// Streams that this side has reset, from the start, modulo 2^32; refused ones are not among them.
    pub resets_sent: u32,
    /// Bytes of bodies received, from the start.
    pub received_bytes: u64,
    /// Bytes of bodies written, from the start.
    pub sent_bytes: u64,
    /// Bytes of the pool that hold unread data.
    pub held_bytes: usize,
    /// Bytes that are written and not yet on their way, headers included.
    pub waiting_bytes: usize,
    /// The latest round-trip time. Measured by pings only.
    pub rtt: Option<Duration>,
}
