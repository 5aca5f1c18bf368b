//! What can go wrong, how far it reaches, and whose fault it is.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::frame::{ErrorCode, Scope, Violation};

/// Who ended a stream or a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Initiator {
    /// This side.
    Local,
    /// The peer.
    Peer,
}

/// Who or what has to change so that it works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// The peer broke the protocol.
    Peer,
    /// The peer speaks another protocol.
    Incompatible,
    /// This side: a call or a setting that cannot be.
    Local,
    /// A limit of this side was reached.
    Limit,
    /// The peer ended it as the protocol allows.
    Refused,
    /// The network or the operating system.
    Network,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// The peer broke a rule of the protocol: this one.
    Violation(&'static str),
    /// The peer reached a limit of this side: this one.
    Limit(&'static str),
    /// Something took too long: this.
    Timeout(&'static str),
    /// The peer speaks this instead of HTTP/2.
    Foreign(&'static str),
    /// The peer reset the stream.
    Reset,
    /// This side reset the stream, or dropped what it is for.
    Canceled,
    /// The peer ends the connection. The text is what its GOAWAY says, without bytes that are not printable.
    GoAway(Arc<str>),
    /// The request was not processed and can be sent again: the peer refused it, or was about to end the connection.
    Unprocessed,
    /// The connection is closed.
    Closed,
    /// The byte stream ended inside a frame or with streams open.
    Truncated,
    /// The transport failed.
    Io {
        /// Its kind.
        kind: io::ErrorKind,
        /// Its text.
        message: Arc<str>,
    },
    /// A call or a setting that cannot be, for this reason.
    Misuse(&'static str),
}

/// Why a stream or a connection ended.
///
/// The first error of a connection is final; streams that it ends report it with [`Scope::Connection`].
#[derive(Clone, PartialEq, Eq)]
pub struct Error {
    reason: Reason,
    code: ErrorCode,
    initiator: Initiator,
    scope: Scope,
}

impl Error {
    pub(crate) fn new(reason: Reason, code: ErrorCode, initiator: Initiator, scope: Scope) -> Self {
        Self { reason, code, initiator, scope }
    }

    /// A connection that this side ends.
    pub(crate) fn ending(reason: Reason, code: ErrorCode) -> Self {
        Self::new(reason, code, Initiator::Local, Scope::Connection)
    }

    pub(crate) fn timeout(what: &'static str) -> Self {
        Self::ending(Reason::Timeout(what), ErrorCode::NO_ERROR)
    }

    pub(crate) fn settings_timeout() -> Self {
        let what = "the peer does not acknowledge this side's settings";
        Self::ending(Reason::Timeout(what), ErrorCode::SETTINGS_TIMEOUT)
    }

    pub(crate) fn misuse(what: &'static str) -> Self {
        Self::ending(Reason::Misuse(what), ErrorCode::INTERNAL_ERROR)
    }

    pub(crate) fn closed() -> Self {
        Self::ending(Reason::Closed, ErrorCode::NO_ERROR)
    }

    /// The byte stream ended where it should not have.
    pub(crate) fn truncated() -> Self {
        Self::new(Reason::Truncated, ErrorCode::NO_ERROR, Initiator::Peer, Scope::Connection)
    }

    /// A stream that the peer reset.
    pub(crate) fn reset(code: ErrorCode) -> Self {
        let reason = match code {
            ErrorCode::REFUSED_STREAM => Reason::Unprocessed,
            _ => Reason::Reset,
        };
        Self::new(reason, code, Initiator::Peer, Scope::Stream)
    }

    /// A stream that this side reset.
    pub(crate) fn canceled(code: ErrorCode) -> Self {
        Self::new(Reason::Canceled, code, Initiator::Local, Scope::Stream)
    }

    /// A stream that came after the last one that the peer processes.
    pub(crate) fn unprocessed(code: ErrorCode) -> Self {
        Self::new(Reason::Unprocessed, code, Initiator::Peer, Scope::Stream)
    }

    /// What happened.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// The code that went over the wire, or would have.
    pub fn code(&self) -> ErrorCode {
        self.code
    }

    /// Who ended it.
    pub fn initiator(&self) -> Initiator {
        self.initiator
    }

    /// What ended.
    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Whether the peer certainly did not process the request, so that it can be sent again.
    pub fn is_unprocessed(&self) -> bool {
        self.reason == Reason::Unprocessed
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match &self.reason {
            Reason::Violation(_) | Reason::Truncated => Fault::Peer,
            Reason::Foreign(_) => Fault::Incompatible,
            Reason::Limit(_) | Reason::Timeout(_) => Fault::Limit,
            Reason::Reset | Reason::GoAway(_) | Reason::Unprocessed => Fault::Refused,
            Reason::Canceled | Reason::Closed | Reason::Misuse(_) => Fault::Local,
            Reason::Io { .. } => Fault::Network,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let code = self.code;
        match &self.reason {
            Reason::Violation(what) => write!(f, "the peer broke the protocol: {what} ({code})"),
            Reason::Limit(what) => write!(f, "the peer reached a limit: {what} ({code})"),
            Reason::Timeout(what) => write!(f, "timed out: {what}"),
            Reason::Foreign(what) => write!(f, "the peer does not speak HTTP/2: {what}"),
            Reason::Reset => write!(f, "the peer reset the stream ({code})"),
            Reason::Canceled => write!(f, "the stream was canceled ({code})"),
            Reason::GoAway(text) if text.is_empty() => {
                write!(f, "the peer ends the connection ({code})")
            }
            Reason::GoAway(text) => write!(f, "the peer ends the connection ({code}): {text}"),
            Reason::Unprocessed => write!(f, "the peer did not process the request ({code})"),
            Reason::Closed => f.write_str("the connection is closed"),
            Reason::Truncated => f.write_str("the peer closed the connection too early"),
            Reason::Io { message, .. } => write!(f, "the transport failed: {message}"),
            Reason::Misuse(what) => f.write_str(what),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("reason", &self.reason)
            .field("code", &self.code)
            .field("initiator", &self.initiator)
            .field("scope", &self.scope)
            .finish()
    }
}

/// The message says all of it, so there is no source to follow.
impl std::error::Error for Error {}

/// The peer broke a rule, and this side ends what the rule is about.
impl From<Violation> for Error {
    fn from(Violation { scope, code, what }: Violation) -> Self {
        let reason = match code {
            ErrorCode::ENHANCE_YOUR_CALM => Reason::Limit(what),
            _ => Reason::Violation(what),
        };
        Self::new(reason, code, Initiator::Local, scope)
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        let reason = Reason::Io { kind: error.kind(), message: error.to_string().into() };
        Self::ending(reason, ErrorCode::NO_ERROR)
    }
}

impl From<Error> for io::Error {
    fn from(error: Error) -> Self {
        let kind = match &error.reason {
            Reason::Io { kind, .. } => *kind,
            Reason::Violation(_) | Reason::Foreign(_) => io::ErrorKind::InvalidData,
            Reason::Limit(_) => io::ErrorKind::QuotaExceeded,
            Reason::Timeout(_) => io::ErrorKind::TimedOut,
            Reason::Truncated => io::ErrorKind::UnexpectedEof,
            Reason::Misuse(_) => io::ErrorKind::InvalidInput,
            Reason::Closed => io::ErrorKind::NotConnected,
            _ => io::ErrorKind::ConnectionReset,
        };
        Self::new(kind, error)
    }
}
