//! How memory for requests is chosen.

/// How memory for the data of requests is chosen. Whatever is chosen comes from the server's pool and counts towards its cap.
///
/// A client that stops in the middle of a transfer keeps no memory: what it was about to receive is dropped and read again
/// when it goes on, and what it has sent is written at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// Requests are moved in pieces: a read is answered by several chunks, a write is stored as it arrives. An error is reported
    /// even after the first piece, where structured replies were agreed on; without them the connection is closed.
    Chunked {
        /// Bytes in a piece: a power of two from 4 KiB to 1 MiB.
        piece: usize,
    },
    /// One buffer for each request, however large, taken for the request and given back after it. A backend sees each request
    /// as one contiguous slice.
    Whole,
    /// As [`Whole`](Self::Whole), but each connection keeps the largest buffer that it has used, until another one waits for
    /// memory.
    HoldLargest {
        /// The largest buffer that is kept, in bytes.
        most: usize,
    },
    /// No buffer where the backend moves bytes itself ([`Backend::read_to`](crate::backend::Backend::read_to) and
    /// [`write_from`](crate::backend::Backend::write_from)): memory straight to and from the stream, files in the page cache
    /// straight to the socket, unless a read is so short that a buffer is faster. Where it does not, as
    /// [`Chunked`](Self::Chunked) in pieces of [`PIECE`](Self::PIECE).
    Unbuffered,
}

impl Strategy {
    /// The usual piece: large enough that a disk and a socket are busy at the same time, small enough for many connections.
    pub const PIECE: usize = 256 << 10;
    /// The largest piece.
    pub const MAX_PIECE: usize = 1 << 20;
    /// The smallest.
    pub const MIN_PIECE: usize = 4 << 10;

    /// The most bytes of a request that are in one buffer, if the pool has room for `largest`.
    pub(crate) fn piece(self, largest: usize) -> usize {
        let wanted = match self {
            Self::Chunked { piece } => {
                piece.clamp(Self::MIN_PIECE, Self::MAX_PIECE).next_power_of_two()
            }
            Self::Unbuffered => Self::PIECE,
            Self::Whole | Self::HoldLargest { .. } => crate::wire::PORTABLE_PAYLOAD as usize,
        };
        wanted.min(largest)
    }
}

impl Default for Strategy {
    fn default() -> Self {
        Self::Chunked { piece: Self::PIECE }
    }
}
