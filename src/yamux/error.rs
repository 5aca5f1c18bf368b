//! What can go wrong with a session or a stream, and whose fault it is.

use std::fmt;
use std::io;

use crate::pool::PoolError;

/// Who or what has to change so that it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The peer broke the protocol.
    Peer,
    /// The peer refuses or gave up.
    Refused,
    /// This side: a call that cannot be, or a session that this side has ended.
    Local,
    /// A limit or a time limit of this side was reached.
    Limit,
    /// The connection below.
    Network,
}

/// What a peer did that the protocol forbids. It has been told so with GoAway 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Violation {
    /// A frame of another version than 0.
    Version(u8),
    /// A frame of a type that is not known.
    Type(u8),
    /// It opened a stream that is open.
    SynTwice {
        /// The stream's id.
        stream: u32,
    },
    /// It opened a stream with an id of this side, or with 0.
    SynOfThisSide {
        /// The stream's id.
        stream: u32,
    },
    /// It announced more bytes than it had credit for.
    CreditExceeded {
        /// The stream's id.
        stream: u32,
        /// Bytes announced.
        len: u32,
        /// Bytes it was allowed.
        credit: u32,
    },
    /// It granted more than 2^32 - 1 bytes in all.
    CreditOverflow {
        /// The stream's id.
        stream: u32,
    },
    /// It sent frames that carry nothing, without end.
    Flood,
}

/// Why a session or a stream cannot go on.
///
/// Through the traits of `std::io` and tokio it comes inside an [`io::Error`]; [`Error::of`] finds it there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The peer broke the protocol; the session has ended.
    Protocol(Violation),
    /// The peer reset the stream: what it had sent is not complete. libp2p gives a code; others send 0.
    Reset {
        /// The peer's code.
        code: u32,
    },
    /// This side reset the stream.
    ResetByThisSide {
        /// The code that the peer was given.
        code: u32,
    },
    /// The peer takes no new streams (code 0), or has ended the session with an error (another code).
    GoAway {
        /// 1: this side broke the protocol; 2: the peer has a fault; others are libp2p's.
        code: u32,
    },
    /// The connection ended although streams were open or the session was not said to end.
    Lost,
    /// The connection ended inside a frame.
    Truncated,
    /// This side has ended the session, or takes and opens no more streams.
    Closed,
    /// The future that drives the session was dropped.
    DriverDropped,
    /// Nothing was received for so long that the peer must be gone.
    KeepAlive,
    /// The connection took no bytes for too long.
    WriteTimeout,
    /// The peer has not acknowledged the stream in time.
    OpenTimeout,
    /// A deadline has passed: of a stream, where nothing is lost and a later one lets it go on, or of the session's shutdown, after
    /// which it is over.
    Deadline,
    /// The write half was closed before.
    WriteAfterClose,
    /// All ids of this side were used.
    IdsExhausted,
    /// There was no memory for what the peer sent on this stream, so it was reset.
    Memory,
    /// No buffer could be had.
    Pool(PoolError),
    /// The connection below failed.
    Io {
        /// Its kind.
        kind: io::ErrorKind,
        /// The system's error number, if it came from there.
        code: Option<i32>,
        /// Its text.
        message: String,
    },
}

impl Error {
    /// The error inside an [`io::Error`] that came from this module.
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            Self::Protocol(_) => Fault::Peer,
            Self::Reset { .. } | Self::GoAway { .. } => Fault::Refused,
            Self::ResetByThisSide { .. }
            | Self::Closed
            | Self::DriverDropped
            | Self::WriteAfterClose => Fault::Local,
            Self::KeepAlive
            | Self::WriteTimeout
            | Self::OpenTimeout
            | Self::Deadline
            | Self::IdsExhausted
            | Self::Memory
            | Self::Pool(_) => Fault::Limit,
            Self::Lost | Self::Truncated | Self::Io { .. } => Fault::Network,
        }
    }

    /// The code of the GoAway frame that is sent because of it: 1 for a fault of the peer, such as a connection that ends without GoAway; 2
    /// for a fault of this side; 0 otherwise.
    pub(super) fn go_away_code(&self) -> u32 {
        match self {
            Self::Protocol(_) | Self::Lost | Self::Truncated => 1,
            Self::Memory | Self::Pool(_) | Self::KeepAlive | Self::WriteTimeout => 2,
            _ => 0,
        }
    }

    fn io_kind(&self) -> io::ErrorKind {
        match self {
            Self::Protocol(_) => io::ErrorKind::InvalidData,
            Self::Reset { .. } => io::ErrorKind::ConnectionReset,
            Self::ResetByThisSide { .. } | Self::DriverDropped => io::ErrorKind::ConnectionAborted,
            Self::GoAway { .. } => io::ErrorKind::ConnectionRefused,
            Self::Lost | Self::Truncated => io::ErrorKind::UnexpectedEof,
            Self::Closed => io::ErrorKind::NotConnected,
            Self::KeepAlive | Self::WriteTimeout | Self::OpenTimeout | Self::Deadline => {
                io::ErrorKind::TimedOut
            }
            Self::WriteAfterClose => io::ErrorKind::BrokenPipe,
            Self::IdsExhausted | Self::Memory => io::ErrorKind::QuotaExceeded,
            Self::Pool(error) => error.kind(),
            Self::Io { kind, .. } => *kind,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(f, "a frame of version {version}, not 0"),
            Self::Type(kind) => write!(f, "a frame of the unknown type {kind}"),
            Self::SynTwice { stream } => write!(f, "it opened stream {stream}, which is open"),
            Self::SynOfThisSide { stream } => {
                write!(f, "it opened stream {stream}, an id that only this side may open")
            }
            Self::CreditExceeded { stream, len, credit } => {
                write!(f, "it sent {len} bytes on stream {stream} with credit for {credit}")
            }
            Self::CreditOverflow { stream } => {
                write!(f, "it granted more than 2^32 - 1 bytes on stream {stream}")
            }
            Self::Flood => f.write_str("it sent a flood of frames that carry nothing"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Protocol(violation) => {
                write!(f, "the peer broke the yamux protocol: {violation}")
            }
            Self::Reset { code } => write!(f, "the peer reset the stream (code {code})"),
            Self::ResetByThisSide { code } => write!(f, "this side reset the stream (code {code})"),
            Self::GoAway { code: 0 } => f.write_str("the peer takes no new streams"),
            Self::GoAway { code } => write!(f, "the peer ended the session (code {code})"),
            Self::Lost => f.write_str("the connection ended while the session was in use"),
            Self::Truncated => f.write_str("the connection ended inside a frame"),
            Self::Closed => f.write_str("this side has ended the session"),
            Self::DriverDropped => {
                f.write_str("the session's driver was dropped; it must run as long as the session")
            }
            Self::KeepAlive => {
                f.write_str("the peer has sent nothing, not even the answer to a ping")
            }
            Self::WriteTimeout => f.write_str("the connection took no bytes for too long"),
            Self::OpenTimeout => f.write_str("the peer has not acknowledged the stream in time"),
            Self::Deadline => f.write_str("the deadline that was set has passed"),
            Self::WriteAfterClose => f.write_str("the stream was closed for writing"),
            Self::IdsExhausted => {
                f.write_str("all stream ids of this session were used; open another session")
            }
            Self::Memory => f.write_str("the stream was reset: no memory for what the peer sent"),
            Self::Pool(error) => write!(f, "no buffer: {error}"),
            Self::Io { message, .. } => f.write_str(message),
        }
    }
}

/// The message says all of it, so there is no source to follow; match on the variants to look inside.
impl std::error::Error for Error {}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        Self::Protocol(violation)
    }
}

/// An error of this module that passed through `std::io` comes out as it was.
impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        if let Some(inner) = Self::of(&error) {
            return inner.clone();
        }
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
