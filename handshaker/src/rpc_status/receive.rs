//! From a status to an error.

use tonic::{Code, Status};

use super::{DETAIL, FAULT, MAX_DETAIL};
use crate::alert::AlertCode;
use crate::error::Error;
use crate::foreign::ForeignProtocol;

/// What a service's refusal means for the handshake.
pub(crate) fn from_status(status: &Status) -> Error {
    let text = |key| status.metadata().get(key).and_then(|value| value.to_str().ok());
    text(FAULT)
        .and_then(|fault| from_fault(fault, text(DETAIL).unwrap_or_default(), status))
        .unwrap_or_else(|| from_code(status.code(), status.message()))
}

/// What it means when all there is to go by is a code, as from a service that is not of this package.
pub(crate) fn from_code(code: Code, message: &str) -> Error {
    let message: String = message.escape_debug().take(MAX_DETAIL).collect();
    if code == Code::PermissionDenied {
        let detail = format!("refused by the handshaker service: {message}").into();
        return Error::Denied { peer: "(the service did not say)".to_owned(), detail };
    }
    // Others may be anybody's fault. Blaming the peer without a reason would be an alarm too many.
    Error::Unavailable(format!("{code:?}: {message}"))
}

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
        "foreign" => Error::Foreign(ForeignProtocol::from_name(rest)?),
        "denied" => Error::Denied { peer: rest.to_owned(), detail: detail.to_owned().into() },
        // The service's own identity, which is not this process's.
        "identity" => Error::Unavailable(status.message().escape_debug().to_string()),
        "unavailable" => Error::Unavailable(detail.to_owned()),
        "misuse" => Error::Misuse(detail.to_owned().into()),
        _ => return None,
    })
}
