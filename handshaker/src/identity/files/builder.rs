//! Which files there are, and how they become an identity.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use super::super::digest::{Digest, sha256_of_all};
use super::super::domains::Domains;
use super::super::error::IdentityError;
use super::super::signer::{PrivateKey, Signer};
use super::super::snapshot::{Identity, chain_from_pem};
use super::super::spiffe::TrustDomain;
use super::super::trust::{TrustBundles, Wanted};
use super::IdentityFiles;
use super::read::{FileContents, Sharing};
use super::trust::{Looked, TrustFile};

/// Says where an [`IdentityFiles`] finds its files.
#[derive(Clone, Debug)]
#[must_use = "nothing is read before `load`"]
pub struct IdentityFilesBuilder(Paths);

#[derive(Clone, Debug)]
pub(super) struct Paths {
    chain: PathBuf,
    key: PathBuf,
    key_sharing: Sharing,
    pub(super) trust: Vec<TrustFile>,
    /// No domain yet, but whether development certificates are allowed.
    pub(super) template: TrustBundles,
}

impl IdentityFilesBuilder {
    pub(super) fn new(chain: PathBuf, key: PathBuf) -> Self {
        Self(Paths {
            chain,
            key,
            key_sharing: Sharing::OwnerOnly,
            trust: Vec::new(),
            template: TrustBundles::new(),
        })
    }

    /// Certificates of the authorities of `domain`, and possibly revocation lists. This side's trust domain needs a bundle, and so
    /// does each federated one. Several files for one domain add up.
    pub fn bundle(self, domain: TrustDomain, path: impl Into<PathBuf>) -> Self {
        self.trust_file(domain, path.into(), Wanted::Authorities)
    }

    /// Revocation lists (PEM) of the authorities of `domain`. With one, every certificate of that domain must be covered by a
    /// current list of its issuer.
    pub fn crl(self, domain: TrustDomain, path: impl Into<PathBuf>) -> Self {
        self.trust_file(domain, path.into(), Wanted::RevocationLists)
    }

    fn trust_file(mut self, domain: TrustDomain, path: PathBuf, wanted: Wanted) -> Self {
        self.0.trust.push(TrustFile { domain, path, wanted });
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
        self.0.template.allow_development_domain();
        self
    }

    /// Reads the files. This side's chain, key and bundle must be good at `now`. A federated domain whose files are not good has
    /// no accepted peers until they are; the log says so, and [`IdentityFiles::unusable_trust_domains`]. Blocks on file I/O.
    pub fn load(self, now: SystemTime) -> Result<IdentityFiles, IdentityError> {
        IdentityFiles::load(self.0, now)
    }
}

/// All files as they were at one time.
pub(super) struct Contents {
    chain: Looked,
    key: Looked,
    /// In the order of [`Paths::trust`].
    pub(super) trust: Vec<Looked>,
}

impl Paths {
    pub(super) fn read(&self) -> Contents {
        Contents {
            chain: FileContents::read(&self.chain),
            key: FileContents::read(&self.key),
            trust: self.read_trust(),
        }
    }

    /// The trust domains' files, in the order of [`Paths::trust`].
    pub(super) fn read_trust(&self) -> Vec<Looked> {
        self.trust.iter().map(|file| FileContents::read(&file.path)).collect()
    }

    /// The identity of the chain and the key, with the bundles as they are.
    pub(super) fn identity(
        &self,
        contents: &Contents,
        domains: &Domains,
        now: SystemTime,
    ) -> Result<Arc<Identity>, IdentityError> {
        let chain = contents.chain.as_ref().map_err(IdentityError::clone)?;
        let key_file = contents.key.as_ref().map_err(IdentityError::clone)?;
        let chain = chain_from_pem(&chain.bytes).map_err(|fault| fault.in_file(&self.chain))?;
        // What is in the file comes before who may read it: it may not be a key at all.
        let key = PrivateKey::from_pem(&key_file.bytes)
            .and_then(|key| key_file.check_sharing(self.key_sharing).map(|()| key))
            .map_err(|fault| fault.in_file(&self.key))?;
        let signer: Arc<dyn Signer> = Arc::new(key);
        let identity = domains.identity(&chain, &signer, &self.template, now);
        identity.map_err(|fault| match fault {
            // The bundle's fault is the cause.
            IdentityError::NoOwnBundle(domain) => match domains.fault(&domain) {
                Some(fault) => fault.clone(),
                None => IdentityError::NoOwnBundle(domain).in_file(&self.chain),
            },
            IdentityError::KeyMismatch => fault.in_file(&self.key),
            fault => fault.in_file(&self.chain),
        })
    }

    /// A fault of this side's chain.
    pub(super) fn in_chain(&self, fault: IdentityError) -> IdentityError {
        fault.in_file(&self.chain)
    }
}

impl Contents {
    /// Of chain and key, if both could be read.
    pub(super) fn pair_digest(&self) -> Option<Digest> {
        let (chain, key) = (self.chain.as_ref().ok()?, self.key.as_ref().ok()?);
        let mode = key.mode().to_be_bytes();
        Some(sha256_of_all([&chain.bytes[..], &key.bytes, &mode]))
    }
}
