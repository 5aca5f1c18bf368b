//! Verification of peers' certificate chains.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::session::Role;

use super::error::CertificateError;
use super::key::{BadSignature, PublicKey, SignatureScheme};
use super::peer::PeerIdentity;
use super::snapshot::Identity;
use super::spiffe::SpiffeId;

/// Verifies peers' certificate chains and remembers those that were good.
#[derive(Debug, Default)]
pub struct ChainVerifier;

impl ChainVerifier {
    /// A verifier with a cache of 1,024 chains for 5 minutes.
    pub fn new() -> Self {
        Self
    }

    /// A verifier that remembers `entries` chains (0: none) for `max_age`, at most 5 minutes.
    pub fn with_cache(_entries: usize, _max_age: Duration) -> Self {
        Self
    }

    /// Verifies the chain of a peer that acts as `peer`.
    pub fn verify(
        &self,
        _identity: &Identity,
        _chain: &[&[u8]],
        _peer: Role,
        _now: SystemTime,
    ) -> Result<Arc<VerifiedPeer>, CertificateError> {
        Err(CertificateError::Empty)
    }
}

/// A peer whose chain is good. It still has to sign.
#[derive(Debug, PartialEq, Eq)]
pub struct VerifiedPeer {
    peer: Arc<PeerIdentity>,
    id: SpiffeId,
    key: PublicKey,
}

impl VerifiedPeer {
    /// What the application gets.
    pub fn peer(&self) -> &Arc<PeerIdentity> {
        &self.peer
    }

    /// The leaf's SPIFFE ID.
    pub fn id(&self) -> &SpiffeId {
        &self.id
    }

    /// Verifies a signature by the leaf's key.
    pub fn verify_signature(
        &self,
        scheme: SignatureScheme,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        self.key.verify(scheme, message, signature)
    }
}
