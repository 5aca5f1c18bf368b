//! What a relay did.

use std::fmt;
use std::io;

/// What a relay did until it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// From the first connection to the second.
    pub a_to_b: Way,
    /// From the second connection to the first.
    pub b_to_a: Way,
    /// How the bytes were moved.
    pub path: Path,
}

impl Summary {
    /// Whether both directions ended as their senders wanted.
    pub fn is_clean(&self) -> bool {
        self.a_to_b.end == End::Clean && self.b_to_a.end == End::Clean
    }
}

/// One direction of a relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Way {
    /// Bytes written to the receiving side.
    pub bytes: u64,
    /// How it ended.
    pub end: End,
}

/// How one direction of a relay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The sender ended it, and the receiver has been told.
    Clean,
    /// The sender's stream ended without the close that it had agreed to announce.
    Truncated,
    /// The sender could not be read: it was reset, most often.
    ReadFailed(io::ErrorKind),
    /// The receiver could not be written to.
    WriteFailed(io::ErrorKind),
    /// No byte came for [`idle_timeout`](super::RelayOptions::idle_timeout).
    IdleTimeout,
    /// No byte came for [`close_timeout`](super::RelayOptions::close_timeout) after the other direction had ended.
    CloseTimeout,
    /// [`byte_limit`](super::RelayOptions::byte_limit) was reached.
    ByteLimit,
    /// The other direction failed.
    Aborted,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clean => f.write_str("ended"),
            Self::Truncated => f.write_str("cut off without an authenticated close"),
            Self::ReadFailed(kind) => write!(f, "read failed: {kind}"),
            Self::WriteFailed(kind) => write!(f, "write failed: {kind}"),
            Self::IdleTimeout => f.write_str("idle for too long"),
            Self::CloseTimeout => f.write_str("no progress after the other side had ended"),
            Self::ByteLimit => f.write_str("byte limit reached"),
            Self::Aborted => f.write_str("aborted with the other direction"),
        }
    }
}

/// How the bytes of a relay were moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Path {
    /// By splice, which takes no bytes into this process; messages smaller than a buffer of the pool through such a buffer, which
    /// costs less.
    Splice,
    /// Some or all large ones, too, through buffers of the pool.
    Copy(CopyReason),
}

/// Why bytes were copied that splice would have moved at less cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CopyReason {
    /// One of the two ends is not a bare socket: it is encrypted, or a stream of a multiplexer.
    NotBare,
    /// [`RelayOptions::pipes`](super::RelayOptions::pipes) is `None`, or the system is not Linux.
    Disabled,
    /// All pipes were in use, or the system gave none of a useful size.
    NoPipe,
    /// The kernel refused to splice between these sockets.
    Refused,
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Splice => "splice",
            Self::Copy(CopyReason::NotBare) => "copy (not a bare socket)",
            Self::Copy(CopyReason::Disabled) => "copy (splice is off)",
            Self::Copy(CopyReason::NoPipe) => "copy (no pipe was free)",
            Self::Copy(CopyReason::Refused) => "copy (the kernel refused to splice)",
        })
    }
}
