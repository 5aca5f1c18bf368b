//! Handshake errors as gRPC statuses, and back.
//!
//! A status code alone does not say whose fault an error is. So a service of this package adds two fields to the trailers, which
//! other clients skip: `alts-fault`, for instance `peer 12`, and `alts-detail`. A status without them says only that a service
//! did not do the handshake. The codes are in `codes`.

#[cfg(feature = "service")]
mod codes;
#[cfg(feature = "remote")]
mod receive;
#[cfg(feature = "service")]
mod send;

#[cfg(feature = "service")]
pub(crate) use self::codes::Refusal;
#[cfg(feature = "remote")]
pub(crate) use self::receive::{from_code, from_status};
#[cfg(feature = "service")]
pub(crate) use self::send::to_status;

const FAULT: &str = "alts-fault";
const DETAIL: &str = "alts-detail";

/// Characters of detail that travel. A header list has limits of its own, and details quote the peer.
const MAX_DETAIL: usize = 512;

#[cfg(all(test, feature = "service", feature = "remote"))]
mod tests {
    use tonic::metadata::MetadataMap;
    use tonic::{Code, Status};

    use super::codes::of_alert;
    use super::*;
    use crate::alert::AlertCode;
    use crate::error::Error;
    use crate::foreign::ForeignProtocol;
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
            Error::Foreign(ForeignProtocol::Proxy),
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

    /// gRFC A54, and what the table of codes says about trying again.
    #[test]
    fn codes_that_a_control_plane_may_use() {
        let detail = || "detail".into();
        let mut codes = Vec::new();
        for code in (0..64).map(AlertCode::from_number) {
            codes.push(to_status(&Error::Peer { code, detail: detail() }).code());
            codes.push(to_status(&Error::Incompatible { code, detail: detail() }).code());
            codes.push(to_status(&Error::Limit { code, detail: detail() }).code());
            for sealed in [false, true] {
                let alert = Error::Alert { code, reason: "reason".into(), sealed };
                assert_eq!(
                    to_status(&alert).code(),
                    of_alert(code),
                    "the peer's finding counts as this side's"
                );
            }
        }
        for (error, code) in [
            (Error::Foreign(ForeignProtocol::Http2), Code::Unavailable),
            (Error::Foreign(ForeignProtocol::Tls), Code::Unavailable),
            (Error::Identity(IdentityError::KeyMismatch), Code::Unavailable),
            (Error::Unavailable("detail".into()), Code::Unavailable),
            (
                Error::Denied { peer: "spiffe://a/b".into(), detail: detail() },
                Code::PermissionDenied,
            ),
            (Error::Misuse(detail()), Code::Internal),
        ] {
            assert_eq!(to_status(&error).code(), code, "{error}");
        }
        codes.extend(Refusal::ALL.map(Refusal::code));
        let allowed =
            [Code::Unavailable, Code::Unauthenticated, Code::PermissionDenied, Code::Internal];
        assert!(codes.iter().all(|code| allowed.contains(code)), "{codes:?}");
    }

    #[test]
    fn each_code() {
        for (code, names) in [
            (
                Code::Unavailable,
                &[
                    "unexpected_message",
                    "decode_error",
                    "illegal_parameter",
                    "too_large",
                    "timeout",
                    "overloaded",
                    "internal",
                    "no_identity",
                ][..],
            ),
            (Code::PermissionDenied, &["access_denied"]),
        ] {
            let all = (0..64).map(AlertCode::from_number).filter(|alert| of_alert(*alert) == code);
            let mut found: Vec<_> = all.map(AlertCode::name).collect();
            found.sort_unstable();
            found.dedup();
            let mut names = names.to_vec();
            names.sort_unstable();
            assert_eq!(found, names);
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
            assert_eq!(of_alert(alert) as i32, status, "{name}");
            seen += 1;
        }
        assert_eq!(seen, 21);
    }
}
