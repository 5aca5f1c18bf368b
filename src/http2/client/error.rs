//! Why a call has no answer.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use crate::http2::error::Error;

/// Any error of something that this module knows nothing about.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Why a call has no answer. Cheap to clone.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CallError {
    /// There is no connection: the connector failed, or did not finish in time. Calls fail with the same error until the next attempt,
    /// which back-off delays.
    Connect(Arc<ConnectError>),
    /// The connection or the stream ended.
    Http2(Error),
    /// The body of the request failed, with this.
    RequestBody(Arc<dyn StdError + Send + Sync>),
}

impl CallError {
    /// Whether the peer certainly did not process the call, so that sending it again cannot do anything twice.
    pub fn is_unprocessed(&self) -> bool {
        match self {
            Self::Connect(_) => true,
            Self::Http2(error) => error.is_unprocessed(),
            Self::RequestBody(_) => false,
        }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => error.fmt(f),
            Self::Http2(error) => error.fmt(f),
            Self::RequestBody(error) => write!(f, "the body of the request failed: {error}"),
        }
    }
}

/// The message says all of it, so there is no source to follow; match on the variants to look inside.
impl StdError for CallError {}

impl From<Error> for CallError {
    fn from(error: Error) -> Self {
        Self::Http2(error)
    }
}

/// Why there is no connection.
#[derive(Debug)]
pub struct ConnectError {
    target: String,
    reason: BoxError,
}

impl ConnectError {
    pub(super) fn new(target: String, reason: BoxError) -> Self {
        Self { target, reason }
    }

    /// Where to: a URI.
    pub fn target(&self) -> &str {
        &self.target
    }

    /// What the connector or the transport failed with.
    pub fn reason(&self) -> &(dyn StdError + 'static) {
        &*self.reason
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no connection to {}: {}", self.target.escape_debug(), self.reason)
    }
}

/// The message says all of it, so there is no source to follow; [`reason`](Self::reason) has what is inside.
impl StdError for ConnectError {}
