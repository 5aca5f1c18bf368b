//! Which status code goes with which failure: the one table of them.
//!
//! gRPC's clients take a status for the truth about their own call. What a part of the transport, this service, may say there is
//! restricted by gRFC A54: never `INVALID_ARGUMENT`, `FAILED_PRECONDITION` or `ABORTED` among others, which current clients turn
//! into `INTERNAL`. What remains says one thing, whether it is of use to try again:
//!
//! | code | meaning |
//! | --- | --- |
//! | `UNAVAILABLE` | it may pass |
//! | `UNAUTHENTICATED` | it will not: the peer cannot prove who it is, or the two sides have nothing in common |
//! | `PERMISSION_DENIED` | it will not: a policy denies it |
//! | `INTERNAL` | it will not: the caller's messages are wrong |
//!
//! A caller that ends its call is `CANCELLED`, which it does not see.

use tonic::Code;

use crate::alert::AlertCode;
use crate::error::Error;

/// The code for a finding with this handshake error code, this side's or the peer's: the table in `PROTOCOL.md`.
pub(super) fn of_alert(alert: AlertCode) -> Code {
    match alert {
        // Somebody else may listen there after the next deployment.
        AlertCode::UnexpectedMessage
        | AlertCode::DecodeError
        | AlertCode::IllegalParameter
        | AlertCode::TooLarge
        | AlertCode::Timeout
        | AlertCode::Overloaded
        | AlertCode::Internal
        | AlertCode::NoIdentity => Code::Unavailable,
        AlertCode::HandshakeFailure
        | AlertCode::UnsupportedVersion
        | AlertCode::NoCommonSuite
        | AlertCode::NoCommonRecordProtocol
        | AlertCode::NoCommonAppProtocol
        | AlertCode::UnsupportedExtension
        | AlertCode::RpcVersionMismatch
        | AlertCode::BadCertificate
        | AlertCode::CertificateExpired
        | AlertCode::CertificateRevoked
        | AlertCode::UnknownTrustDomain
        | AlertCode::DecryptError => Code::Unauthenticated,
        AlertCode::AccessDenied => Code::PermissionDenied,
    }
}

/// The code for a handshake that failed.
pub(super) fn of_error(error: &Error) -> Code {
    match error {
        Error::Peer { code, .. }
        | Error::Incompatible { code, .. }
        | Error::Limit { code, .. }
        | Error::Alert { code, .. } => of_alert(*code),
        // Certificates are renewed, services start, and peers that speak something else are replaced.
        Error::Foreign(_) | Error::Identity(_) | Error::Unavailable(_) => Code::Unavailable,
        Error::Denied { .. } => Code::PermissionDenied,
        Error::Misuse(_) => Code::Internal,
    }
}

/// Why a service refuses a caller whose handshake has not begun, or goes on in the wrong way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Its messages make no sense.
    BadRequest,
    /// One of them is larger than any can be.
    MessageTooLarge,
    /// It wants a restriction that the service cannot keep.
    Token,
    /// It offers no record protocol that the service knows.
    NoCommonRecordProtocol,
    /// It is not configured who the server may be.
    NoServerPolicy,
    /// It has no identity, or not the one it asks for.
    IdentityDenied,
}

impl Refusal {
    #[cfg(test)]
    pub(super) const ALL: [Self; 6] = [
        Self::BadRequest,
        Self::MessageTooLarge,
        Self::Token,
        Self::NoCommonRecordProtocol,
        Self::NoServerPolicy,
        Self::IdentityDenied,
    ];

    pub(crate) fn code(self) -> Code {
        match self {
            Self::BadRequest | Self::MessageTooLarge => Code::Internal,
            Self::NoCommonRecordProtocol => of_alert(AlertCode::NoCommonRecordProtocol),
            Self::Token | Self::NoServerPolicy | Self::IdentityDenied => Code::PermissionDenied,
        }
    }

    /// The word for metrics.
    pub(crate) fn reason(self) -> &'static str {
        match self {
            Self::BadRequest | Self::Token => "bad_request",
            Self::MessageTooLarge => "message_too_large",
            Self::NoCommonRecordProtocol => AlertCode::NoCommonRecordProtocol.name(),
            Self::NoServerPolicy => "no_server_policy",
            Self::IdentityDenied => "identity_denied",
        }
    }
}
