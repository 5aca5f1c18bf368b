//! What is wrong with a frame, and what ends because of it.

use std::fmt;

use super::ErrorCode;

/// What ends with an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// One stream: the answer is `RST_STREAM`, and the connection goes on.
    Stream,
    /// All of them: the answer is GOAWAY.
    Connection,
}

/// A rule of RFC 9113 that the peer broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Violation {
    /// What ends because of it.
    pub scope: Scope,
    /// What the peer is told.
    pub code: ErrorCode,
    /// The rule, for people.
    pub what: &'static str,
}

impl Violation {
    /// One that ends a stream.
    pub const fn stream(code: ErrorCode, what: &'static str) -> Self {
        Self { scope: Scope::Stream, code, what }
    }

    /// One that ends the connection.
    pub const fn connection(code: ErrorCode, what: &'static str) -> Self {
        Self { scope: Scope::Connection, code, what }
    }

    /// One that ends the connection with `PROTOCOL_ERROR`.
    pub const fn protocol(what: &'static str) -> Self {
        Self::connection(ErrorCode::PROTOCOL_ERROR, what)
    }

    /// One that ends the connection with `FRAME_SIZE_ERROR`.
    pub const fn size(what: &'static str) -> Self {
        Self::connection(ErrorCode::FRAME_SIZE_ERROR, what)
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.what, self.code)
    }
}

impl std::error::Error for Violation {}
