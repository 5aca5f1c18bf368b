//! Whom we believe about which trust domain.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use pki_types::pem::{self, PemObject, SectionKind};
use pki_types::{CertificateDer, TrustAnchor};
use ring::digest::{Context, SHA256, digest};
use webpki::{CertRevocationList, OwnedCertRevocationList};

use super::certificate::Certificate;
use super::error::{CertificateError, IdentityError};
use super::spiffe::TrustDomain;
use super::validity::Validity;

/// The trust domain of development certificates. Their authority's key lies about on disks, so nobody trusts it by accident.
pub const DEVELOPMENT_TRUST_DOMAIN: &str = "dev.local";

/// A SHA-256 digest.
pub(super) type Digest = [u8; 32];

/// Certificate authorities and revocation lists, for each trust domain its own.
///
/// There is deliberately no common store: an authority is believed about its own domain only, so that a federated one cannot
/// issue names of ours.
///
/// A trust domain that has revocation lists needs one from each authority in a chain, intermediates included, and current ones:
/// otherwise the chain's status is unknown and it is refused. Without any, nothing counts as revoked.
#[derive(Clone, Default)]
pub struct TrustBundles {
    domains: BTreeMap<TrustDomain, Bundle>,
    development: bool,
}

/// What one trust domain's certificates are verified with.
#[derive(Clone, Default)]
pub(super) struct Bundle {
    pub(super) anchors: Vec<TrustAnchor<'static>>,
    /// Of each anchor.
    pub(super) validities: Vec<Validity>,
    pub(super) revocation_lists: Vec<Arc<CertRevocationList<'static>>>,
    /// Of each anchor and revocation list, in the order they came.
    digests: Vec<Digest>,
}

impl TrustBundles {
    /// No trust domain yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// From here on, also takes the trust domain of development certificates, [`DEVELOPMENT_TRUST_DOMAIN`].
    pub fn allow_development_domain(&mut self) -> &mut Self {
        self.development = true;
        self
    }

    /// Adds the certificates in `pem` as authorities of `domain`, and its revocation lists (`X509 CRL`), if any.
    pub fn insert_pem(
        &mut self,
        domain: &TrustDomain,
        pem: &[u8],
    ) -> Result<&mut Self, IdentityError> {
        self.insert_sections(domain, pem, SectionKind::Certificate, IdentityError::NoCertificate)
    }

    /// Adds the revocation lists (`X509 CRL`) in `pem` to those of `domain`, and its certificates as authorities, if any.
    pub fn insert_crl_pem(
        &mut self,
        domain: &TrustDomain,
        pem: &[u8],
    ) -> Result<&mut Self, IdentityError> {
        let none = IdentityError::RevocationList("no X509 CRL in it".to_owned());
        self.insert_sections(domain, pem, SectionKind::Crl, none)
    }

    fn insert_sections(
        &mut self,
        domain: &TrustDomain,
        pem: &[u8],
        wanted: SectionKind,
        none: IdentityError,
    ) -> Result<&mut Self, IdentityError> {
        let mut found = false;
        for section in <(SectionKind, Vec<u8>)>::pem_slice_iter(pem) {
            let (kind, der) = section.map_err(|fault| pem_fault(&fault))?;
            found |= kind == wanted;
            match kind {
                SectionKind::Certificate => self.insert_authority(domain, &der)?,
                SectionKind::Crl => self.insert_crl(domain, &der)?,
                _ => self,
            };
        }
        if found { Ok(self) } else { Err(none) }
    }

    /// Adds a certificate (DER) as an authority of `domain`.
    pub fn insert_authority(
        &mut self,
        domain: &TrustDomain,
        der: &[u8],
    ) -> Result<&mut Self, IdentityError> {
        let certificate = Certificate::parse(der, 0).map_err(IdentityError::Anchor)?;
        certificate.check_authority().map_err(IdentityError::Anchor)?;
        let der = CertificateDer::from(der);
        let anchor = webpki::anchor_from_trusted_cert(&der).map_err(|_| {
            let part = "extensions or names";
            IdentityError::Anchor(CertificateError::Malformed { position: 0, part })
        })?;
        let bundle = self.bundle_mut(domain)?;
        if bundle.is_new(&der) {
            bundle.anchors.push(anchor.to_owned());
            bundle.validities.push(certificate.validity);
        }
        Ok(self)
    }

    /// Adds a revocation list (DER) of `domain`.
    pub fn insert_crl(
        &mut self,
        domain: &TrustDomain,
        der: &[u8],
    ) -> Result<&mut Self, IdentityError> {
        let list = OwnedCertRevocationList::from_der(der)
            .map_err(|fault| IdentityError::RevocationList(format!("{fault:?}")))?;
        let bundle = self.bundle_mut(domain)?;
        if bundle.is_new(der) {
            bundle.revocation_lists.push(Arc::new(list.into()));
        }
        Ok(self)
    }

    /// The trust domains, in order.
    pub fn domains(&self) -> impl Iterator<Item = &TrustDomain> {
        self.domains.keys()
    }

    /// Refuses the development domain unless it is allowed.
    pub(super) fn check_domain(&self, domain: &TrustDomain) -> Result<(), IdentityError> {
        if domain.as_str() == DEVELOPMENT_TRUST_DOMAIN && !self.development {
            return Err(IdentityError::DevelopmentDomain(domain.clone()));
        }
        Ok(())
    }

    fn bundle_mut(&mut self, domain: &TrustDomain) -> Result<&mut Bundle, IdentityError> {
        self.check_domain(domain)?;
        Ok(self.domains.entry(domain.clone()).or_default())
    }

    /// The bundle of a trust domain that has an authority.
    pub(super) fn bundle(&self, domain: &str) -> Option<&Bundle> {
        self.domains.get(domain).filter(|bundle| !bundle.anchors.is_empty())
    }

    /// Differs when anything that decides about a chain does.
    pub(super) fn digest(&self) -> Digest {
        let mut context = Context::new(&SHA256);
        for (domain, bundle) in &self.domains {
            context.update(&[domain.as_str().len() as u8]);
            context.update(domain.as_str().as_bytes());
            context.update(&(bundle.digests.len() as u64).to_be_bytes());
            for digest in &bundle.digests {
                context.update(digest);
            }
        }
        finish(context)
    }
}

impl fmt::Debug for TrustBundles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.domains()).finish()
    }
}

impl Bundle {
    fn is_new(&mut self, der: &[u8]) -> bool {
        let digest = sha256(der);
        let is_new = !self.digests.contains(&digest);
        if is_new {
            self.digests.push(digest);
        }
        is_new
    }
}

pub(super) fn sha256(bytes: &[u8]) -> Digest {
    let mut output = Digest::default();
    output.copy_from_slice(digest(&SHA256, bytes).as_ref());
    output
}

pub(super) fn finish(context: Context) -> Digest {
    let mut output = Digest::default();
    output.copy_from_slice(context.finish().as_ref());
    output
}

/// The fault in our words: those of the parser quote the text, which may be a key.
pub(super) fn pem_fault(fault: &pem::Error) -> IdentityError {
    IdentityError::Pem(match fault {
        pem::Error::MissingSectionEnd { .. } => "a section does not end",
        pem::Error::IllegalSectionStart { .. } => "a section's first line is malformed",
        pem::Error::Base64Decode(_) => "a section is not base64",
        _ => "malformed",
    })
}
