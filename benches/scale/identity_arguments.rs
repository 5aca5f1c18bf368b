//! Who a process is: the arguments that the commands take, too.

use alts::handshaker::identity::{IdentityError, IdentityFiles, IdentitySource};

pub(crate) use alts::handshaker::cli::IdentityArguments;

/// The name in the certificate.
pub(crate) fn own_name(files: &IdentityFiles) -> Result<String, IdentityError> {
    Ok(files.snapshot()?.id().to_string())
}
