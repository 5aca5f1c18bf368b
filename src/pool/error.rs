//! Why memory was not given.

use std::fmt;
use std::io;

/// Why a buffer was not given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum PoolError {
    /// As many bytes are in use as the pool may hold, or other requests wait already. A later
    /// attempt can succeed; [`BufferPool::poll_take`](super::BufferPool::poll_take) waits for it.
    AtCap,
    /// Waiting would not help: the request exceeds what this pool ever gives this way.
    TooLarge {
        /// Bytes asked for.
        requested: usize,
        /// The most that may be asked for: the largest buffer there is, or that fits the cap.
        largest: usize,
    },
    /// The operating system refused a mapping and no buffer is out whose return could help, or the
    /// caller does not wait.
    Map(io::ErrorKind),
}

impl fmt::Display for PoolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtCap => {
                f.write_str("the buffer pool is at its cap: retry later or raise the cap")
            }
            Self::TooLarge { requested, largest } => write!(
                f,
                "a buffer of {requested} bytes was requested, and the pool gives at most {largest}"
            ),
            Self::Map(kind) => write!(f, "the system refused memory for a buffer: {kind}"),
        }
    }
}

impl std::error::Error for PoolError {}

impl PoolError {
    /// The kind of the [`io::Error`] that this becomes.
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::AtCap => io::ErrorKind::ResourceBusy,
            Self::Map(_) => io::ErrorKind::OutOfMemory,
            Self::TooLarge { .. } => io::ErrorKind::InvalidInput,
        }
    }
}

impl From<PoolError> for io::Error {
    fn from(error: PoolError) -> Self {
        Self::new(error.kind(), error)
    }
}

/// Why a pool cannot be built as described.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum PoolConfigError {
    /// The buffer size, in bytes, is not a power of two from 4 KiB to 32 MiB.
    BufferSize(usize),
    /// The cap does not hold a single buffer of the chosen size, so that no reader could ever go
    /// on.
    CapTooSmall {
        /// The cap asked for, in bytes.
        cap: usize,
        /// The least that works with the chosen buffer size: one buffer with its extra bytes.
        least: usize,
    },
    /// `Retention::ReleaseAfter` of no time at all; that is `Retention::NeverKeep`.
    ReleaseAfterZero,
}

impl fmt::Display for PoolConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BufferSize(size) => write!(
                f,
                "a buffer size of {size} bytes is not a power of two from 4 KiB to 32 MiB"
            ),
            Self::CapTooSmall { cap, least } => write!(
                f,
                "a cap of {cap} bytes holds no buffer; the least for this buffer size is {least}"
            ),
            Self::ReleaseAfterZero => {
                f.write_str("Retention::ReleaseAfter of zero is refused: use Retention::NeverKeep")
            }
        }
    }
}

impl std::error::Error for PoolConfigError {}
