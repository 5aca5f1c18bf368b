//! What can be wrong with ticket keys.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why ticket keys cannot be made, read or written. Never the peer's doing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TicketKeysError {
    /// A full handshake may be resumed for 60 seconds to 24 hours.
    MaxAge(Duration),
    /// The operating system's generator of random numbers failed.
    Random,
    /// The file cannot be read.
    Read {
        /// The file.
        path: PathBuf,
        /// The operating system's message.
        message: String,
    },
    /// Others than the owner may use the file (on Unix: permission bits outside 0700).
    Shared {
        /// The file.
        path: PathBuf,
        /// The permission bits of the file, or of what the link points to.
        mode: u32,
    },
    /// The file is not what `alts ticket-keys rotate` writes.
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1 on.
        line: usize,
        /// What is wrong with it.
        fault: &'static str,
    },
    /// The newest key of the file is not in use yet.
    NotInUseYet {
        /// The file.
        path: PathBuf,
        /// The seconds until it is.
        seconds: u64,
    },
    /// The file cannot be written.
    Write {
        /// The file.
        path: PathBuf,
        /// The operating system's message.
        message: String,
    },
    /// The thread that watches the file cannot be started.
    Watcher(String),
}

impl TicketKeysError {
    pub(super) fn malformed(path: &Path, line: usize, fault: &'static str) -> Self {
        Self::Malformed { path: path.to_owned(), line, fault }
    }
}

impl fmt::Display for TicketKeysError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MaxAge(max_age) => {
                write!(
                    f,
                    "a handshake cannot be resumed for {max_age:?}; give 60 seconds to 24 hours"
                )
            }
            Self::Random => f.write_str("the operating system's random number generator failed"),
            Self::Read { path, message } => {
                write!(f, "{}, the file of ticket keys: {message}", path.display())
            }
            Self::Shared { path, mode } => write!(
                f,
                "{}: ticket keys that users other than the file's owner may read or write (mode {mode:04o}); make it 0600 or 0400",
                path.display()
            ),
            Self::Malformed { path, line, fault } => write!(
                f,
                "{}, line {line}: {fault}; a line of ticket keys is NAME SECRET TIME with 16 and 64 hexadecimal digits and \
                 seconds since 1970, the newest key first, as `alts ticket-keys rotate` writes it",
                path.display()
            ),
            Self::NotInUseYet { path, seconds } => write!(
                f,
                "{}: the newest ticket key is used from {seconds} seconds from now on; rotate again after that, or remove the file \
                 to begin anew",
                path.display()
            ),
            Self::Write { path, message } => {
                write!(f, "{}: the ticket keys cannot be written: {message}", path.display())
            }
            Self::Watcher(message) => {
                write!(
                    f,
                    "the file of ticket keys cannot be watched: no thread could be started: {message}"
                )
            }
        }
    }
}

/// The message says all of it, so there is no source to follow; match on the variants to look inside.
impl std::error::Error for TicketKeysError {}
