//! TLS for clients that begin it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use alts_nbd::server::Tls;
use clap::Args;
use pki_types::pem::PemObject as _;
use pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ServerConfig, WebPkiClientVerifier};
use rustls::{RootCertStore, crypto};

/// Flags of TLS.
#[derive(Debug, Args)]
#[command(next_help_heading = "TLS")]
#[expect(clippy::struct_field_names, reason = "they are the names of the flags")]
pub(crate) struct TlsArguments {
    /// Offer TLS (STARTTLS) on --listen, with this certificate chain (PEM, leaf first).
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The private key of that certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Insist on a client certificate of one of these authorities (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_client_ca: Option<PathBuf>,
    /// Refuse everything before TLS.
    #[arg(long, requires = "tls_cert")]
    tls_required: bool,
}

impl TlsArguments {
    pub(crate) fn is_required(&self) -> bool {
        self.tls_required
    }

    /// Reads the files.
    pub(crate) fn load(&self) -> Result<Option<Tls>, String> {
        let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) else { return Ok(None) };
        let chain = certificates("--tls-cert", cert)?;
        let key_der = PrivateKeyDer::from_pem_file(key)
            .map_err(|error| format!("--tls-key {}: {error}", key.display()))?;
        let provider = Arc::new(crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let builder = match &self.tls_client_ca {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let fault = |error: &dyn std::fmt::Display| {
                    format!("--tls-client-ca {}: {error}", path.display())
                };
                let mut roots = RootCertStore::empty();
                for root in certificates("--tls-client-ca", path)? {
                    roots.add(root).map_err(|error| fault(&error))?;
                }
                let verifier =
                    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().map_err(|error| fault(&error))?)
            }
        };
        let config = builder
            .with_single_cert(chain, key_der)
            .map_err(|error| format!("--tls-cert {}: {error}", cert.display()))?;
        let acceptor = Arc::new(config).into();
        Ok(Some(Tls { acceptor, required: self.tls_required }))
    }
}

fn certificates(flag: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let fault = |error: pki_types::pem::Error| format!("{flag} {}: {error}", path.display());
    let read = CertificateDer::pem_file_iter(path).map_err(fault)?;
    let chain = read.collect::<Result<Vec<_>, _>>().map_err(fault)?;
    match chain.is_empty() {
        true => Err(format!("{flag} {}: it has no certificate", path.display())),
        false => Ok(chain),
    }
}
