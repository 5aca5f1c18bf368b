//! Command line arguments that say who this side is and whom it trusts.

use std::error::Error;
use std::path::PathBuf;
use std::time::SystemTime;

use alts::handshaker::identity::{
    IdentityError, IdentityFiles, IdentitySource, SpiffeIdError, TrustDomain,
};
use clap::Args;

#[derive(Debug, Args)]
#[command(next_help_heading = "Identity")]
pub(crate) struct IdentityArguments {
    /// This side's certificate chain (PEM, leaf first).
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// The private key of the leaf (PEM). Only its owner may have access to the file.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The authorities (PEM) of a trust domain. This side's trust domain needs a bundle. May be repeated.
    #[arg(long, value_name = "TRUST_DOMAIN=FILE", required = true, value_parser = bundle)]
    bundle: Vec<(TrustDomain, PathBuf)>,
    /// Take certificates of dev.local, which a development authority issued.
    #[arg(long)]
    dev: bool,
}

impl IdentityArguments {
    /// Reads the files.
    pub(crate) fn load(self) -> Result<IdentityFiles, Box<dyn Error>> {
        let mut files = IdentityFiles::builder(self.cert, self.key);
        for (domain, path) in self.bundle {
            files = files.bundle(domain, path);
        }
        if self.dev {
            files = files.allow_development_domain();
        }
        files.load(SystemTime::now()).map_err(|error| match error.fault() {
            IdentityError::DevelopmentDomain(_) => format!("{error} (with --dev)").into(),
            _ => error.into(),
        })
    }
}

/// The name in the certificate.
pub(crate) fn own_name(files: &IdentityFiles) -> Result<String, IdentityError> {
    Ok(files.snapshot()?.id().to_string())
}

fn bundle(argument: &str) -> Result<(TrustDomain, PathBuf), String> {
    let (domain, path) =
        argument.split_once('=').ok_or("expected TRUST_DOMAIN=FILE, as in example.org=ca.pem")?;
    let domain = domain.parse().map_err(|error: SpiffeIdError| error.to_string())?;
    Ok((domain, path.into()))
}
