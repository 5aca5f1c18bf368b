//! From an error to a status.

use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use super::{DETAIL, FAULT, MAX_DETAIL};
use crate::error::{AlertCode, Error};

/// The status that goes with a handshake error code: the table in `PROTOCOL.md`.
pub(super) fn code_of(alert: AlertCode) -> Code {
    match alert {
        AlertCode::UnexpectedMessage | AlertCode::DecodeError | AlertCode::IllegalParameter => {
            Code::InvalidArgument
        }
        AlertCode::UnsupportedVersion
        | AlertCode::NoCommonSuite
        | AlertCode::NoCommonRecordProtocol
        | AlertCode::NoCommonAppProtocol
        | AlertCode::UnsupportedExtension
        | AlertCode::RpcVersionMismatch => Code::FailedPrecondition,
        AlertCode::HandshakeFailure
        | AlertCode::BadCertificate
        | AlertCode::CertificateExpired
        | AlertCode::CertificateRevoked
        | AlertCode::UnknownTrustDomain
        | AlertCode::DecryptError => Code::Unauthenticated,
        AlertCode::AccessDenied => Code::PermissionDenied,
        AlertCode::TooLarge | AlertCode::Overloaded => Code::ResourceExhausted,
        AlertCode::Timeout => Code::DeadlineExceeded,
        AlertCode::Internal => Code::Internal,
        AlertCode::NoIdentity => Code::Unavailable,
    }
}

/// The status that ends the call of a handshake that failed with `error`.
pub(crate) fn to_status(error: &Error) -> Status {
    let (code, fault, detail) = match error {
        Error::Peer { code, detail } => (code_of(*code), numbered("peer", *code), &**detail),
        Error::Incompatible { code, detail } => {
            (code_of(*code), numbered("incompatible", *code), &**detail)
        }
        Error::Limit { code, detail } => (code_of(*code), numbered("limit", *code), &**detail),
        // What the peer found wrong is not this side's finding.
        Error::Alert { code, reason, sealed } => {
            let kind = if *sealed { "sealed-alert" } else { "alert" };
            (Code::Aborted, numbered(kind, *code), &**reason)
        }
        Error::Foreign(protocol) => {
            (Code::InvalidArgument, format!("foreign {}", protocol.name()), "")
        }
        Error::Denied { peer, detail } => {
            (Code::PermissionDenied, format!("denied {}", peer.escape_default()), &**detail)
        }
        Error::Identity(_) => (Code::Unavailable, "identity".to_owned(), ""),
        Error::Unavailable(detail) => (Code::Unavailable, "unavailable".to_owned(), &**detail),
        Error::Misuse(detail) => (Code::InvalidArgument, "misuse".to_owned(), &**detail),
    };
    let detail: String = detail.escape_default().take(MAX_DETAIL).collect();
    let mut metadata = MetadataMap::new();
    for (key, value) in [(FAULT, fault), (DETAIL, detail)] {
        if let Ok(value) = value.parse() {
            metadata.insert(key, value);
        }
    }
    Status::with_metadata(code, error.to_string(), metadata)
}

fn numbered(kind: &str, code: AlertCode) -> String {
    format!("{kind} {}", code.number())
}
