//! Verification of peers' certificate chains.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pki_types::{CertificateDer, SignatureVerificationAlgorithm, TrustAnchor, UnixTime};
use ring::digest::{Context, SHA256};
use webpki::{
    EndEntityCert, ExpirationPolicy, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter,
    KeyUsage, RequiredEkuNotFoundContext, RevocationCheckDepth, RevocationOptions,
    RevocationOptionsBuilder, UnknownStatusPolicy, VerifiedPath,
};

use crate::session::Role;

use super::cache::{CacheStats, ChainCache, Key};
use super::certificate::{Certificate, Signed, SubjectKey};
use super::error::CertificateError;
use super::key::{BadSignature, PublicKey, SignatureScheme};
use super::peer::PeerIdentity;
use super::snapshot::Identity;
use super::spiffe::SpiffeId;
use super::trust::{Bundle, Digest, TrustBundles, finish};
use super::validity::{Validity, seconds};

/// The longest chain (`altsh1`, section 2.4): a leaf and four intermediates. The root stays at home.
pub(super) const MAX_CERTIFICATES: usize = 5;
/// The largest certificate, in bytes (`altsh1`, section 2.1).
const MAX_CERTIFICATE_BYTES: usize = 8 * 1024;
/// The largest chain, in bytes (`altsh1`, section 2.4): with it, the message that carries it fits a frame of 32 KiB.
const MAX_CHAIN_BYTES: usize = 24 * 1024;

/// How many good chains a verifier remembers unless told otherwise: some hundred bytes each.
const DEFAULT_CACHE_ENTRIES: usize = 1_024;
/// For how long a good chain is remembered at most. What is not in the bundles, such as the end of a revocation list, takes
/// effect after this time.
const MAX_CACHE_AGE: Duration = Duration::from_secs(5 * 60);

/// Verifies peers' certificate chains, and remembers for a while those that were good.
///
/// Give one verifier to all handshakers of a process: its cache saves the greater part of a handshake's public-key
/// operations with a peer that was seen before, and lets all connections with one peer share one [`PeerIdentity`]. The cache is
/// keyed by the whole chain, the role, and all trust bundles and revocation lists, so a change of any of them misses it. It
/// never remembers failures, and the peer's signature over the handshake is verified every time.
#[derive(Debug)]
pub struct ChainVerifier {
    cache: ChainCache,
}

impl ChainVerifier {
    /// A verifier that remembers 1,024 chains for 5 minutes.
    pub fn new() -> Self {
        Self::with_cache(DEFAULT_CACHE_ENTRIES, MAX_CACHE_AGE)
    }

    /// A verifier that remembers `entries` chains (0: none) for `max_age`, or 5 minutes if that is shorter.
    pub fn with_cache(entries: usize, max_age: Duration) -> Self {
        Self { cache: ChainCache::new(entries, max_age.min(MAX_CACHE_AGE)) }
    }

    /// Verifies the chain, leaf first, of a peer that acts as `peer`, with the trust bundles of `identity`.
    ///
    /// The leaf's name, key usage and trust domain, order and size of the chain, and validity at `now` are checked before any
    /// signature is.
    pub fn verify(
        &self,
        identity: &Identity,
        chain: &[&[u8]],
        peer: Role,
        now: SystemTime,
    ) -> Result<Arc<VerifiedPeer>, CertificateError> {
        check_sizes(chain)?;
        let purpose = match peer {
            Role::Client => Purpose::Client,
            Role::Server => Purpose::Server,
        };
        let key = Key {
            chain: chain_digest(chain),
            trust: identity.trust_digest(),
            server: peer == Role::Server,
        };
        if let Some(known) = self.cache.get(&key, now) {
            known.validity.check(now)?;
            return Ok(known);
        }
        let verified = verify_chain(identity.trust(), chain, purpose, RevocationCheck::Lists, now)?;
        Ok(self.cache.insert(key, verified, now))
    }

    /// How often chains were found in the cache.
    pub fn cache_stats(&self) -> CacheStats {
        self.cache.stats()
    }
}

impl Default for ChainVerifier {
    fn default() -> Self {
        Self::new()
    }
}

/// A peer whose certificate chain is good. Whether it holds the leaf's key is not proved before
/// [`verify_signature`](Self::verify_signature).
#[derive(Debug, PartialEq, Eq)]
pub struct VerifiedPeer {
    pub(super) peer: Arc<PeerIdentity>,
    id: SpiffeId,
    key: PublicKey,
    /// When the whole chain is valid, its authority included.
    validity: Validity,
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

    /// When the first certificate of the chain expires, its authority's included.
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

    pub(super) fn key(&self) -> &PublicKey {
        &self.key
    }

    pub(super) fn validity(&self) -> Validity {
        self.validity
    }
}

/// What a chain is to be good for.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Client,
    Server,
    /// One of the two at least: a workload's own identity.
    Any,
}

impl ExtendedKeyUsageValidator for Purpose {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        // id-kp-serverAuth and id-kp-clientAuth (RFC 5280, section 4.2.1.12).
        const SERVER: KeyPurposeId<'_> =
            KeyPurposeId::new(&[0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01]);
        const CLIENT: KeyPurposeId<'_> =
            KeyPurposeId::new(&[0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02]);
        let mut stated = false;
        for purpose in purposes {
            let purpose = purpose?;
            let fits = match self {
                Self::Client => purpose == CLIENT,
                Self::Server => purpose == SERVER,
                Self::Any => purpose == CLIENT || purpose == SERVER,
            };
            if fits {
                return Ok(());
            }
            stated = true;
        }
        if !stated {
            return Ok(());
        }
        Err(webpki::Error::RequiredEkuNotFoundContext(RequiredEkuNotFoundContext {
            required: KeyUsage::client_auth(),
            present: Vec::new(),
        }))
    }
}

/// Whether revocation lists are looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RevocationCheck {
    /// Those of the trust domain, if it has any.
    Lists,
    /// Not for the own chain: a list that has the own certificate, or has expired, must still take effect for others.
    None,
}

/// The chain's bytes, divided as they are.
pub(super) fn chain_digest(chain: &[impl AsRef<[u8]>]) -> Digest {
    let mut context = Context::new(&SHA256);
    for der in chain {
        let der = der.as_ref();
        context.update(&(der.len() as u64).to_be_bytes());
        context.update(der);
    }
    finish(context)
}

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

/// Verifies a chain whose sizes are within bounds.
pub(super) fn verify_chain(
    trust: &TrustBundles,
    chain: &[&[u8]],
    purpose: Purpose,
    revocation: RevocationCheck,
    now: SystemTime,
) -> Result<VerifiedPeer, CertificateError> {
    let certificates = chain
        .iter()
        .enumerate()
        .map(|(position, der)| Certificate::parse(der, position))
        .collect::<Result<Vec<_>, _>>()?;
    let Some((leaf, issuers)) = certificates.split_first() else {
        return Err(CertificateError::Empty);
    };
    let id = leaf.leaf_id()?;
    let key = leaf.leaf_key()?;
    issuers.iter().try_for_each(Certificate::check_authority)?;
    if let Some(position) =
        certificates.windows(2).position(|pair| pair[0].issuer != pair[1].subject)
    {
        return Err(CertificateError::OutOfOrder { position });
    }
    let validity =
        issuers.iter().fold(leaf.validity, |validity, issuer| validity.intersect(issuer.validity));
    validity.check(now)?;

    let bundle = trust
        .bundle(id.trust_domain_name())
        .ok_or_else(|| CertificateError::UnknownTrustDomain(id.trust_domain()))?;
    if names_repeat(issuers) && !is_straight(&certificates, &bundle.anchors) {
        return Err(CertificateError::Untrusted);
    }
    let anchor = verify_path(bundle, chain, purpose, revocation, now)?;

    let validity = validity.intersect(anchor);
    let peer = Arc::new(PeerIdentity::from_certificates(id.clone(), validity.end()));
    Ok(VerifiedPeer { peer, id, key, validity })
}

/// Lets webpki find a path to an authority of the bundle, and answers with that authority's validity.
fn verify_path(
    bundle: &Bundle,
    chain: &[&[u8]],
    purpose: Purpose,
    revocation: RevocationCheck,
    now: SystemTime,
) -> Result<Validity, CertificateError> {
    let ders: Vec<_> = chain.iter().map(|der| CertificateDer::from(*der)).collect();
    let (leaf, intermediates) = ders.split_first().ok_or(CertificateError::Empty)?;
    let leaf = EndEntityCert::try_from(leaf).map_err(|fault| certificate_error(&fault))?;

    let lists: Vec<_> = bundle.revocation_lists.iter().map(|list| &**list).collect();
    let lists = if revocation == RevocationCheck::Lists { &lists[..] } else { &[] };
    let validity_of = |anchor: &TrustAnchor<'_>| {
        let place = bundle.anchors.iter().position(|candidate| std::ptr::eq(candidate, anchor));
        place.and_then(|place| bundle.validities.get(place)).copied()
    };
    let unix_now = UnixTime::since_unix_epoch(Duration::from_secs(seconds(now)));
    // webpki does not look at the validity of trust anchors.
    let anchor_is_valid = |path: &VerifiedPath<'_>| match validity_of(path.anchor()) {
        Some(validity) => validity
            .check(now)
            .map_err(|_| webpki::Error::CertExpired { time: unix_now, not_after: unix_now }),
        None => Err(webpki::Error::UnknownIssuer),
    };
    let path = leaf
        .verify_for_usage(
            CHAIN_SIGNATURES,
            &bundle.anchors,
            intermediates,
            unix_now,
            purpose,
            revocation_options(lists),
            Some(&anchor_is_valid),
        )
        .map_err(|fault| certificate_error(&fault))?;
    validity_of(path.anchor()).ok_or(CertificateError::Untrusted)
}

/// How certificates and lists may be signed. Named one by one: what webpki itself counts as all depends on what other packages of a
/// program ask of it.
const CHAIN_SIGNATURES: &[&dyn SignatureVerificationAlgorithm] = &[
    webpki::ring::ECDSA_P256_SHA256,
    webpki::ring::ECDSA_P256_SHA384,
    webpki::ring::ECDSA_P384_SHA256,
    webpki::ring::ECDSA_P384_SHA384,
    webpki::ring::ED25519,
    webpki::ring::RSA_PKCS1_2048_8192_SHA256,
    webpki::ring::RSA_PKCS1_2048_8192_SHA384,
    webpki::ring::RSA_PKCS1_2048_8192_SHA512,
    webpki::ring::RSA_PKCS1_2048_8192_SHA256_ABSENT_PARAMS,
    webpki::ring::RSA_PKCS1_2048_8192_SHA384_ABSENT_PARAMS,
    webpki::ring::RSA_PKCS1_2048_8192_SHA512_ABSENT_PARAMS,
    webpki::ring::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    webpki::ring::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    webpki::ring::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
];

/// Every certificate of the path needs a current list of its issuer; `None` if there are no lists.
fn revocation_options<'a>(
    lists: &'a [&'a webpki::CertRevocationList<'a>],
) -> Option<RevocationOptions<'a>> {
    let options = RevocationOptionsBuilder::new(lists).ok()?;
    Some(
        options
            .with_depth(RevocationCheckDepth::Chain)
            .with_status_policy(UnknownStatusPolicy::Deny)
            .with_expiration_policy(ExpirationPolicy::Enforce)
            .build(),
    )
}

fn names_repeat(issuers: &[Certificate<'_>]) -> bool {
    issuers
        .iter()
        .enumerate()
        .any(|(place, issuer)| issuers[..place].iter().any(|other| other.subject == issuer.subject))
}

/// Whether each certificate is signed by the next, and the last by an authority.
///
/// Where several issuers have one name, webpki tries all their orders, and spends up to a hundred signatures on a chain that
/// anybody can make up. This spends one on each certificate before it does.
fn is_straight(certificates: &[Certificate<'_>], anchors: &[TrustAnchor<'static>]) -> bool {
    let Some(last) = certificates.last() else {
        return false;
    };
    let anchored =
        anchors.iter().filter(|anchor| anchor.subject.as_ref() == last.issuer).any(|anchor| {
            SubjectKey::parse(anchor.subject_public_key_info.as_ref())
                .is_some_and(|key| is_signed_by(last.signed, key))
        });
    anchored && certificates.windows(2).all(|pair| is_signed_by(pair[0].signed, pair[1].key))
}

fn is_signed_by(signed: Signed<'_>, key: SubjectKey<'_>) -> bool {
    CHAIN_SIGNATURES
        .iter()
        .filter(|algorithm| {
            algorithm.signature_alg_id().as_ref() == signed.algorithm
                && algorithm.public_key_alg_id().as_ref() == key.algorithm
        })
        .any(|algorithm| {
            algorithm.verify_signature(key.bits, signed.message, signed.signature).is_ok()
        })
}

/// Our name for a fault that webpki found.
fn certificate_error(fault: &webpki::Error) -> CertificateError {
    use webpki::Error;
    match fault {
        Error::CertExpired { .. } => CertificateError::Expired,
        Error::CertNotValidYet { .. } => CertificateError::NotYetValid,
        Error::CertRevoked => CertificateError::Revoked,
        Error::UnknownRevocationStatus | Error::CrlExpired { .. } => {
            CertificateError::RevocationUnknown
        }
        Error::UnknownIssuer | Error::InvalidSignatureForPublicKey => CertificateError::Untrusted,
        Error::RequiredEkuNotFoundContext(_) | Error::EmptyEkuExtension => {
            CertificateError::WrongExtendedKeyUsage
        }
        Error::CaUsedAsEndEntity => CertificateError::AuthorityAsLeaf,
        Error::PathLenConstraintViolated => {
            CertificateError::Invalid("an issuer's path length constraint is exceeded")
        }
        Error::NameConstraintViolation => {
            CertificateError::Invalid("an issuer's name constraints exclude the leaf")
        }
        Error::UnsupportedCriticalExtension => {
            CertificateError::Invalid("a critical extension that is not supported")
        }
        Error::UnsupportedSignatureAlgorithmContext(_)
        | Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            CertificateError::Invalid("a signature algorithm that is not supported")
        }
        Error::IssuerNotCrlSigner
        | Error::InvalidCrlSignatureForPublicKey
        | Error::UnsupportedCrlSignatureAlgorithmContext(_)
        | Error::UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_) => {
            CertificateError::Invalid("the revocation list is not signed by the issuer")
        }
        _ => CertificateError::Invalid("it breaks the rules of X.509 or exceeds their limits"),
    }
}
