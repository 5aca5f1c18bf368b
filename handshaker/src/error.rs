//! What can go wrong in a handshake, whose fault it is, and what the peer is told.

use std::borrow::Cow;
use std::fmt;

use crate::alert::AlertCode;
use crate::foreign::ForeignProtocol;
use crate::identity::IdentityError;

/// Why a handshake failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// The peer broke the protocol, or failed to prove who it is. It is told the code.
    Peer {
        /// What the peer is told; in plaintext, 7 to 11 become 0.
        code: AlertCode,
        /// For this side's log.
        detail: Cow<'static, str>,
    },
    /// The peer ended the handshake and said why.
    Alert {
        /// The peer's code; unknown codes read as [`AlertCode::HandshakeFailure`].
        code: AlertCode,
        /// The peer's reason, ASCII and escaped; may be empty.
        reason: String,
        /// Whether it was sealed with the handshake's keys. Anybody on the path can send the other kind. A sealed one comes
        /// from the side that made the other key share, which is the peer only after the peer has proved itself.
        sealed: bool,
    },
    /// The peer speaks another protocol.
    Foreign(ForeignProtocol),
    /// The two sides have nothing in common: version, suite, protocol; or one needs an extension that the other does not
    /// know. The peer is told the code.
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
    /// A limit of this side was reached: time, places for handshakes.
    Limit {
        /// What the peer is told.
        code: AlertCode,
        /// Which limit.
        detail: Cow<'static, str>,
    },
    /// This side's identity cannot be used.
    Identity(IdentityError),
    /// The handshaker cannot be reached or does not answer as it should. Never the peer's doing.
    Unavailable(String),
    /// The caller asked for what cannot be.
    Misuse(Cow<'static, str>),
}

impl Error {
    /// What the peer is told about this failure, `None` where it cannot listen or has said it itself. Codes 7 to 11 leave
    /// only sealed; in plaintext they become 0.
    pub fn alert(&self) -> Option<AlertCode> {
        match self {
            Self::Peer { code, .. }
            | Self::Incompatible { code, .. }
            | Self::Limit { code, .. } => Some(*code),
            Self::Denied { .. } => Some(AlertCode::AccessDenied),
            // There is an identity, and something else is wrong with it.
            Self::Identity(IdentityError::Sign(_)) | Self::Unavailable(_) | Self::Misuse(_) => {
                Some(AlertCode::Internal)
            }
            Self::Identity(_) => Some(AlertCode::NoIdentity),
            Self::Alert { .. } | Self::Foreign(_) => None,
        }
    }

    /// One word of a fixed set, for counts: the name of the alert that belongs to it ([`AlertCode::name`]), or `peer_alert`,
    /// `foreign_protocol`, `no_identity`, `unavailable`, `misuse`.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Peer { code, .. }
            | Self::Incompatible { code, .. }
            | Self::Limit { code, .. } => code.name(),
            Self::Denied { .. } => AlertCode::AccessDenied.name(),
            Self::Alert { .. } => "peer_alert",
            Self::Foreign(_) => "foreign_protocol",
            Self::Identity(_) => AlertCode::NoIdentity.name(),
            Self::Unavailable(_) => "unavailable",
            Self::Misuse(_) => "misuse",
        }
    }

    pub(crate) fn peer(code: AlertCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::Peer { code, detail: detail.into() }
    }

    pub(crate) fn decode(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::peer(AlertCode::DecodeError, detail)
    }

    pub(crate) fn illegal(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::peer(AlertCode::IllegalParameter, detail)
    }

    pub(crate) fn decrypt(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::peer(AlertCode::DecryptError, detail)
    }

    pub(crate) fn incompatible(code: AlertCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self::Incompatible { code, detail: detail.into() }
    }

    pub(crate) fn misuse(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::Misuse(detail.into())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer { code, detail } => {
                write!(f, "the peer broke the handshake: {detail} ({code})")
            }
            Self::Alert { code, reason, sealed } => {
                f.write_str("the peer ended the handshake: ")?;
                write!(f, "{code}")?;
                if !reason.is_empty() {
                    write!(f, ", \"{reason}\"")?;
                }
                f.write_str(if *sealed { "" } else { " (in plaintext)" })
            }
            Self::Foreign(protocol) => write!(f, "the peer does not speak ALTS but {protocol}"),
            Self::Incompatible { code, detail } => {
                write!(f, "nothing in common with the peer: {detail} ({code})")
            }
            Self::Denied { peer, detail } => {
                write!(f, "the peer {} is not allowed: {detail}", peer.escape_debug())
            }
            Self::Limit { code, detail } => write!(f, "a limit was reached: {detail} ({code})"),
            Self::Identity(error) => write!(f, "this side's identity cannot be used: {error}"),
            Self::Unavailable(detail) => write!(f, "the handshaker is unavailable: {detail}"),
            Self::Misuse(detail) => {
                write!(f, "the handshake cannot be started as requested: {detail}")
            }
        }
    }
}

/// The message says all of it, so there is no source to follow; match on the variants to look inside.
impl std::error::Error for Error {}

impl From<IdentityError> for Error {
    fn from(error: IdentityError) -> Self {
        Self::Identity(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Programs that print an error and all its sources print each text once.
    #[test]
    fn a_chain_of_errors_says_everything_once() {
        use crate::identity::{CertificateError, SpiffeIdError};

        let fault = CertificateError::SpiffeId(SpiffeIdError::NoPath);
        let error = Error::Identity(IdentityError::Chain(fault));
        let mut text = error.to_string();
        let mut source = std::error::Error::source(&error);
        while let Some(error) = source {
            text = format!("{text}: {error}");
            source = error.source();
        }
        for part in ["identity cannot be used", "chain is not valid", "has no path"] {
            assert_eq!(text.matches(part).count(), 1, "{text}");
        }
    }

    #[test]
    fn what_the_peer_is_told() {
        let expired = IdentityError::Chain(crate::identity::CertificateError::Expired);
        assert_eq!(Error::Identity(expired).alert(), Some(AlertCode::NoIdentity));
        let denied = Error::Denied { peer: "spiffe://a/b".into(), detail: "no rule".into() };
        assert_eq!(denied.alert(), Some(AlertCode::AccessDenied));
        assert_eq!(Error::misuse("x").alert(), Some(AlertCode::Internal));
        assert_eq!(Error::Foreign(ForeignProtocol::Tls).alert(), None);
        let alert = Error::Alert { code: AlertCode::Timeout, reason: "late".into(), sealed: false };
        assert_eq!(alert.alert(), None);
        assert_eq!(
            alert.to_string(),
            "the peer ended the handshake: timeout, \"late\" (in plaintext)"
        );
    }
}
