//! The verifier of peers: chains, and the cache of valid ones.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::role::Role;

use super::cache::{CacheStats, ChainCache, Key};
use super::certificate::Purpose;
use super::chain::{self, RevocationCheck, VerifiedPeer};
use super::digest::{Digest, sha256};
use super::error::CertificateError;
use super::key::{BadSignature, SignatureScheme};
use super::snapshot::Identity;
use super::spiffe::SpiffeId;

/// How many good chains a verifier remembers unless told otherwise: some hundred bytes each.
const DEFAULT_CACHE_ENTRIES: usize = 1_024;
/// For how long a good chain is remembered at most. What is not in the bundles, such as the end of a revocation list, takes
/// effect after this time.
const MAX_CACHE_AGE: Duration = Duration::from_secs(5 * 60);

/// Verifies peers' certificate chains, and remembers for a while those that were good.
///
/// Give one verifier to all handshakers of a process: its cache saves the greater part of a handshake's public-key
/// operations with a peer that was seen before, and lets all connections with one peer share one [`PeerIdentity`](super::PeerIdentity).
///
/// The cache is keyed by the leaf, the role, and all authorities and revocation lists, so a change of any of them misses it; and the intermediates that made the path have to be there again. Whatever else a peer sends with its
/// leaf makes no difference. Only peers that have proved that they hold the leaf's key enter the cache, and they prove it
/// again each time. Failures are not remembered: each costs at most 16 signatures to verify.
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

    /// Verifies the chain of a peer that acts as `peer`, with the trust bundles of `identity`. The leaf comes first; the others may
    /// be in any order.
    ///
    /// Sizes, the leaf's name, key usage, validity and trust domain are checked before any signature is.
    pub fn verify(
        &self,
        identity: &Identity,
        chain: &[&[u8]],
        peer: Role,
        now: SystemTime,
    ) -> Result<ClaimedPeer<'_>, CertificateError> {
        chain::check_sizes(chain)?;
        let purpose = match peer {
            Role::Client => Purpose::Client,
            Role::Server => Purpose::Server,
        };
        let digests: Vec<Digest> = chain.iter().map(|der| sha256(der)).collect();
        let key =
            Key { leaf: digests[0], trust: identity.trust_digest(), server: peer == Role::Server };
        if let Some(known) = self.cache.get(&key, &digests[1..], now) {
            known.validity().check(now)?;
            return Ok(ClaimedPeer(Claim::Known(known)));
        }
        let good = chain::verify(identity.trust(), chain, purpose, RevocationCheck::Lists, now)?;
        let intermediates = good.path[1..].iter().map(|&place| digests[place]).collect();
        let claim = Claim::New { cache: &self.cache, key, intermediates, peer: good.peer, now };
        Ok(ClaimedPeer(claim))
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

/// A peer that sent a valid certificate chain and has not yet proved that it holds the leaf's private key.
#[derive(Debug)]
pub struct ClaimedPeer<'verifier>(Claim<'verifier>);

#[derive(Debug)]
enum Claim<'verifier> {
    Known(Arc<VerifiedPeer>),
    New {
        cache: &'verifier ChainCache,
        key: Key,
        /// Of the path, from the leaf's issuer on.
        intermediates: Vec<Digest>,
        peer: VerifiedPeer,
        now: SystemTime,
    },
}

impl ClaimedPeer<'_> {
    fn claimed(&self) -> &VerifiedPeer {
        match &self.0 {
            Claim::Known(peer) => peer,
            Claim::New { peer, .. } => peer,
        }
    }

    /// The leaf's SPIFFE ID.
    pub fn id(&self) -> &SpiffeId {
        self.claimed().id()
    }

    /// When the first certificate of the path expires, its authority's included.
    pub fn not_after(&self) -> SystemTime {
        self.claimed().not_after()
    }

    /// Verifies a signature by the leaf's key, which makes the claim a proof: `message` has to be one that only this handshake has.
    /// Each kind of key has one scheme; others are refused.
    pub fn verify_signature(
        &self,
        scheme: SignatureScheme,
        message: &[u8],
        signature: &[u8],
    ) -> Result<Arc<VerifiedPeer>, BadSignature> {
        self.claimed().verify_signature(scheme, message, signature)?;
        Ok(match &self.0 {
            Claim::Known(peer) => Arc::clone(peer),
            Claim::New { cache, key, intermediates, peer, now } => {
                cache.insert(*key, intermediates, peer.clone(), *now)
            }
        })
    }
}

/// Two claims are equal if they prove the same.
impl PartialEq for ClaimedPeer<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.claimed() == other.claimed()
    }
}

impl Eq for ClaimedPeer<'_> {}
