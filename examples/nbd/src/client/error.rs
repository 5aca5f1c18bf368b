//! What can go wrong, and whose fault it is.

use std::fmt;
use std::io;

use alts::Fault;
use alts::pool::PoolError;

use super::check::Violation;
use crate::wire::option_reply::OptionError;
use crate::wire::request::Command;
use crate::wire::{Errno, Malformed};

/// Why something could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The network or the operating system.
    Io {
        /// Its kind.
        kind: io::ErrorKind,
        /// What failed, and why.
        message: String,
    },
    /// The connection could not be secured by ALTS.
    Secure(alts::Error),
    /// TLS failed; most often the server's certificate is not acceptable, or the server does not accept this side's.
    Tls {
        /// Why.
        message: String,
    },
    /// A file of this side cannot be used.
    Local {
        /// Which, and why.
        message: String,
    },
    /// Connecting or the handshake took too long.
    Timeout,
    /// The server speaks the oldstyle handshake, which names no export.
    Oldstyle,
    /// The server sends what is no message of the protocol.
    Malformed(Malformed),
    /// The server breaks the protocol.
    Violation(Violation),
    /// The server refused an option of the handshake.
    Option {
        /// Which, of [`number`](crate::wire::option::number).
        option: u32,
        /// Why.
        error: OptionError,
        /// What the server says about it.
        message: String,
    },
    /// The server answered a request with an error. The connection can be used.
    Refused(Refusal),
    /// A request was not sent, because it cannot succeed.
    Usage(Usage),
    /// There is no memory for a request.
    Pool(PoolError),
    /// The connection was ended by this side.
    Disconnected,
    /// A flush cannot promise anything: since the last one, writes were answered by a connection that broke, and if the server
    /// was restarted, they may be lost. Write them again, then flush. The next flush succeeds.
    UnsavedWrites,
    /// The export is another one than before the connection broke.
    ExportChanged(&'static str),
}

/// A request that the server answered with an error.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The command.
    pub command: Command,
    /// Where it began.
    pub offset: u64,
    /// Why.
    pub error: Errno,
    /// What the server says about it; often nothing.
    pub message: String,
    /// Where it failed, if the server told.
    pub failed_at: Option<u64>,
}

/// What a request must not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Usage {
    /// It ends beyond the export, which has this size.
    BeyondEnd(u64),
    /// It does not consist of whole blocks of this size.
    Misaligned(u32),
    /// It is longer than this, the most for one request.
    TooLong(u64),
    /// It is empty.
    Empty,
    /// The export is read-only.
    ReadOnly,
    /// The server did not say that it is capable of this.
    NotOffered(&'static str),
    /// The name exceeds 4,096 bytes or contains NUL.
    Name,
    /// What the URI asks for needs something that was not given.
    Missing(&'static str),
}

impl Error {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            // After a restart of the server, that is.
            Self::Io { .. } | Self::UnsavedWrites => Fault::Network,
            Self::Secure(error) => error.fault(),
            Self::Timeout | Self::Pool(_) => Fault::Limit,
            Self::Oldstyle | Self::Malformed(Malformed::Magic(_)) => Fault::Incompatible,
            Self::Malformed(_) | Self::Violation(_) | Self::Tls { .. } => Fault::Peer,
            Self::Option { .. } | Self::Refused(_) | Self::ExportChanged(_) => Fault::Refused,
            Self::Local { .. } | Self::Usage(_) | Self::Disconnected => Fault::Local,
        }
    }

    /// What the server answered to a request.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            Self::Refused(refusal) => Some(refusal.error),
            _ => None,
        }
    }

    /// An error of the network, with what failed.
    pub(super) fn io(what: impl fmt::Display, error: &io::Error) -> Self {
        match alts::Error::of(error) {
            Some(secure) if secure.fault() != Fault::Network => Self::Secure(secure.clone()),
            _ => Self::Io { kind: error.kind(), message: format!("{what}: {error}") },
        }
    }

    /// The stream ended where it must not.
    pub(super) fn cut(message: &str) -> Self {
        Self::Io { kind: io::ErrorKind::UnexpectedEof, message: message.to_owned() }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { message, .. } | Self::Local { message } => f.write_str(message),
            Self::Tls { message } => write!(f, "TLS with the server failed: {message}"),
            Self::Secure(error) => error.fmt(f),
            Self::Timeout => f.write_str("the server did not complete the handshake in time"),
            Self::Oldstyle => {
                f.write_str("the server speaks the oldstyle handshake, which is not supported")
            }
            Self::Malformed(fault) => write!(f, "the server does not speak NBD: {fault}"),
            Self::Violation(violation) => write!(f, "the server breaks the protocol: {violation}"),
            Self::Option { error, message, .. } if message.is_empty() => error.fmt(f),
            Self::Option { error, message, .. } => write!(f, "{error}: {}", printable(message)),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Usage(usage) => usage.fmt(f),
            Self::Pool(error) => error.fmt(f),
            Self::Disconnected => f.write_str("the connection was ended before by this side"),
            Self::UnsavedWrites => f.write_str(
                "the connection broke after writes that no flush has covered: write them again",
            ),
            Self::ExportChanged(what) => {
                write!(f, "the connection was made again, and the export has another {what}")
            }
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (command, error) = (name_of(self.command), self.error);
        write!(f, "the server failed to {command} at {}: {error}", self.offset)?;
        if !self.message.is_empty() {
            write!(f, ": {}", printable(&self.message))?;
        }
        match self.failed_at {
            Some(offset) => write!(f, ", at offset {offset}"),
            None => Ok(()),
        }
    }
}

/// What a command does, as a verb.
fn name_of(command: Command) -> &'static str {
    match command {
        Command::Read => "read",
        Command::Write => "write",
        Command::Disconnect => "disconnect",
        Command::Flush => "flush",
        Command::Trim => "trim",
        Command::Cache => "cache",
        Command::WriteZeroes => "write zeroes",
        Command::BlockStatus => "tell what is allocated",
        Command::Unknown(_) => "do something",
    }
}

/// A peer's text, on one line of a terminal or a log.
fn printable(text: &str) -> String {
    text.escape_debug().to_string()
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BeyondEnd(size) => {
                write!(f, "the request ends beyond the export, which has {size} bytes")
            }
            Self::Misaligned(block) => {
                write!(f, "the request does not consist of whole blocks of {block} bytes")
            }
            Self::TooLong(most) => write!(f, "one request may have at most {most} bytes"),
            Self::Empty => f.write_str("the request is empty"),
            Self::ReadOnly => f.write_str("the export is read-only"),
            Self::NotOffered(what) => write!(f, "the server does not offer {what} for this export"),
            Self::Name => f.write_str("the export's name exceeds 4,096 bytes or has NUL"),
            Self::Missing(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Secure(error) => Some(error),
            Self::Malformed(fault) => Some(fault),
            Self::Violation(violation) => Some(violation),
            Self::Pool(error) => Some(error),
            _ => None,
        }
    }
}

impl From<Malformed> for Error {
    fn from(fault: Malformed) -> Self {
        match fault {
            Malformed::Magic(crate::wire::hello::OLDSTYLE_MAGIC) => Self::Oldstyle,
            fault => Self::Malformed(fault),
        }
    }
}

impl From<Violation> for Error {
    fn from(violation: Violation) -> Self {
        Self::Violation(violation)
    }
}

impl From<Usage> for Error {
    fn from(usage: Usage) -> Self {
        Self::Usage(usage)
    }
}

impl From<PoolError> for Error {
    fn from(error: PoolError) -> Self {
        Self::Pool(error)
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::Io { kind, .. } => *kind,
            Error::Usage(_) => io::ErrorKind::InvalidInput,
            Error::Timeout => io::ErrorKind::TimedOut,
            Error::Malformed(_) | Error::Violation(_) => io::ErrorKind::InvalidData,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
