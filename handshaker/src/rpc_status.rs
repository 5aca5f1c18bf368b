//! Handshake errors as gRPC statuses, and back.
//!
//! A status code alone does not say whose fault an error is. So a service of this package adds two fields to the trailers, which
//! other clients skip: `alts-fault`, for instance `peer 12`, and `alts-detail`. A status without them says only that a service
//! did not do the handshake.

use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use crate::error::{AlertCode, Error, ForeignProtocol};

const FAULT: &str = "alts-fault";
const DETAIL: &str = "alts-detail";

/// Bytes of detail that travel. A header list has limits of its own, and details quote the peer.
const MAX_DETAIL: usize = 512;

/// The status that goes with a handshake error code: the table in `PROTOCOL.md`.
pub(crate) fn code_of(alert: AlertCode) -> Code {
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
    }
}

/// The status that ends the call of a handshake that failed with `error`.
#[cfg(feature = "service")]
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
            let name = match protocol {
                ForeignProtocol::Http2 => "http2",
                ForeignProtocol::Tls => "tls",
            };
            (Code::InvalidArgument, format!("foreign {name}"), "")
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

#[cfg(feature = "service")]
fn numbered(kind: &str, code: AlertCode) -> String {
    format!("{kind} {}", code.number())
}

/// What a service's refusal means for the handshake.
#[cfg(feature = "remote")]
pub(crate) fn from_status(status: &Status) -> Error {
    let text = |key| status.metadata().get(key).and_then(|value| value.to_str().ok());
    text(FAULT)
        .and_then(|fault| from_fault(fault, text(DETAIL).unwrap_or_default(), status))
        .unwrap_or_else(|| from_code(status.code(), status.message()))
}

/// What it means when all there is to go by is a code, as from a service that is not of this package.
#[cfg(feature = "remote")]
pub(crate) fn from_code(code: Code, message: &str) -> Error {
    let message: String = message.escape_debug().take(MAX_DETAIL).collect();
    if code == Code::PermissionDenied {
        let detail = format!("refused by the handshaker service: {message}").into();
        return Error::Denied { peer: "(the service did not say)".to_owned(), detail };
    }
    // Others may be anybody's fault. Blaming the peer without a reason would be an alarm too many.
    Error::Unavailable(format!("{code:?}: {message}"))
}

#[cfg(feature = "remote")]
fn from_fault(fault: &str, detail: &str, status: &Status) -> Option<Error> {
    let (kind, rest) = fault.split_once(' ').unwrap_or((fault, ""));
    let code = || rest.parse().ok().map(AlertCode::from_number);
    let alert = |sealed| Some(Error::Alert { code: code()?, reason: detail.to_owned(), sealed });
    Some(match kind {
        "peer" => Error::Peer { code: code()?, detail: detail.to_owned().into() },
        "incompatible" => Error::Incompatible { code: code()?, detail: detail.to_owned().into() },
        "limit" => Error::Limit { code: code()?, detail: detail.to_owned().into() },
        "alert" => alert(false)?,
        "sealed-alert" => alert(true)?,
        "foreign" if rest == "http2" => Error::Foreign(ForeignProtocol::Http2),
        "foreign" if rest == "tls" => Error::Foreign(ForeignProtocol::Tls),
        "denied" => Error::Denied { peer: rest.to_owned(), detail: detail.to_owned().into() },
        // The service's own identity, which is not this process's.
        "identity" => Error::Unavailable(status.message().escape_debug().to_string()),
        "unavailable" => Error::Unavailable(detail.to_owned()),
        "misuse" => Error::Misuse(detail.to_owned().into()),
        _ => return None,
    })
}

#[cfg(all(test, feature = "service", feature = "remote"))]
mod tests {
    use super::*;
    use crate::identity::IdentityError;

    #[test]
    fn errors_come_back_as_they_were() {
        let detail = || "a detail with \"quotes\"".escape_default().to_string();
        let errors = [
            Error::Peer { code: AlertCode::DecryptError, detail: detail().into() },
            Error::Incompatible { code: AlertCode::NoCommonSuite, detail: detail().into() },
            Error::Limit { code: AlertCode::Overloaded, detail: "full".into() },
            Error::Alert { code: AlertCode::AccessDenied, reason: "no".into(), sealed: true },
            Error::Alert { code: AlertCode::Timeout, reason: String::new(), sealed: false },
            Error::Foreign(ForeignProtocol::Http2),
            Error::Foreign(ForeignProtocol::Tls),
            Error::Denied { peer: "spiffe://a/b".into(), detail: "no rule allows it".into() },
            Error::Unavailable("gone".into()),
            Error::Misuse("wrong".into()),
        ];
        for error in errors {
            let status = to_status(&error);
            let unescaped = detail();
            let back = from_status(&status);
            if error.to_string().contains(&unescaped) {
                // Escaped twice: what matters is kind and code.
                assert_eq!(back.alert(), error.alert());
                assert_eq!(std::mem::discriminant(&back), std::mem::discriminant(&error));
            } else {
                assert_eq!(back, error, "{status:?}");
            }
            assert_eq!(status.message(), error.to_string());
        }
    }

    #[test]
    fn the_services_identity_is_not_ours() {
        let status = to_status(&Error::Identity(IdentityError::KeyMismatch));
        assert_eq!(status.code(), Code::Unavailable);
        assert!(matches!(from_status(&status), Error::Unavailable(_)));
    }

    #[test]
    fn a_status_without_a_fault_accuses_nobody() {
        for code in (1..=16).map(Code::from_i32).filter(|code| *code != Code::PermissionDenied) {
            let error = from_status(&Status::new(code, "words\n"));
            assert_eq!(error, Error::Unavailable(format!("{code:?}: words\\n")));
        }
        let refused = from_status(&Status::permission_denied("words"));
        assert!(matches!(refused, Error::Denied { .. }), "{refused}");
    }

    #[test]
    fn a_malformed_fault_counts_as_none() {
        for fault in ["peer", "peer x", "peer 70000", "foreign x", "unheard of", ""] {
            let mut metadata = MetadataMap::new();
            metadata.insert(FAULT, fault.parse().unwrap());
            let status = Status::with_metadata(Code::Internal, "words", metadata);
            assert_eq!(from_status(&status), Error::Unavailable("Internal: words".into()));
        }
    }

    #[test]
    fn the_table_of_the_protocol() {
        let document = include_str!("../PROTOCOL.md");
        let rows = document.lines().filter_map(|line| {
            let mut cells = line.split('|').map(str::trim).skip(1);
            let number: u16 = cells.next()?.parse().ok()?;
            let name = cells.next()?.strip_prefix('`')?.strip_suffix('`')?.to_owned();
            let status: i32 = cells.nth(1)?.split(' ').next()?.parse().ok()?;
            Some((number, name, status))
        });
        let mut seen = 0;
        for (number, name, status) in rows {
            let alert = AlertCode::from_number(number);
            assert_eq!(alert.name(), name);
            assert_eq!(code_of(alert) as i32, status, "{name}");
            seen += 1;
        }
        assert_eq!(seen, 20);
    }
}
