//! Development certificates on disk.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use pki_types::CertificateDer;
use pki_types::pem::PemObject;
use rcgen::{Issuer, KeyPair, PublicKeyData};
use zeroize::Zeroizing;

use crate::identity::authority_of;

use super::{DevCa, DevCaError, DevIdentity, ca_params};

/// The authority's certificate, in the authority's directory.
pub const CA_CERTIFICATE_FILE: &str = "ca.pem";
/// The authority's private key, in the authority's directory.
pub const CA_KEY_FILE: &str = "ca-key.pem";
/// A certificate chain, in its directory.
pub const CHAIN_FILE: &str = "chain.pem";
/// The private key of the chain's leaf, in the same directory.
pub const KEY_FILE: &str = "key.pem";
/// The trust bundle, in the same directory.
pub const BUNDLE_FILE: &str = "bundle.pem";

impl DevCa {
    /// Writes the authority into `dir`, which is made if need be. Refuses if there is one already. The key file is its
    /// owner's only.
    pub fn save(&self, dir: &Path) -> Result<(), DevCaError> {
        for name in [CA_CERTIFICATE_FILE, CA_KEY_FILE] {
            let path = dir.join(name);
            if path.symlink_metadata().is_ok() {
                return Err(DevCaError::Exists(path));
            }
        }
        self.replace(dir)
    }

    /// As [`save`](Self::save), in place of an authority that may be there. Nobody who trusts this one believes what the old one
    /// issued.
    pub fn replace(&self, dir: &Path) -> Result<(), DevCaError> {
        make_directory(dir)?;
        let key = Zeroizing::new(self.issuer.key().serialize_pem());
        write_file(&dir.join(CA_KEY_FILE), key.as_bytes(), Secrecy::Private)?;
        write_file(&dir.join(CA_CERTIFICATE_FILE), self.bundle_pem().as_bytes(), Secrecy::Public)
    }

    /// Reads the authority that [`save`](Self::save) wrote into `dir`.
    pub fn load(dir: &Path) -> Result<Self, DevCaError> {
        let path = dir.join(CA_CERTIFICATE_FILE);
        let key_path = dir.join(CA_KEY_FILE);
        let certificate_pem = read_file(&path)?;
        let key_pem = Zeroizing::new(read_file(&key_path)?);

        let der = CertificateDer::from_pem_slice(certificate_pem.as_bytes())
            .map_err(|_| DevCaError::not_ours(&path, "no certificate in it"))?;
        let found = authority_of(&der).map_err(|fault| DevCaError::not_ours(&path, fault))?;
        let key = KeyPair::from_pem(&key_pem)
            .map_err(|_| DevCaError::not_ours(&key_path, "no private key in it"))?;
        if found.key != key.der_bytes() {
            return Err(DevCaError::not_ours(&key_path, "the key is not that of the certificate"));
        }
        // Issuing needs the subject's name, which is built again. The result must be the same.
        let params = ca_params(&found.domain, found.not_before, found.not_after)?;
        let again = params.self_signed(&key)?;
        if authority_of(again.der()).map(|again| again.subject) != Ok(found.subject) {
            return Err(DevCaError::not_ours(&path, "it has another subject"));
        }
        let (domain, not_after) = (found.domain, found.not_after);
        Ok(Self { domain, issuer: Issuer::new(params, key), certificate_pem, not_after })
    }
}

impl DevIdentity {
    /// Writes [`CHAIN_FILE`], [`KEY_FILE`] and [`BUNDLE_FILE`] into `dir`, which is made if need be, each in one step and in
    /// place of older ones. The key file is its owner's only.
    pub fn save(&self, dir: &Path) -> Result<(), DevCaError> {
        make_directory(dir)?;
        write_file(&dir.join(KEY_FILE), self.key_pem().as_bytes(), Secrecy::Private)?;
        write_file(&dir.join(CHAIN_FILE), self.chain_pem().as_bytes(), Secrecy::Public)?;
        write_file(&dir.join(BUNDLE_FILE), self.bundle_pem().as_bytes(), Secrecy::Public)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Secrecy {
    Public,
    /// Mode 0600 on Unix.
    Private,
}

fn make_directory(dir: &Path) -> Result<(), DevCaError> {
    fs::create_dir_all(dir).map_err(|fault| DevCaError::file(dir, &fault))
}

fn read_file(path: &Path) -> Result<String, DevCaError> {
    fs::read_to_string(path).map_err(|fault| DevCaError::file(path, &fault))
}

/// Writes beside `path`, then renames: nobody ever reads half a file, and a key is never readable by others, not even while it
/// is being written.
fn write_file(path: &Path, contents: &[u8], secrecy: Secrecy) -> Result<(), DevCaError> {
    let beside = {
        let mut name = path.as_os_str().to_owned();
        name.push(".new");
        PathBuf::from(name)
    };
    let write = || -> io::Result<()> {
        // What an interrupted earlier run left; it may have other permissions.
        match fs::remove_file(&beside) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
            _ => {}
        }
        let mut file = create(&beside, secrecy)?;
        file.write_all(contents)?;
        file.sync_all()?;
        fs::rename(&beside, path)
    };
    write().map_err(|fault| DevCaError::file(path, &fault))
}

#[cfg(unix)]
fn create(path: &Path, secrecy: Secrecy) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;

    let mode = if secrecy == Secrecy::Private { 0o600 } else { 0o644 };
    OpenOptions::new().write(true).create_new(true).mode(mode).open(path)
}

#[cfg(not(unix))]
fn create(path: &Path, _secrecy: Secrecy) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).open(path)
}
