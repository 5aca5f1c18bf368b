//! Who a process is: the arguments that the commands take, too.

use alts::handshaker::identity::{IdentityError, IdentitySource};

pub(crate) use alts::handshaker::cli::{IdentityArguments, WatchedIdentity};

/// The name in the certificate.
pub(crate) fn own_name(files: &WatchedIdentity) -> Result<String, IdentityError> {
    Ok(files.snapshot()?.id().to_string())
}
