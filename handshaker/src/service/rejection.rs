//! How a call is refused.

use tonic::{Code, Status};

use crate::error::Error;
use crate::rpc_status::{Refusal, to_status};

/// The status for the caller, and one word for the metrics.
#[derive(Debug)]
pub(super) struct Rejection {
    pub(super) status: Status,
    pub(super) reason: &'static str,
}

impl Rejection {
    /// The caller's messages are wrong: a fault of the calling program, not of the peer.
    pub(super) fn bad_request(detail: impl Into<String>) -> Self {
        Self::refused(Refusal::BadRequest, detail)
    }

    /// As [`bad_request`](Self::bad_request), of any kind.
    pub(super) fn refused(refusal: Refusal, detail: impl Into<String>) -> Self {
        let like = to_status(&Error::misuse(detail.into()));
        let message = like.message().to_owned();
        let status = Status::with_metadata(refusal.code(), message, like.metadata().clone());
        Self { status, reason: refusal.reason() }
    }

    pub(super) fn draining() -> Self {
        let error = Error::Unavailable("the service is shutting down".to_owned());
        Self { reason: "draining", ..error.into() }
    }

    pub(super) fn cancelled() -> Self {
        Self {
            status: Status::cancelled("the caller ended the stream before the handshake was done"),
            reason: "cancelled",
        }
    }

    /// What tonic found wrong with a message, or with the stream.
    pub(super) fn unreadable(status: &Status) -> Self {
        match status.code() {
            Code::OutOfRange | Code::ResourceExhausted => {
                Self::refused(Refusal::MessageTooLarge, status.message())
            }
            Code::Internal | Code::Unimplemented => {
                Self::bad_request(format!("unreadable message: {}", status.message()))
            }
            _ => Self::cancelled(),
        }
    }
}

impl From<Error> for Rejection {
    fn from(error: Error) -> Self {
        let reason = match &error {
            // A signer that does not sign.
            Error::Unavailable(_) => "no_identity",
            // The caller's.
            Error::Misuse(_) => "bad_request",
            error => error.reason(),
        };
        Self { status: to_status(&error), reason }
    }
}
