//! Errors of connecting.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use crate::error::Error;
use crate::http2::client::CallError;

/// Why an [`AltsConnector`](super::AltsConnector) made no connection.
///
/// tonic turns it into the status `UNAVAILABLE`, whatever the reason, with this error's message; [`cause_of`] finds the reason
/// behind the status.
#[derive(Debug)]
pub struct ConnectError {
    target: String,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// There is no transport.
    Dial(io::Error),
    /// There is one, and it is not secured.
    Secure(Error),
}

impl ConnectError {
    /// The error of this crate, unless there was no transport for a reason of its own.
    fn cause(&self) -> Option<&Error> {
        match &self.stage {
            Stage::Dial(error) => Error::of(error),
            Stage::Secure(error) => Some(error),
        }
    }

    pub(super) fn dial(target: &str, error: io::Error) -> Self {
        Self { target: target.to_owned(), stage: Stage::Dial(error) }
    }

    pub(super) fn secure(target: &str, error: Error) -> Self {
        Self { target: target.to_owned(), stage: Stage::Secure(error) }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = self.target.escape_debug();
        match &self.stage {
            Stage::Dial(error) => write!(f, "cannot reach {target}: {error}"),
            Stage::Secure(error) => write!(f, "no secure connection to {target}: {error}"),
        }
    }
}

/// The message says all of it, so there is no source to follow; [`cause_of`] looks inside.
impl StdError for ConnectError {}

/// The error of this crate behind a `tonic::Status`, a `tonic::transport::Error` or any other error, if there is one; its
/// [`fault`](Error::fault) says what has to change.
///
/// It is about connections that could not be made. What goes wrong on one later passes through HTTP/2's own error, which keeps
/// only the words: they are in the message of one of the status's sources.
///
/// ```
/// # fn explain(status: &tonic::Status) {
/// use alts::Fault;
/// use alts::tonic::cause_of;
///
/// match cause_of(status).map(alts::Error::fault) {
///     Some(Fault::Handshaker) => println!("the handshaker service is gone; the server may be fine"),
///     Some(Fault::Peer) => println!("not the server that it should be, or it refuses us"),
///     _ => println!("{status}"),
/// }
/// # }
/// ```
pub fn cause_of<'error>(error: &'error (dyn StdError + 'static)) -> Option<&'error Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        // What is inside of these is not their source.
        if let Some(found) = error.downcast_ref().and_then(Error::of) {
            return Some(found);
        }
        if let Some(found) = error.downcast_ref().and_then(ConnectError::cause) {
            return Some(found);
        }
        match error.downcast_ref() {
            Some(CallError::Connect(failed)) => return cause_of(failed.reason()),
            Some(CallError::RequestBody(failed)) => return cause_of(&**failed),
            _ => {}
        }
        next = error.source();
    }
    None
}
