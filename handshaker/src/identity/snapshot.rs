//! This side's own identity.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use pki_types::CertificateDer;

use super::error::IdentityError;
use super::signer::Signer;
use super::spiffe::SpiffeId;
use super::trust::TrustBundles;

/// An immutable snapshot of what this side is: certificate chain, key, and whom it trusts. One handshake uses one snapshot
/// throughout.
#[derive(Debug)]
pub struct Identity {
    id: SpiffeId,
    chain: Vec<CertificateDer<'static>>,
    signer: Arc<dyn Signer>,
    trust: TrustBundles,
    epoch: u64,
    not_after: SystemTime,
}

impl Identity {
    /// Reads a chain (leaf first) and its key from PEM.
    pub fn from_pem(
        _chain: &[u8],
        _key: &[u8],
        _trust: TrustBundles,
        _now: SystemTime,
    ) -> Result<Arc<Self>, IdentityError> {
        Err(IdentityError::NoCertificate)
    }

    /// With a key that lives elsewhere.
    pub fn new(
        _chain: Vec<CertificateDer<'static>>,
        _signer: Arc<dyn Signer>,
        _trust: TrustBundles,
        _now: SystemTime,
    ) -> Result<Arc<Self>, IdentityError> {
        Err(IdentityError::NoCertificate)
    }

    /// The name in the leaf.
    pub fn id(&self) -> &SpiffeId {
        &self.id
    }

    /// The certificates, leaf first, as they go to peers: at most 5, and 24 KiB in all.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The leaf's private key.
    pub fn signer(&self) -> &dyn Signer {
        &*self.signer
    }

    /// Whom this side trusts.
    pub fn trust(&self) -> &TrustBundles {
        &self.trust
    }

    /// Changes whenever the chain or the trust bundles do.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// When the first certificate of the chain expires.
    pub fn not_after(&self) -> SystemTime {
        self.not_after
    }
}

/// Where handshakes get this side's identity from. Each takes one snapshot at its start.
pub trait IdentitySource: Send + Sync + fmt::Debug + 'static {
    /// The identity of this moment. Quick: it must not read files.
    fn snapshot(&self) -> Result<Arc<Identity>, IdentityError>;
}

/// An identity that never changes.
impl IdentitySource for Arc<Identity> {
    fn snapshot(&self) -> Result<Arc<Identity>, IdentityError> {
        Ok(Self::clone(self))
    }
}
