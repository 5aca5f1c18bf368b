//! Whom we believe about which trust domain.

use super::error::IdentityError;
use super::spiffe::TrustDomain;

/// Certificate authorities and revocation lists, for each trust domain its own.
#[derive(Clone, Debug, Default)]
pub struct TrustBundles;

impl TrustBundles {
    /// No trust domain yet.
    pub fn new() -> Self {
        Self
    }

    /// Lets [`insert_pem`](Self::insert_pem) take the trust domain of development certificates, `dev.local`.
    pub fn allow_development_domain(&mut self) -> &mut Self {
        self
    }

    /// Adds the certificates in `pem` as authorities of `domain`.
    pub fn insert_pem(
        &mut self,
        _domain: &TrustDomain,
        _pem: &[u8],
    ) -> Result<&mut Self, IdentityError> {
        Ok(self)
    }

    /// Adds a revocation list for `domain`, PEM or DER.
    pub fn insert_crl(
        &mut self,
        _domain: &TrustDomain,
        _crl: &[u8],
    ) -> Result<&mut Self, IdentityError> {
        Ok(self)
    }

    /// The trust domains, in order.
    pub fn domains(&self) -> impl Iterator<Item = &TrustDomain> {
        std::iter::empty()
    }
}
