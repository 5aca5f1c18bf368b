//! How commands of the client end.

use std::fmt;
use std::process::ExitCode;

use alts::Fault;
use alts_nbd::client::Error;

/// Exit statuses, for `--help`. They are those of `alts connect`.
pub(crate) const STATUS_HELP: &str = "\
Exit status:
  0  it worked
  1  this side's files or flags, or what was asked for is not possible with this export
  2  the command line
  3  the network: no connection, or it broke
  4  the server speaks another protocol
  5  the server broke the protocol, or is not who it has to be
  6  the server refused: no such export, or a request failed
  7  a limit, a timeout for instance
";

/// Runs a command of the client to its end.
pub(crate) fn of(
    work: impl Future<Output = Result<(), Failure>>,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    // Nothing that is still under way matters any more.
    runtime.shutdown_background();
    Ok(match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure { status, message }) => {
            eprintln!("error: {message}");
            ExitCode::from(status)
        }
    })
}

/// What went wrong, and the exit status for it.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: u8,
    pub(crate) message: String,
}

impl Failure {
    /// Something on this side.
    pub(crate) fn local(message: impl fmt::Display) -> Self {
        Self { status: 1, message: format!("{message}") }
    }

    /// Adds what it concerns.
    #[must_use]
    pub(crate) fn at(self, what: impl fmt::Display) -> Self {
        Self { message: format!("{what}: {}", self.message), ..self }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let status = match error.fault() {
            Fault::Network | Fault::Handshaker => 3,
            Fault::Incompatible => 4,
            Fault::Peer => 5,
            Fault::Refused => 6,
            Fault::Limit => 7,
            _ => 1,
        };
        Self { status, message: error.to_string() }
    }
}

#[cfg(test)]
mod tests {
    use alts_nbd::client::{Usage, Violation};
    use alts_nbd::wire::option::number::GO;
    use alts_nbd::wire::option_reply::OptionError;

    use super::*;

    #[test]
    fn each_fault_has_its_status() {
        let kind = std::io::ErrorKind::ConnectionReset;
        let option =
            Error::Option { option: GO, error: OptionError::UnknownExport, message: String::new() };
        for (error, status) in [
            (Error::Usage(Usage::ReadOnly), 1),
            (Error::Io { kind, message: String::new() }, 3),
            (Error::Oldstyle, 4),
            (Error::Violation(Violation::SimpleReply), 5),
            (option, 6),
            (Error::Timeout, 7),
        ] {
            assert_eq!(Failure::from(error).status, status);
        }
    }
}
