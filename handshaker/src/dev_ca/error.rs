//! What can go wrong with development certificates.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crate::identity::{SpiffeId, SpiffeIdError, TrustDomain};

/// Why a development authority, or a certificate of it, could not be made, read or written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DevCaError {
    /// The name is not a SPIFFE ID or trust domain.
    Name(SpiffeIdError),
    /// The authority does not vouch for the name's trust domain.
    OtherTrustDomain {
        /// The name that was asked for.
        id: SpiffeId,
        /// What the authority vouches for.
        domain: TrustDomain,
    },
    /// The authority's certificate has expired.
    Expired,
    /// There is an authority in the directory already.
    Exists(PathBuf),
    /// The file is not what [`DevCa::save`](super::DevCa::save) writes.
    NotOurs {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: String,
    },
    /// Reading or writing failed.
    File {
        /// The file or directory.
        path: PathBuf,
        /// The kind of failure.
        kind: io::ErrorKind,
        /// The operating system's message.
        message: String,
    },
    /// The certificate could not be made.
    Certificate(String),
}

impl DevCaError {
    pub(super) fn file(path: &Path, fault: &io::Error) -> Self {
        Self::File { path: path.to_owned(), kind: fault.kind(), message: fault.to_string() }
    }

    pub(super) fn not_ours(path: &Path, fault: impl fmt::Display) -> Self {
        Self::NotOurs { path: path.to_owned(), fault: fault.to_string() }
    }
}

impl From<rcgen::Error> for DevCaError {
    fn from(fault: rcgen::Error) -> Self {
        Self::Certificate(fault.to_string())
    }
}

impl fmt::Display for DevCaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(fault) => write!(f, "not a SPIFFE ID: it {fault}"),
            Self::OtherTrustDomain { id, domain } => {
                write!(f, "{id} is outside the trust domain {domain} of this authority")
            }
            Self::Expired => f.write_str("the development authority has expired; make a new one"),
            Self::Exists(path) => write!(
                f,
                "{} exists already; replacing an authority invalidates all that it issued",
                path.display()
            ),
            Self::NotOurs { path, fault } => {
                write!(f, "{}: not a development authority's: {fault}", path.display())
            }
            Self::File { path, message, .. } => write!(f, "{}: {message}", path.display()),
            Self::Certificate(fault) => write!(f, "the certificate could not be made: {fault}"),
        }
    }
}

impl std::error::Error for DevCaError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Name(fault) => Some(fault),
            _ => None,
        }
    }
}
