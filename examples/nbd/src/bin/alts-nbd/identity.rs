//! Who this side is, for commands that need to be somebody only where ALTS is used.

use std::path::PathBuf;

use alts::handshaker::cli::{IdentityArguments, TrustArguments};
use clap::builder::Resettable;
use clap::{Args, Id};

/// An identity in files, from the SPIFFE Workload API, or none. The authorities, which other programs of this workspace cannot do without, have to be made
/// optional by [`optional`].
#[derive(Clone, Debug, Args)]
pub(crate) struct OptionalIdentity {
    /// This side's certificate chain (PEM, leaf first), for ALTS.
    #[arg(
        long,
        value_name = "FILE",
        group = "identity_source",
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
        let given = self.cert.is_some() || self.trust.is_workload_api();
        let (cert, key) = (self.cert.clone(), self.key.clone());
        given.then(|| IdentityArguments { cert, key, trust: self.trust.clone() })
    }
}

/// A subcommand that has an [`OptionalIdentity`].
pub(crate) fn optional(command: clap::Command) -> clap::Command {
    command.mut_arg("bundle", |arg| {
        arg.required(false).required_unless_present(Resettable::<Id>::Reset).requires("cert")
    })
}
