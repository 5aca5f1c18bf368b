//! Which files there are, and how they become an identity.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use ring::digest::{Context, SHA256};
use zeroize::Zeroizing;

use super::super::error::IdentityError;
use super::super::signer::PrivateKey;
use super::super::snapshot::{Identity, chain_from_pem};
use super::super::spiffe::TrustDomain;
use super::super::trust::{Digest, TrustBundles, finish};
use super::IdentityFiles;
use super::read::{Sharing, read_file};

/// Says where an [`IdentityFiles`] finds its files.
#[derive(Clone, Debug)]
#[must_use = "nothing is read before `load`"]
pub struct IdentityFilesBuilder(Paths);

#[derive(Clone, Debug)]
pub(super) struct Paths {
    chain: PathBuf,
    key: PathBuf,
    key_sharing: Sharing,
    trust: Vec<TrustFile>,
    development: bool,
}

#[derive(Clone, Debug)]
struct TrustFile {
    domain: TrustDomain,
    path: PathBuf,
    kind: TrustKind,
}

#[derive(Clone, Copy, Debug)]
enum TrustKind {
    Bundle,
    RevocationList,
}

impl IdentityFilesBuilder {
    pub(super) fn new(chain: PathBuf, key: PathBuf) -> Self {
        Self(Paths {
            chain,
            key,
            key_sharing: Sharing::OwnerOnly,
            trust: Vec::new(),
            development: false,
        })
    }

    /// Certificates of the authorities of `domain`, and possibly revocation lists. The own trust domain needs a bundle, and so
    /// does each federated one. Several files for one domain add up.
    pub fn bundle(self, domain: TrustDomain, path: impl Into<PathBuf>) -> Self {
        self.trust_file(domain, path.into(), TrustKind::Bundle)
    }

    /// Revocation lists (PEM) of the authorities of `domain`. With one, every certificate of that domain must be covered by a
    /// current list.
    pub fn crl(self, domain: TrustDomain, path: impl Into<PathBuf>) -> Self {
        self.trust_file(domain, path.into(), TrustKind::RevocationList)
    }

    fn trust_file(mut self, domain: TrustDomain, path: PathBuf, kind: TrustKind) -> Self {
        self.0.trust.push(TrustFile { domain, path, kind });
        self
    }

    /// Takes a key file that others than its owner may use. Kubernetes makes such files unless the volume has
    /// `defaultMode: 0400`, and adds the group's permissions in pods with an `fsGroup`.
    pub fn allow_shared_key_file(mut self) -> Self {
        self.0.key_sharing = Sharing::Allowed;
        self
    }

    /// Takes development certificates ([`DEVELOPMENT_TRUST_DOMAIN`](super::super::DEVELOPMENT_TRUST_DOMAIN)).
    pub fn allow_development_domain(mut self) -> Self {
        self.0.development = true;
        self
    }

    /// Reads the files. The identity must be good at `now`. Blocks on file I/O.
    pub fn load(self, now: SystemTime) -> Result<IdentityFiles, IdentityError> {
        IdentityFiles::load(self.0, now)
    }
}

/// All files as they were at one time.
pub(super) struct Contents {
    chain: Vec<u8>,
    key: Zeroizing<Vec<u8>>,
    /// In the order of [`Paths::trust`].
    trust: Vec<Vec<u8>>,
}

impl Paths {
    pub(super) fn read(&self) -> Result<Contents, IdentityError> {
        let public = |path: &Path| -> Result<Vec<u8>, IdentityError> {
            read_file(path, Sharing::Allowed).map(|mut bytes| std::mem::take(&mut *bytes))
        };
        Ok(Contents {
            chain: public(&self.chain)?,
            key: read_file(&self.key, self.key_sharing)?,
            trust: self.trust.iter().map(|file| public(&file.path)).collect::<Result<_, _>>()?,
        })
    }
}

impl Contents {
    pub(super) fn digest(&self) -> Digest {
        let mut context = Context::new(&SHA256);
        let files = [&self.chain, &*self.key].into_iter().chain(&self.trust);
        for bytes in files {
            context.update(&(bytes.len() as u64).to_be_bytes());
            context.update(bytes);
        }
        finish(context)
    }

    pub(super) fn identity(
        &self,
        paths: &Paths,
        now: SystemTime,
    ) -> Result<Arc<Identity>, IdentityError> {
        let mut trust = TrustBundles::new();
        if paths.development {
            trust.allow_development_domain();
        }
        for (file, pem) in paths.trust.iter().zip(&self.trust) {
            match file.kind {
                TrustKind::Bundle => trust.insert_pem(&file.domain, pem),
                TrustKind::RevocationList => trust.insert_crl_pem(&file.domain, pem),
            }
            .map_err(|fault| fault.in_file(&file.path))?;
        }
        let chain = chain_from_pem(&self.chain).map_err(|fault| fault.in_file(&paths.chain))?;
        let key = PrivateKey::from_pem(&self.key).map_err(|fault| fault.in_file(&paths.key))?;
        Identity::new(chain, Arc::new(key), trust, now).map_err(|fault| {
            let blamed = match fault {
                IdentityError::KeyMismatch => &paths.key,
                _ => &paths.chain,
            };
            fault.in_file(blamed)
        })
    }
}
