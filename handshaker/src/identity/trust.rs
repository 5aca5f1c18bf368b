//! Whom this side believes about which trust domain.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, OnceLock};

use ring::digest::{Context, SHA256};

use super::anchor::Anchor;
use super::certificate::Certificate;
#[cfg(feature = "workload-api")]
use super::der::Reader;
use super::digest::{Digest, finish, sha256, sha256_of_all};
use super::error::{CertificateError, IdentityError};
use super::name::shown_name;
use super::pem::{self, Kind};
use super::revocation::RevocationList;
use super::spiffe::TrustDomain;

/// The trust domain of development certificates. Copies of their authority's key lie on disks, so nobody trusts it by accident.
pub const DEVELOPMENT_TRUST_DOMAIN: &str = "dev.local";

/// Certificate authorities and revocation lists, separate for each trust domain.
///
/// There is deliberately no common store: an authority is trusted for its own domain only, so that a federated one cannot
/// issue names of another domain.
///
/// A trust domain that has revocation lists needs one from each authority in a chain, intermediates included, and current ones:
/// otherwise the chain's status is unknown and it is refused. A list counts for the key that signed it. If there are several
/// current ones of a key, all of them count, and their order does not matter. Without any list nothing counts as revoked.
///
/// Cloning copies pointers.
#[derive(Clone, Default)]
pub struct TrustBundles {
    domains: BTreeMap<TrustDomain, Arc<Bundle>>,
    development: bool,
}

/// What one trust domain's certificates are verified with.
#[derive(Clone, Debug, Default)]
pub(super) struct Bundle {
    anchors: Vec<Anchor>,
    revocation_lists: Vec<Arc<RevocationList>>,
    /// Of each anchor.
    anchor_digests: BTreeSet<Digest>,
    /// Of each revocation list.
    list_digests: BTreeSet<Digest>,
    /// Of all of them, once it was asked for.
    digest: OnceLock<Digest>,
    /// As tickets have it, once it was asked for, with the domain that it was asked for.
    ticket_digest: OnceLock<(TrustDomain, Digest)>,
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
    ///
    /// A certificate that cannot be used as an authority's is passed over with a warning in the log if there is another one that
    /// can.
    ///
    /// # Errors
    ///
    /// No certificate in `pem` can be used, a list cannot be read, or the text is not PEM. Nothing was added then.
    pub fn insert_pem(
        &mut self,
        domain: &TrustDomain,
        pem: &[u8],
    ) -> Result<&mut Self, IdentityError> {
        self.insert_sections(domain, pem, Wanted::Authorities)
    }

    /// Adds the revocation lists (`X509 CRL`) in `pem` to those of `domain`, and its certificates as authorities, if any.
    ///
    /// # Errors
    ///
    /// There is no list in `pem`, one cannot be read, or the text is not PEM. Nothing was added then.
    pub fn insert_crl_pem(
        &mut self,
        domain: &TrustDomain,
        pem: &[u8],
    ) -> Result<&mut Self, IdentityError> {
        self.insert_sections(domain, pem, Wanted::RevocationLists)
    }

    fn insert_sections(
        &mut self,
        domain: &TrustDomain,
        pem: &[u8],
        wanted: Wanted,
    ) -> Result<&mut Self, IdentityError> {
        self.check_domain(domain)?;
        let mut bundle =
            self.domains.get(domain).map_or_else(Bundle::default, |bundle| Bundle::clone(bundle));
        let mut unused = Vec::new();
        let result = bundle.insert_pem(pem, wanted, &mut unused);
        for unused in &unused {
            unused.log(domain);
        }
        result?;
        Ok(self.insert_bundle(domain, Arc::new(bundle)))
    }

    /// Adds a certificate (DER) as an authority of `domain`.
    pub fn insert_authority(
        &mut self,
        domain: &TrustDomain,
        der: &[u8],
    ) -> Result<&mut Self, IdentityError> {
        let anchor = Anchor::parse(der, 0).map_err(IdentityError::Anchor)?;
        self.bundle_mut(domain)?.insert_anchor(der, anchor);
        Ok(self)
    }

    /// Adds a revocation list (DER) of `domain`.
    pub fn insert_crl(
        &mut self,
        domain: &TrustDomain,
        der: &[u8],
    ) -> Result<&mut Self, IdentityError> {
        let list = RevocationList::parse(der).map_err(IdentityError::RevocationList)?;
        self.bundle_mut(domain)?.insert_list(der, Arc::new(list));
        Ok(self)
    }

    /// The trust domains that anything was added to, in order.
    pub fn domains(&self) -> impl Iterator<Item = &TrustDomain> {
        self.domains.keys()
    }

    /// How many authorities `domain` has. Without one nobody is in it.
    pub fn authorities(&self, domain: &TrustDomain) -> usize {
        self.domains.get(domain).map_or(0, |bundle| bundle.anchors.len())
    }

    /// How many revocation lists `domain` has.
    pub fn revocation_lists(&self, domain: &TrustDomain) -> usize {
        self.domains.get(domain).map_or(0, |bundle| bundle.revocation_lists.len())
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
        Ok(Arc::make_mut(self.domains.entry(domain.clone()).or_default()))
    }

    /// Takes a bundle as it is, in place of what there was.
    pub(super) fn insert_bundle(&mut self, domain: &TrustDomain, bundle: Arc<Bundle>) -> &mut Self {
        self.domains.insert(domain.clone(), bundle);
        self
    }

    /// The bundle of a trust domain that has an authority.
    pub(super) fn bundle(&self, domain: &str) -> Option<&Bundle> {
        self.domains.get(domain).map(|bundle| &**bundle).filter(|bundle| !bundle.anchors.is_empty())
    }

    /// What tickets hold of the domain's bundle and revocation lists. `None` for a domain without an authority.
    pub(crate) fn ticket_digest(&self, domain: &str) -> Option<Digest> {
        let (domain, bundle) = self.domains.get_key_value(domain)?;
        (!bundle.anchors.is_empty()).then(|| bundle.ticket_digest(domain))
    }

    /// Differs when anything that decides about a chain does.
    pub(super) fn digest(&self) -> Digest {
        let domains = self
            .domains
            .iter()
            .flat_map(|(domain, bundle)| [domain.as_str().as_bytes(), bundle.digest().as_slice()]);
        sha256_of_all(domains)
    }
}

impl fmt::Debug for TrustBundles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.domains()).finish()
    }
}

/// What a file is given for. It may have the other, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Authorities,
    RevocationLists,
}

impl Bundle {
    pub(super) fn anchors(&self) -> &[Anchor] {
        &self.anchors
    }

    pub(super) fn revocation_lists(&self) -> &[Arc<RevocationList>] {
        &self.revocation_lists
    }

    /// How many certificates are revoked.
    pub(super) fn revoked(&self) -> usize {
        self.revocation_lists.iter().map(|list| list.len()).sum()
    }

    /// Differs when anything in the bundle does, whatever the order in which it came.
    pub(super) fn digest(&self) -> &Digest {
        self.digest.get_or_init(|| {
            let digests = self.anchor_digests.iter().chain(&self.list_digests);
            sha256_of_all(digests.map(Digest::as_slice))
        })
    }

    /// As [`digest`](Self::digest), in the form that tickets have: it goes into them, so its form is part of theirs.
    fn ticket_digest(&self, domain: &TrustDomain) -> Digest {
        let compute = || ticket_digest(domain, &self.anchor_digests, &self.list_digests);
        let (known, digest) = self.ticket_digest.get_or_init(|| (domain.clone(), compute()));
        // A bundle stands for one domain, as a rule.
        if known == domain { *digest } else { compute() }
    }

    /// Adds what is in `pem`; what cannot be used goes to `unused`. After an error the bundle must not be used.
    pub(super) fn insert_pem(
        &mut self,
        pem: &[u8],
        wanted: Wanted,
        unused: &mut Vec<Unused>,
    ) -> Result<(), IdentityError> {
        let (mut authorities, mut lists, mut first_fault) = (0, 0, None);
        let mut position = 0;
        for section in pem::sections(pem)? {
            match section.kind {
                Kind::Certificate => {
                    match Anchor::parse(&section.der, position) {
                        Ok(anchor) => {
                            authorities += 1;
                            self.insert_anchor(&section.der, anchor);
                        }
                        Err(fault) => {
                            first_fault.get_or_insert_with(|| fault.clone());
                            unused.push(Unused::certificate(position, &section.der, fault));
                        }
                    }
                    position += 1;
                }
                Kind::RevocationList => {
                    let list = RevocationList::parse(&section.der)
                        .map_err(IdentityError::RevocationList)?;
                    lists += 1;
                    self.insert_list(&section.der, Arc::new(list));
                }
                Kind::PrivateKey | Kind::EncryptedPrivateKey | Kind::Other => {
                    unused.push(Unused::Section { label: section.label.to_owned() });
                }
            }
        }
        match wanted {
            Wanted::Authorities if authorities == 0 => {
                Err(first_fault.map_or(IdentityError::NoCertificate, IdentityError::Anchor))
            }
            Wanted::RevocationLists if lists == 0 => {
                Err(IdentityError::RevocationList("it contains no X509 CRL".to_owned()))
            }
            _ => Ok(()),
        }
    }

    /// Adds the authorities in `der`, certificates one behind the other. Lists come by [`insert_list`](Self::insert_list).
    #[cfg(feature = "workload-api")]
    pub(super) fn insert_der(
        &mut self,
        der: &[u8],
        unused: &mut Vec<Unused>,
    ) -> Result<(), IdentityError> {
        let mut first_fault = None;
        let mut certificates = Reader::new(der);
        let mut position = 0;
        while !certificates.is_empty() {
            let malformed = CertificateError::Malformed { position, part: "the whole" };
            let certificate =
                certificates.element().ok_or(malformed).map_err(IdentityError::Anchor)?;
            match Anchor::parse(certificate.whole, position) {
                Ok(anchor) => self.insert_anchor(certificate.whole, anchor),
                // Unlike text around PEM, what is no certificate at all has no business here.
                Err(fault @ CertificateError::Malformed { .. }) => {
                    return Err(IdentityError::Anchor(fault));
                }
                Err(fault) => {
                    first_fault.get_or_insert_with(|| fault.clone());
                    unused.push(Unused::certificate(position, certificate.whole, fault));
                }
            }
            position += 1;
        }
        if self.anchors.is_empty() {
            return Err(IdentityError::Anchor(first_fault.unwrap_or(CertificateError::Empty)));
        }
        Ok(())
    }

    fn insert_anchor(&mut self, der: &[u8], anchor: Anchor) {
        if self.anchor_digests.insert(sha256(der)) {
            self.anchors.push(anchor);
            self.forget_digests();
        }
    }

    pub(super) fn insert_list(&mut self, der: &[u8], list: Arc<RevocationList>) {
        if self.list_digests.insert(sha256(der)) {
            self.revocation_lists.push(list);
            self.forget_digests();
        }
    }

    fn forget_digests(&mut self) {
        self.digest = OnceLock::new();
        self.ticket_digest = OnceLock::new();
    }
}

/// `"altsh1 trust"`, the domain's name behind a byte of length, and the digests of anchors and of revocation lists, each kind behind
/// their number and sorted, so that the order of files decides nothing.
fn ticket_digest(
    domain: &TrustDomain,
    anchors: &BTreeSet<Digest>,
    lists: &BTreeSet<Digest>,
) -> Digest {
    let name = domain.as_str().as_bytes();
    let mut context = Context::new(&SHA256);
    context.update(b"altsh1 trust");
    context.update(&[name.len() as u8]);
    context.update(name);
    for digests in [anchors, lists] {
        context.update(&(digests.len() as u32).to_be_bytes());
        for digest in digests {
            context.update(digest);
        }
    }
    finish(context)
}

/// A part of a trust bundle that is not used.
pub(super) enum Unused {
    /// Neither a certificate nor a revocation list.
    Section { label: String },
    /// A certificate that cannot be an authority's.
    Certificate { position: usize, subject: String, fault: CertificateError },
}

impl Unused {
    fn certificate(position: usize, der: &[u8], fault: CertificateError) -> Self {
        let subject =
            Certificate::parse(der, position).map(|certificate| shown_name(certificate.subject));
        let subject = subject.unwrap_or_else(|_| "unreadable".to_owned());
        Self::Certificate { position, subject, fault }
    }

    /// Warns of it.
    pub(super) fn log(&self, domain: &TrustDomain) {
        match self {
            Self::Section { label } => {
                tracing::warn!(%domain, label, "a section of a trust bundle is not used");
            }
            Self::Certificate { position, subject, fault } => tracing::warn!(
                %domain,
                position,
                subject,
                %fault,
                "a certificate of a trust bundle is not used",
            ),
        }
    }
}
