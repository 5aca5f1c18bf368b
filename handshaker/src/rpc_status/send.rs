//! From an error to a status.

use tonic::Status;
use tonic::metadata::MetadataMap;

use super::codes::of_error;
use super::{DETAIL, FAULT, MAX_DETAIL};
use crate::alert::AlertCode;
use crate::error::Error;

/// The status that ends the call of a handshake that failed with `error`.
pub(crate) fn to_status(error: &Error) -> Status {
    let (fault, detail) = match error {
        Error::Peer { code, detail } => (numbered("peer", *code), &**detail),
        Error::Incompatible { code, detail } => (numbered("incompatible", *code), &**detail),
        Error::Limit { code, detail } => (numbered("limit", *code), &**detail),
        // What the peer found wrong is not this side's finding.
        Error::Alert { code, reason, sealed } => {
            let kind = if *sealed { "sealed-alert" } else { "alert" };
            (numbered(kind, *code), &**reason)
        }
        Error::Foreign(protocol) => (format!("foreign {}", protocol.name()), ""),
        Error::Denied { peer, detail } => (format!("denied {}", peer.escape_default()), &**detail),
        Error::Identity(_) => ("identity".to_owned(), ""),
        Error::Unavailable(detail) => ("unavailable".to_owned(), &**detail),
        Error::Misuse(detail) => ("misuse".to_owned(), &**detail),
    };
    let detail: String = detail.escape_default().take(MAX_DETAIL).collect();
    let mut metadata = MetadataMap::new();
    for (key, value) in [(FAULT, fault), (DETAIL, detail)] {
        if let Ok(value) = value.parse() {
            metadata.insert(key, value);
        }
    }
    Status::with_metadata(of_error(error), error.to_string(), metadata)
}

fn numbered(kind: &str, code: AlertCode) -> String {
    format!("{kind} {}", code.number())
}
