//! The subcommand `dev-ca`.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::dev_ca::{DevCa, DevCaError, KeyType};
use crate::identity::{DEVELOPMENT_TRUST_DOMAIN, SpiffeId, TrustDomain};
use clap::{Args, Subcommand, ValueEnum};

/// Makes certificates for development.
#[derive(Debug, Subcommand)]
pub enum DevCaCommand {
    /// Make a new authority, valid for a year.
    ///
    /// Writes ca.pem and ca-key.pem. Whoever has the key can take any name in the trust domain: keep the directory out of
    /// version control and out of images.
    Init(Init),
    /// Issue a certificate, valid for 24 hours.
    ///
    /// Writes chain.pem, key.pem and bundle.pem in place of older ones. Programs that watch these files take them over by themselves.
    Issue(Issue),
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// The authority's directory.
    #[arg(long, default_value = "dev-ca")]
    dir: PathBuf,
    /// The trust domain that it vouches for. Any other than dev.local is accepted by programs without their being told that
    /// it is for development.
    #[arg(long, value_name = "NAME", default_value = DEVELOPMENT_TRUST_DOMAIN)]
    trust_domain: TrustDomain,
    /// Replace an authority that is there already. Certificates that it issued are no longer trusted.
    #[arg(long)]
    force: bool,
}

/// Arguments of `issue`.
#[derive(Debug, Args)]
pub struct Issue {
    /// The name, for instance `spiffe://dev.local/server`.
    id: SpiffeId,
    /// The authority's directory.
    #[arg(long, default_value = "dev-ca")]
    dir: PathBuf,
    /// The directory to write to [default: the authority's directory with the name's path appended].
    #[arg(long)]
    out: Option<PathBuf>,
    /// The type of the key.
    #[arg(long, value_enum, default_value_t)]
    key_type: KeyTypeName,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum KeyTypeName {
    /// Small and fast.
    #[default]
    Ed25519,
    /// ECDSA over P-256.
    P256,
}

impl DevCaCommand {
    /// Carries it out.
    pub fn run(self) -> Result<(), Box<dyn Error>> {
        match self {
            Self::Init(init) => init.run(),
            Self::Issue(issue) => issue.run(),
        }
    }
}

impl Init {
    fn run(self) -> Result<(), Box<dyn Error>> {
        let Self { dir, trust_domain, force } = self;
        let ca = DevCa::for_trust_domain(trust_domain, SystemTime::now())?;
        let saved = if force { ca.replace(&dir) } else { ca.save(&dir) };
        saved.map_err(|fault| match fault {
            DevCaError::Exists(_) => format!("{fault} (--force does it)").into(),
            fault => Box::<dyn Error>::from(fault),
        })?;
        println!("authority for {} in {}", ca.trust_domain(), dir.display());
        Ok(())
    }
}

impl Issue {
    fn run(self) -> Result<(), Box<dyn Error>> {
        let Self { id, dir, out, key_type } = self;
        let ca = DevCa::load(&dir).map_err(|fault| explain(fault, &dir))?;
        let key_type = match key_type {
            KeyTypeName::Ed25519 => KeyType::Ed25519,
            KeyTypeName::P256 => KeyType::P256,
        };
        let issued = ca.issue_with_key_type(id.as_str(), key_type, SystemTime::now())?;
        let out = out.unwrap_or_else(|| dir.join(id.path().trim_start_matches('/')));
        issued.save(&out)?;
        println!("{id} in {}, valid for 24 hours", out.display());
        Ok(())
    }
}

/// Says what to do where there is no authority.
fn explain(fault: DevCaError, dir: &Path) -> Box<dyn Error> {
    match fault {
        DevCaError::File { kind: std::io::ErrorKind::NotFound, .. } => format!(
            "no authority in {}: run `dev-ca init` first, or name its directory with --dir",
            dir.display()
        )
        .into(),
        fault => fault.into(),
    }
}
