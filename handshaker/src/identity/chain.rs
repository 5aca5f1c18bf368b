//! Verification of a certificate chain: the leaf by itself, then the way to an authority of its trust domain.

use std::sync::Arc;
use std::time::SystemTime;

use super::certificate::{Certificate, Purpose, Purposes};
use super::error::CertificateError;
use super::key::{BadSignature, PublicKey, SignatureScheme};
use super::name::shown_name;
use super::path::{self, Rules};
use super::peer::PeerIdentity;
use super::spiffe::SpiffeId;
use super::trust::TrustBundles;
use super::validity::{self, Validity};

/// The most certificates in a chain (`altsh1`, section 5.7): a leaf and four more.
const MAX_CERTIFICATES: usize = 5;
/// The largest certificate, in bytes (`altsh1`, section 5.7).
const MAX_CERTIFICATE_BYTES: usize = 8 * 1024;
/// The largest chain, in bytes (`altsh1`, section 5.7): with it, the message that carries it fits a frame of 32 KiB.
const MAX_CHAIN_BYTES: usize = 24 * 1024;

/// A peer with a valid certificate chain that has proved possession of the leaf's private key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedPeer {
    pub(super) peer: Arc<PeerIdentity>,
    id: SpiffeId,
    key: PublicKey,
    /// When the whole path is valid, its authority included.
    validity: Validity,
    /// When the first of the revocation lists that were needed ends, in seconds since 1970.
    lists_end: Option<u64>,
}

impl VerifiedPeer {
    /// What the application gets to know of the peer.
    pub fn peer(&self) -> &Arc<PeerIdentity> {
        &self.peer
    }

    /// The leaf's SPIFFE ID.
    pub fn id(&self) -> &SpiffeId {
        &self.id
    }

    /// When the first certificate of the path expires, its authority's included.
    pub fn not_after(&self) -> SystemTime {
        self.validity.end()
    }

    /// Verifies a signature by the leaf's key. Each kind of key has one scheme; others are refused.
    pub fn verify_signature(
        &self,
        scheme: SignatureScheme,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        self.key.verify(scheme, message, signature)
    }

    /// What the leaf's key signs with.
    pub(super) fn scheme(&self) -> SignatureScheme {
        self.key.kind.scheme()
    }

    pub(super) fn validity(&self) -> Validity {
        self.validity
    }

    /// Until when the chain is good, as far as is known today: the first end among certificates, the authority, and the revocation
    /// lists that were needed. In seconds since 1970.
    pub(crate) fn good_until(&self) -> u64 {
        self.lists_end.map_or(self.validity.not_after, |end| end.min(self.validity.not_after))
    }
}

/// Whether revocation lists are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RevocationCheck {
    /// Those of the trust domain, if it has any.
    Lists,
    /// Not for this side's chain: a list that has this side's certificate, or has expired, must still take effect for others.
    None,
}

/// A chain that is good.
#[derive(Debug)]
pub(super) struct GoodChain {
    /// Nobody has shown yet that it holds the leaf's key.
    pub(super) peer: VerifiedPeer,
    /// In which roles the path may be used.
    pub(super) purposes: Purposes,
    /// Which certificates of the chain make the path to an authority, in the path's order: the leaf, 0, comes first.
    pub(super) path: Vec<usize>,
}

/// Checks the number of certificates and their sizes, before anything of them is read.
pub(super) fn check_sizes(chain: &[impl AsRef<[u8]>]) -> Result<(), CertificateError> {
    if chain.is_empty() {
        return Err(CertificateError::Empty);
    }
    if chain.len() > MAX_CERTIFICATES {
        return Err(CertificateError::TooMany(chain.len()));
    }
    let sizes = || chain.iter().map(|der| der.as_ref().len());
    if let Some((position, bytes)) = sizes().enumerate().find(|size| size.1 > MAX_CERTIFICATE_BYTES)
    {
        return Err(CertificateError::TooLarge { position, bytes });
    }
    let total = sizes().sum();
    if total > MAX_CHAIN_BYTES {
        return Err(CertificateError::ChainTooLarge(total));
    }
    Ok(())
}

/// Reads every certificate of a chain.
pub(super) fn parse(chain: &[impl AsRef<[u8]>]) -> Result<Vec<Certificate<'_>>, CertificateError> {
    chain
        .iter()
        .enumerate()
        .map(|(position, der)| Certificate::parse(der.as_ref(), position))
        .collect()
}

/// Verifies a chain whose sizes are within bounds.
pub(super) fn verify(
    trust: &TrustBundles,
    chain: &[impl AsRef<[u8]>],
    purpose: Purpose,
    revocation: RevocationCheck,
    now: SystemTime,
) -> Result<GoodChain, CertificateError> {
    let certificates = parse(chain)?;
    let Some((leaf, others)) = certificates.split_first() else {
        return Err(CertificateError::Empty);
    };
    let id = leaf.leaf_id()?;
    let key = leaf.leaf_key()?;
    leaf.validity.check(now)?;
    let bundle = trust
        .bundle(id.trust_domain_name())
        .ok_or_else(|| CertificateError::UnknownTrustDomain(id.trust_domain()))?;
    leaf.check_purpose(purpose)?;
    leaf.check_strictly()?;
    let revocation_lists = match revocation {
        RevocationCheck::Lists => bundle.revocation_lists(),
        RevocationCheck::None => &[],
    };
    let rules = Rules { purpose, now, revocation_lists };
    let found = path::find(leaf, others, bundle.anchors(), rules)?;

    let validity = leaf.validity.intersect(found.validity);
    let peer = Arc::new(PeerIdentity::from_certificates(id.clone(), validity.end()));
    let path = std::iter::once(0).chain(found.intermediates.iter().map(|place| place + 1));
    Ok(GoodChain {
        peer: VerifiedPeer { peer, id, key, validity, lists_end: found.lists_end },
        purposes: found.purposes,
        path: path.collect(),
    })
}

/// What a chain that was refused says about itself, for a log: who the leaf claims to be, who would have issued it, and until when it
/// would be valid. Empty if it cannot be read.
pub(crate) fn claims(chain: &[impl AsRef<[u8]>]) -> String {
    of_leaf(chain, |leaf, origin| {
        let id = match leaf.leaf_id() {
            Ok(id) => id.to_string(),
            Err(_) => "no SPIFFE ID".to_owned(),
        };
        format!("; it claims, unverified: {id}, {origin}")
    })
}

/// Where the certificate of a peer comes from that is good and was refused nevertheless, for a log. Empty if it cannot be read.
pub(crate) fn certified(chain: &[impl AsRef<[u8]>]) -> String {
    of_leaf(chain, |_, origin| format!("; its certificate is {origin}"))
}

fn of_leaf(
    chain: &[impl AsRef<[u8]>],
    show: impl FnOnce(&Certificate<'_>, String) -> String,
) -> String {
    let leaf = chain.first().and_then(|der| Certificate::parse(der.as_ref(), 0).ok());
    leaf.map_or_else(String::new, |leaf| {
        let issuer = shown_name(leaf.issuer);
        let not_after = validity::shown(leaf.validity.end());
        show(&leaf, format!("issued by {issuer}, valid until {not_after}"))
    })
}
