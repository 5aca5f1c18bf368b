//! This side's own identity.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use pki_types::CertificateDer;
use pki_types::pem::PemObject;
use ring::digest::{Context, SHA256};

use super::error::{CertificateError, IdentityError};
use super::signer::{PrivateKey, Signer};
use super::spiffe::SpiffeId;
use super::trust::{Digest, TrustBundles, finish, pem_fault};
use super::validity::Validity;
use super::verify::{Purpose, RevocationCheck, chain_digest, check_sizes, verify_chain};

/// What a signer signs to show that it has the leaf's key. No protocol signs a text that begins like this.
const PROBE: &[u8] = b"alts: does this key belong to this certificate?";

/// An immutable snapshot of what this side is: certificate chain, key, and whom it trusts. One handshake uses one snapshot
/// throughout.
#[derive(Debug)]
pub struct Identity {
    id: SpiffeId,
    chain: Vec<CertificateDer<'static>>,
    signer: Arc<dyn Signer>,
    trust: TrustBundles,
    trust_digest: Digest,
    epoch: u64,
    validity: Validity,
}

impl Identity {
    /// Reads the chain (leaf first, without the root) and the leaf's private key from PEM; see [`new`](Self::new).
    pub fn from_pem(
        chain: &[u8],
        key: &[u8],
        trust: TrustBundles,
        now: SystemTime,
    ) -> Result<Arc<Self>, IdentityError> {
        let key = PrivateKey::from_pem(key)?;
        Self::new(chain_from_pem(chain)?, Arc::new(key), trust, now)
    }

    /// An identity whose key may live elsewhere.
    ///
    /// The chain must be one that a peer with the same trust bundles would accept at `now`, so that faults show here and not in
    /// the first handshake; only revocation lists are not asked about it. The signer signs one message to show that it has the
    /// leaf's key.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        signer: Arc<dyn Signer>,
        trust: TrustBundles,
        now: SystemTime,
    ) -> Result<Arc<Self>, IdentityError> {
        check_sizes(&chain).map_err(IdentityError::Chain)?;
        let ders: Vec<&[u8]> = chain.iter().map(AsRef::as_ref).collect();
        let own = verify_chain(&trust, &ders, Purpose::Any, RevocationCheck::None, now).map_err(
            |fault| match fault {
                CertificateError::UnknownTrustDomain(domain) => {
                    trust.check_domain(&domain).err().unwrap_or(IdentityError::NoOwnBundle(domain))
                }
                fault => IdentityError::Chain(fault),
            },
        )?;
        let scheme = own.key().kind.scheme();
        if !signer.schemes().contains(&scheme) {
            return Err(IdentityError::KeyMismatch);
        }
        let signature = signer.sign(scheme, PROBE)?;
        own.verify_signature(scheme, PROBE, &signature).map_err(|_| IdentityError::KeyMismatch)?;

        let trust_digest = trust.digest();
        let epoch = epoch(&chain_digest(&chain), &trust_digest);
        let (id, validity) = (own.id().clone(), own.validity());
        Ok(Arc::new(Self { id, chain, signer, trust, trust_digest, epoch, validity }))
    }

    /// The name in the leaf.
    pub fn id(&self) -> &SpiffeId {
        &self.id
    }

    /// The certificates, leaf first, as they go to peers: 1 to 5, and 24 KiB at most in all.
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

    /// A number that differs between snapshots of different chains or trust bundles, and is the same for equal ones.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// When the chain's certificates and their authority have all become valid.
    pub fn not_before(&self) -> SystemTime {
        self.validity.start()
    }

    /// When the first of the chain's certificates, or their authority, expires.
    pub fn not_after(&self) -> SystemTime {
        self.validity.end()
    }

    pub(super) fn trust_digest(&self) -> Digest {
        self.trust_digest
    }
}

/// The certificates in `pem`, in their order.
pub(super) fn chain_from_pem(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let chain = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|fault| pem_fault(&fault))?;
    if chain.is_empty() { Err(IdentityError::NoCertificate) } else { Ok(chain) }
}

/// 64 bits of a digest are plenty against accidents, and nobody can gain by a collision: the cache uses whole digests.
fn epoch(chain: &Digest, trust: &Digest) -> u64 {
    let mut context = Context::new(&SHA256);
    context.update(chain);
    context.update(trust);
    let mut first = [0; 8];
    first.copy_from_slice(&finish(context)[..8]);
    u64::from_be_bytes(first)
}

/// Where handshakes get this side's identity from. Each takes one snapshot at its start.
pub trait IdentitySource: Send + Sync + fmt::Debug + 'static {
    /// The identity of this moment. Quick: it reads no files.
    fn snapshot(&self) -> Result<Arc<Identity>, IdentityError>;
}

/// An identity that never changes.
impl IdentitySource for Arc<Identity> {
    fn snapshot(&self) -> Result<Arc<Identity>, IdentityError> {
        Ok(Self::clone(self))
    }
}

impl<T: IdentitySource + ?Sized> IdentitySource for Arc<T> {
    fn snapshot(&self) -> Result<Arc<Identity>, IdentityError> {
        self.as_ref().snapshot()
    }
}
