//! Who this side is, for commands that need to be somebody only where ALTS is used.

use std::path::PathBuf;

use alts::handshaker::cli::{IdentityArguments, TrustArguments};
use clap::Args;

/// An identity in files, or none. The authorities, which other programs of this workspace cannot do without, have to be made
/// optional by [`optional`].
#[derive(Clone, Debug, Args)]
pub(crate) struct OptionalIdentity {
    /// This side's certificate chain (PEM, leaf first), for ALTS.
    #[arg(
        long,
        value_name = "FILE",
        requires = "key",
        requires = "bundle",
        help_heading = "Identity"
    )]
    cert: Option<PathBuf>,
    /// The private key of the leaf (PEM). Only its owner may have access to the file.
    #[arg(long, value_name = "FILE", requires = "cert", help_heading = "Identity")]
    key: Option<PathBuf>,
    #[command(flatten)]
    trust: TrustArguments,
}

impl OptionalIdentity {
    /// Who this side is, if it was said.
    pub(crate) fn given(&self) -> Option<IdentityArguments> {
        let (cert, key) = (self.cert.clone()?, self.key.clone()?);
        Some(IdentityArguments { cert, key, trust: self.trust.clone() })
    }
}

/// A subcommand that has an [`OptionalIdentity`].
pub(crate) fn optional(command: clap::Command) -> clap::Command {
    command.mut_arg("bundle", |arg| arg.required(false).requires("cert"))
}
