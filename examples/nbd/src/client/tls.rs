//! Certificates for TLS, as libnbd looks for them.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use pki_types::pem::PemObject as _;
use pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, crypto};

use super::error::Error;

/// Reads `ca-cert.pem`, and if they are there `client-cert.pem` and `client-key.pem`.
pub(super) fn config(directory: &Path) -> Result<Arc<ClientConfig>, Error> {
    let mut roots = RootCertStore::empty();
    let authorities = directory.join("ca-cert.pem");
    for root in certificates(&authorities)? {
        roots.add(root).map_err(|error| unusable(&authorities, &error))?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(directory, &error))?
        .with_root_certificates(roots);
    let (chain, key) = (directory.join("client-cert.pem"), directory.join("client-key.pem"));
    let config = match chain.exists() {
        false => builder.with_no_client_auth(),
        true => {
            let key_der =
                PrivateKeyDer::from_pem_file(&key).map_err(|error| unusable(&key, &error))?;
            builder
                .with_client_auth_cert(certificates(&chain)?, key_der)
                .map_err(|error| unusable(&chain, &error))?
        }
    };
    Ok(Arc::new(config))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let read = CertificateDer::pem_file_iter(path).map_err(|error| unusable(path, &error))?;
    let chain = read.collect::<Result<Vec<_>, _>>().map_err(|error| unusable(path, &error))?;
    match chain.is_empty() {
        true => Err(unusable(path, &"it has no certificate")),
        false => Ok(chain),
    }
}

fn unusable(path: &Path, fault: &dyn fmt::Display) -> Error {
    Error::Local { message: format!("{} cannot be used for TLS: {fault}", path.display()) }
}
