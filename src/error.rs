//! What can go wrong with a connection, and whose fault it is.

use std::fmt;
use std::io;

use crate::pool::PoolError;
use crate::record::RecordError;

/// Whose fault an error is, which says what has to change for the connection to work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The peer: it broke the protocol or is not an allowed identity. Or something on the network path interferes.
    Peer,
    /// The two sides have nothing in common, or the peer speaks another protocol.
    Incompatible,
    /// This side: the API was misused, or its identity cannot be used.
    Local,
    /// A limit of this side was reached.
    Limit,
    /// The peer refuses this side.
    Refused,
    /// The handshaker service cannot be reached or fails.
    Handshaker,
    /// The network or the operating system.
    Network,
}

/// Why a connection could not be made or had to end.
///
/// The traits of `std::io` and tokio wrap it in an [`io::Error`]; [`Error::of`] finds it there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The handshake failed.
    Handshake(alts_handshaker::Error),
    /// A record cannot be opened or sealed.
    Record(RecordError),
    /// The byte stream ended inside a record, during the handshake, or without the negotiated authenticated close.
    Truncated {
        /// Where it ended.
        at: Truncation,
    },
    /// The pool had no buffer.
    Pool(PoolError),
    /// A record took longer to arrive than [`StreamOptions::stall_limit`](crate::StreamOptions::stall_limit) while other readers
    /// waited for buffers.
    Stalled,
    /// The write half was shut down before.
    WriteAfterShutdown,
    /// An error of the operating system.
    Io {
        /// Its kind.
        kind: io::ErrorKind,
        /// The system's error number, if it came from there.
        code: Option<i32>,
        /// Its text.
        message: String,
    },
}

/// Where a byte stream ended too early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Truncation {
    /// Before the handshake: the peer connected and closed the connection without sending anything, as port checks do.
    BeforeHandshake,
    /// During the handshake.
    Handshake,
    /// Inside a record.
    Record,
    /// Between records, although an authenticated close was negotiated.
    MissingClose,
}

impl Error {
    /// The error inside an [`io::Error`] that came from this crate.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        use alts_handshaker::Error as Handshake;
        match self {
            Self::Handshake(error) => match error {
                Handshake::Foreign(_) | Handshake::Incompatible { .. } => Fault::Incompatible,
                Handshake::Limit { .. } => Fault::Limit,
                Handshake::Alert { .. } => Fault::Refused,
                Handshake::Identity(_) | Handshake::Misuse(_) => Fault::Local,
                Handshake::Unavailable(_) => Fault::Handshaker,
                _ => Fault::Peer,
            },
            Self::Record(error) => match error {
                RecordError::KeyLength { .. }
                | RecordError::NoRoom { .. }
                | RecordError::NotOneRecord => Fault::Local,
                RecordError::CounterExhausted | RecordError::KeyExhausted => Fault::Limit,
                _ => Fault::Peer,
            },
            Self::Truncated { .. } => Fault::Peer,
            Self::Pool(_) | Self::Stalled => Fault::Limit,
            Self::WriteAfterShutdown => Fault::Local,
            Self::Io { .. } => Fault::Network,
        }
    }

    /// One word of a fixed set, for counts: [`alts_handshaker::Error::reason`] where the handshake failed, or `probe` (the peer
    /// sent nothing), `truncated`, `record`, `no_buffer`, `stalled`, `network`, `misuse`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Handshake(error) => error.reason(),
            Self::Truncated { at: Truncation::BeforeHandshake } => "probe",
            Self::Truncated { .. } => "truncated",
            Self::Record(_) => "record",
            Self::Pool(_) => "no_buffer",
            Self::Stalled => "stalled",
            Self::WriteAfterShutdown => "misuse",
            Self::Io { .. } => "network",
        }
    }

    fn io_kind(&self) -> io::ErrorKind {
        use alts_handshaker::{AlertCode, Error as Handshake};
        match self {
            Self::Handshake(error) => match error {
                Handshake::Limit { code: AlertCode::Timeout, .. } => io::ErrorKind::TimedOut,
                Handshake::Limit { .. } => io::ErrorKind::QuotaExceeded,
                // "Refused" would be taken for a peer that is down, and tried again.
                Handshake::Alert { code: AlertCode::Overloaded | AlertCode::Timeout, .. } => {
                    io::ErrorKind::ConnectionRefused
                }
                Handshake::Denied { .. } | Handshake::Alert { .. } => {
                    io::ErrorKind::PermissionDenied
                }
                Handshake::Misuse(_) | Handshake::Identity(_) => io::ErrorKind::InvalidInput,
                Handshake::Unavailable(_) => io::ErrorKind::NotConnected,
                _ => io::ErrorKind::InvalidData,
            },
            Self::Record(_) => io::ErrorKind::InvalidData,
            Self::Truncated { .. } => io::ErrorKind::UnexpectedEof,
            Self::Pool(error) => error.kind(),
            Self::Stalled => io::ErrorKind::TimedOut,
            Self::WriteAfterShutdown => io::ErrorKind::BrokenPipe,
            Self::Io { kind, .. } => *kind,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Handshake(error) => write!(f, "handshake: {error}"),
            Self::Record(error) => write!(f, "record: {error}"),
            Self::Truncated { at } => f.write_str(match at {
                Truncation::BeforeHandshake => "the peer closed the connection before it sent anything",
                Truncation::Handshake => "the connection ended during the handshake",
                Truncation::Record => "the connection ended inside a record",
                Truncation::MissingClose => {
                    "the connection ended without the negotiated authenticated close: data may be missing"
                }
            }),
            Self::Pool(error) => write!(f, "no buffer: {error}"),
            Self::Stalled => {
                f.write_str("a record took longer to arrive than the stall limit while other readers waited for buffers")
            }
            Self::WriteAfterShutdown => f.write_str("the stream cannot be written: it was shut down for writing before"),
            Self::Io { message, .. } => f.write_str(message),
        }
    }
}

/// The message contains those of the inner errors, so there is no source; match on the variants to look inside.
impl std::error::Error for Error {}

impl From<alts_handshaker::Error> for Error {
    fn from(error: alts_handshaker::Error) -> Self {
        Self::Handshake(error)
    }
}

impl From<RecordError> for Error {
    fn from(error: RecordError) -> Self {
        Self::Record(error)
    }
}

impl From<PoolError> for Error {
    fn from(error: PoolError) -> Self {
        Self::Pool(error)
    }
}

/// Gives back an error of this crate that was wrapped in an [`io::Error`].
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        if let Some(inner) = Self::of(&error) {
            return inner.clone();
        }
        // The layers below records report the pool's own error.
        match error.get_ref().and_then(|inner| inner.downcast_ref::<PoolError>()) {
            Some(inner) => Self::Pool(*inner),
            None => Self::Io {
                kind: error.kind(),
                code: error.raw_os_error(),
                message: error.to_string(),
            },
        }
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Io { code: Some(code), .. } => Self::from_raw_os_error(code),
            error => Self::new(error.io_kind(), error),
        }
    }
}
