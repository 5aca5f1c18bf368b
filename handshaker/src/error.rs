//! What can go wrong in a handshake, whose fault it is, and what the peer is told.

use std::borrow::Cow;
use std::fmt;

use crate::identity::IdentityError;

/// A handshake error code: all that a peer is told. The numbers are those of the wire (`PROTOCOL.md`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u16)]
#[expect(missing_docs, reason = "the names say it; PROTOCOL.md has the meanings")]
pub enum AlertCode {
    HandshakeFailure = 0,
    UnexpectedMessage = 1,
    DecodeError = 2,
    UnsupportedVersion = 3,
    NoCommonSuite = 4,
    NoCommonRecordProtocol = 5,
    NoCommonAppProtocol = 6,
    BadCertificate = 7,
    CertificateExpired = 8,
    CertificateRevoked = 9,
    UnknownTrustDomain = 10,
    AccessDenied = 11,
    DecryptError = 12,
    TooLarge = 13,
    Timeout = 14,
    Overloaded = 15,
    Internal = 16,
    IllegalParameter = 17,
    UnsupportedExtension = 18,
    RpcVersionMismatch = 19,
}

/// A protocol that a peer may speak by mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ForeignProtocol {
    /// HTTP/2 with prior knowledge: plaintext gRPC.
    Http2,
    /// A TLS ClientHello or alert.
    Tls,
}

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The peer broke the protocol, or failed to prove who it is. It is told the code.
    Peer {
        /// What the peer is told; in clear, 7 to 11 become 0.
        code: AlertCode,
        /// For this side's log.
        detail: Cow<'static, str>,
    },
    /// The peer ended the handshake and said why.
    Alert {
        /// The peer's code; unknown codes read as [`AlertCode::HandshakeFailure`].
        code: AlertCode,
        /// The peer's words, ASCII and escaped; may be empty.
        reason: String,
        /// Whether the alert was sealed with the handshake's keys. Anybody on the path can send the other kind.
        authenticated: bool,
    },
    /// The peer speaks another protocol.
    Foreign(ForeignProtocol),
    /// The two sides have nothing in common: version, suite, protocol. The peer is told the code.
    Incompatible {
        /// What the peer is told.
        code: AlertCode,
        /// For this side's log.
        detail: Cow<'static, str>,
    },
    /// The peer proved who it is, and this side's policy refuses it.
    Denied {
        /// The identity that was refused.
        peer: String,
        /// The rule or its absence.
        detail: Cow<'static, str>,
    },
    /// A limit of this side was reached: time, queue, sizes.
    Limit {
        /// What the peer is told.
        code: AlertCode,
        /// Which limit.
        detail: Cow<'static, str>,
    },
    /// This side's own identity cannot be used.
    Identity(IdentityError),
    /// The handshaker cannot be reached or does not answer as it should. Never the peer's doing.
    Unavailable(String),
    /// The caller asked for what cannot be.
    Misuse(Cow<'static, str>),
}
