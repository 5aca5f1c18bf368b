//! This side's identity at one moment.

use std::mem;
use std::sync::Arc;
use std::time::SystemTime;

use pki_types::CertificateDer;

use super::certificate::{Certificate, Purpose};
use super::chain::{self, GoodChain, RevocationCheck};
use super::digest::{Digest, sha256_of_all};
use super::error::{CertificateError, IdentityError};
use super::pem::{self, Kind};
use super::signer::{PrivateKey, Signer};
use super::spiffe::SpiffeId;
use super::trust::TrustBundles;
use super::validity::Validity;

/// What a signer signs to show that it has the leaf's key. No protocol signs a text that begins like this.
const PROBE: &[u8] = b"alts: does this key belong to this certificate?";

/// An immutable snapshot of what this side is: certificate chain, key, and whom it trusts. One handshake uses one snapshot
/// throughout.
#[derive(Debug)]
pub struct Identity {
    id: SpiffeId,
    chain: Arc<[CertificateDer<'static>]>,
    signer: Arc<dyn Signer>,
    trust: TrustBundles,
    trust_digest: Digest,
    epoch: u64,
    validity: Validity,
    /// Why the bundle of this side's trust domain does not vouch for the chain.
    doubt: Option<CertificateError>,
}

impl Identity {
    /// Reads the chain (leaf first) and the leaf's private key from PEM; see [`new`](Self::new).
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
    /// The chain begins with the leaf; what follows may be in any order, and may have certificates that are not needed. It must
    /// be a chain that a peer with the same trust bundles would accept at `now`, so that faults show here and not in the first
    /// handshake; only revocation lists are not asked about it. The signer signs one message to show that it has the leaf's key.
    ///
    /// A leaf that is good for one role only, by its extendedKeyUsage, is taken with a warning in the log: in the other role,
    /// peers refuse it.
    pub fn new(
        mut chain: Vec<CertificateDer<'static>>,
        signer: Arc<dyn Signer>,
        trust: TrustBundles,
        now: SystemTime,
    ) -> Result<Arc<Self>, IdentityError> {
        let good = verify(&trust, &chain, now).map_err(|fault| explain(&trust, fault))?;
        let scheme = good.peer.scheme();
        if !signer.schemes().contains(&scheme) {
            return Err(IdentityError::KeyMismatch);
        }
        let signature = signer.sign(scheme, PROBE)?;
        good.peer
            .verify_signature(scheme, PROBE, &signature)
            .map_err(|_| IdentityError::KeyMismatch)?;

        let id = good.peer.id().clone();
        for (role, other, is_allowed) in [
            ("client", "serverAuth", good.purposes.client),
            ("server", "clientAuth", good.purposes.server),
        ] {
            if !is_allowed {
                tracing::warn!(
                    %id,
                    role,
                    "the certificate's extendedKeyUsage allows {other} only: peers refuse this side in the role of {role}",
                );
            }
        }
        let order = arrange(&trust, &chain, good.path);
        let chain = order
            .into_iter()
            .map(|place| mem::replace(&mut chain[place], CertificateDer::from_slice(&[])))
            .collect();
        Ok(Arc::new(Self::assemble(id, chain, signer, trust, good.peer.validity(), None)))
    }

    /// The same chain and key with other trust bundles, which take effect whatever they say about this side.
    ///
    /// If they do not vouch for this side's chain, or the chain has expired, peers are still judged by them:
    /// [`check`](Self::check) then says whether this side can be used.
    #[must_use]
    pub fn with_trust(&self, trust: TrustBundles, now: SystemTime) -> Arc<Self> {
        let (validity, doubt) = match verify(&trust, &self.chain, now) {
            Ok(good) => (good.peer.validity(), None),
            // The old authority's end still counts.
            Err(fault) => (self.validity, Some(fault)),
        };
        let (id, chain, signer) =
            (self.id.clone(), Arc::clone(&self.chain), Arc::clone(&self.signer));
        Arc::new(Self::assemble(id, chain, signer, trust, validity, doubt))
    }

    fn assemble(
        id: SpiffeId,
        chain: Arc<[CertificateDer<'static>]>,
        signer: Arc<dyn Signer>,
        trust: TrustBundles,
        validity: Validity,
        doubt: Option<CertificateError>,
    ) -> Self {
        let trust_digest = trust.digest();
        let epoch = epoch(&chain, &trust_digest);
        Self { id, chain, signer, trust, trust_digest, epoch, validity, doubt }
    }

    /// Whether this side can prove who it is at `now`. Handshakes of both roles begin with this question, and fail with
    /// [`AlertCode::NoIdentity`](crate::AlertCode::NoIdentity) if the answer is an error.
    ///
    /// # Errors
    ///
    /// The chain has expired or is not valid yet.
    pub fn check(&self, now: SystemTime) -> Result<(), IdentityError> {
        self.validity.check(now).map_err(IdentityError::Chain)
    }

    /// The name in the leaf.
    pub fn id(&self) -> &SpiffeId {
        &self.id
    }

    /// The certificates as they go to peers: 1 to 5, and 24 KiB at most in all. The path to an authority of this side's bundle
    /// comes first, in order; other authorities' certificates follow, by which peers may find other paths.
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

    /// The leaf's serial number, as `openssl x509 -serial` shows it.
    pub fn serial(&self) -> String {
        let leaf = self.chain.first().and_then(|der| Certificate::parse(der, 0).ok());
        leaf.map_or_else(String::new, |leaf| leaf.shown_serial())
    }

    /// When the chain's certificates and their authority have all become valid.
    pub fn not_before(&self) -> SystemTime {
        self.validity.start()
    }

    /// When the first of the chain's certificates, or their authority, expires.
    pub fn not_after(&self) -> SystemTime {
        self.validity.end()
    }

    /// What tickets hold of the bundle and the revocation lists of a trust domain; `None` if nobody of that domain is believed.
    pub(crate) fn ticket_trust(&self, domain: &str) -> Option<Digest> {
        self.trust.ticket_digest(domain)
    }

    /// As [`not_after`](Self::not_after), in seconds since 1970.
    pub(crate) fn good_until(&self) -> u64 {
        self.validity.not_after
    }

    pub(super) fn trust_digest(&self) -> Digest {
        self.trust_digest
    }

    /// Why this side's bundles do not vouch for this side.
    pub(super) fn doubt(&self) -> Option<&CertificateError> {
        self.doubt.as_ref()
    }
}

fn verify(
    trust: &TrustBundles,
    chain: &[CertificateDer<'static>],
    now: SystemTime,
) -> Result<GoodChain, CertificateError> {
    chain::check_sizes(chain)?;
    chain::verify(trust, chain, Purpose::Any, RevocationCheck::None, now)
}

/// What a fault of this side's chain means for this side.
fn explain(trust: &TrustBundles, fault: CertificateError) -> IdentityError {
    match fault {
        CertificateError::UnknownTrustDomain(domain) => {
            trust.check_domain(&domain).err().unwrap_or(IdentityError::NoOwnBundle(domain))
        }
        fault => IdentityError::Chain(fault),
    }
}

/// The path first, so that peers find it at once. Then the other authorities, without those that any peer who trusts the
/// same bundle has anyway. What is no authority's certificate, or comes twice, is left out.
fn arrange(
    trust: &TrustBundles,
    chain: &[CertificateDer<'static>],
    path: Vec<usize>,
) -> Vec<usize> {
    let mut order = path;
    let Ok(certificates) = chain::parse(chain) else { return order };
    let domain = certificates[0].leaf_id().map(|id| id.trust_domain());
    let is_anchor = |certificate: &Certificate<'_>| {
        let Ok(domain) = &domain else { return false };
        let anchors = trust.bundle(domain.as_str()).map_or(&[][..], |bundle| bundle.anchors());
        anchors.iter().filter_map(|anchor| anchor.certificate().ok()).any(|anchor| {
            certificate.is_same_authority(anchor.subject, anchor.key)
                && certificate.issuer == certificate.subject
        })
    };
    for (place, certificate) in certificates.iter().enumerate() {
        let is_of_use = certificate.check_authority().is_ok() && !is_anchor(certificate);
        let is_here = order.iter().any(|&other| chain[other] == chain[place]);
        if is_of_use && !is_here {
            order.push(place);
        }
    }
    order
}

/// The certificates in `pem`, in their order.
pub(super) fn chain_from_pem(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, IdentityError> {
    let (mut chain, mut has_key) = (Vec::new(), false);
    for section in pem::sections(pem)? {
        match section.kind {
            Kind::Certificate => chain.push(CertificateDer::from(section.der.to_vec())),
            // The key may be in the same file.
            Kind::PrivateKey | Kind::EncryptedPrivateKey => has_key = true,
            Kind::RevocationList | Kind::Other => {
                let label = section.label;
                tracing::warn!(label, "a section of this side's certificate chain is not used");
            }
        }
    }
    match (chain.is_empty(), has_key) {
        (false, _) => Ok(chain),
        (true, true) => Err(IdentityError::KeyInPlaceOfChain),
        (true, false) => Err(IdentityError::NoCertificate),
    }
}

/// 64 bits of a digest are plenty against accidents, and nobody can gain by a collision: the cache uses whole digests.
fn epoch(chain: &[CertificateDer<'_>], trust: &Digest) -> u64 {
    let texts = chain.iter().map(AsRef::as_ref).chain(std::iter::once(trust.as_slice()));
    let mut first = [0; 8];
    first.copy_from_slice(&sha256_of_all(texts)[..8]);
    u64::from_be_bytes(first)
}
