//! A certificate authority for development: tests, examples, first steps.
//!
//! Its key is stored on disk beside everything else, so it must never vouch for anything real. Its trust domain is `dev.local`
//! unless another is asked for, and the rest of this package refuses that domain until told otherwise
//! ([`TrustBundles::allow_development_domain`]).
//!
//! ```
//! use std::time::SystemTime;
//! use alts_handshaker::dev_ca::DevCa;
//!
//! let now = SystemTime::now();
//! let ca = DevCa::new(now)?;
//! let server = ca.issue("spiffe://dev.local/server", now)?;
//! let identity = server.identity(now)?;
//! assert_eq!(identity.id().path(), "/server");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The command line `alts-handshaker dev-ca` (feature `cli`) does the same with files.

mod error;
mod files;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SanType,
};
use time::OffsetDateTime;
use zeroize::Zeroizing;

use crate::identity::{
    DEVELOPMENT_TRUST_DOMAIN, Identity, IdentityError, SpiffeId, TrustBundles, TrustDomain,
};

pub use error::DevCaError;
pub use files::{BUNDLE_FILE, CA_CERTIFICATE_FILE, CA_KEY_FILE, CHAIN_FILE, KEY_FILE};

/// How long the authority is valid: a year.
const CA_LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// How long what it issues is valid: a day.
const LEAF_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// How long before its making a certificate is valid already, for clocks that differ.
const CLOCK_SKEW: Duration = Duration::from_secs(5 * 60);

/// The kind of key that a certificate is issued for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// Ed25519: the smallest and fastest.
    #[default]
    Ed25519,
    /// ECDSA over P-256, which every TLS library can do too.
    P256,
}

impl KeyType {
    fn generate(self) -> Result<KeyPair, DevCaError> {
        Ok(KeyPair::generate_for(match self {
            Self::Ed25519 => &PKCS_ED25519,
            Self::P256 => &PKCS_ECDSA_P256_SHA256,
        })?)
    }
}

/// A development certificate authority with its private key.
pub struct DevCa {
    domain: TrustDomain,
    issuer: Issuer<'static, KeyPair>,
    certificate_pem: String,
    not_after: SystemTime,
}

impl DevCa {
    /// A new authority for `dev.local`, valid for a year from `now` on. Its key is an ECDSA key over P-256.
    pub fn new(now: SystemTime) -> Result<Self, DevCaError> {
        let domain = DEVELOPMENT_TRUST_DOMAIN.parse().map_err(DevCaError::Name)?;
        Self::for_trust_domain(domain, now)
    }

    /// A new authority for another trust domain. Nothing in this package refuses that one.
    pub fn for_trust_domain(domain: TrustDomain, now: SystemTime) -> Result<Self, DevCaError> {
        let not_after = now + CA_LIFETIME;
        let params = ca_params(&domain, now - CLOCK_SKEW, not_after)?;
        let key = KeyType::P256.generate()?;
        let certificate_pem = params.self_signed(&key)?.pem();
        Ok(Self { domain, issuer: Issuer::new(params, key), certificate_pem, not_after })
    }

    /// The trust domain that it vouches for.
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.domain
    }

    /// The authority's certificate: the trust bundle.
    pub fn bundle_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Issues a certificate for a name in its trust domain, valid from shortly before `now` for 24 hours, with an Ed25519 key.
    pub fn issue(&self, id: &str, now: SystemTime) -> Result<DevIdentity, DevCaError> {
        self.issue_with_key_type(id, KeyType::default(), now)
    }

    /// As [`issue`](Self::issue), with a key of another type.
    pub fn issue_with_key_type(
        &self,
        id: &str,
        key_type: KeyType,
        now: SystemTime,
    ) -> Result<DevIdentity, DevCaError> {
        let id: SpiffeId = id.parse().map_err(DevCaError::Name)?;
        if id.trust_domain() != self.domain {
            return Err(DevCaError::OtherTrustDomain { id, domain: self.domain.clone() });
        }
        if now > self.not_after {
            return Err(DevCaError::Expired);
        }
        let mut params = CertificateParams::default();
        params.not_before = timestamp(now - CLOCK_SKEW);
        params.not_after = timestamp((now + LEAF_LIFETIME).min(self.not_after));
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "alts development");
        params.subject_alt_names = vec![uri(id.as_str())?];
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let key = key_type.generate()?;
        let chain_pem = params.signed_by(&key, &self.issuer)?.pem();
        Ok(DevIdentity {
            domain: self.domain.clone(),
            chain_pem,
            key_pem: Zeroizing::new(key.serialize_pem()),
            bundle_pem: self.certificate_pem.clone(),
        })
    }
}

impl fmt::Debug for DevCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevCa").field("domain", &self.domain).finish_non_exhaustive()
    }
}

/// A certificate with its private key, and the bundle that vouches for it. All PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct DevIdentity {
    domain: TrustDomain,
    chain_pem: String,
    key_pem: Zeroizing<String>,
    bundle_pem: String,
}

impl DevIdentity {
    /// The certificate chain: one leaf.
    pub fn chain_pem(&self) -> &str {
        &self.chain_pem
    }

    /// The leaf's private key, PKCS#8.
    pub fn key_pem(&self) -> &str {
        &self.key_pem
    }

    /// The authority's certificate.
    pub fn bundle_pem(&self) -> &str {
        &self.bundle_pem
    }

    /// The identity itself, which trusts only the authority that issued it.
    pub fn identity(&self, now: SystemTime) -> Result<Arc<Identity>, IdentityError> {
        let mut trust = TrustBundles::new();
        trust.allow_development_domain().insert_pem(&self.domain, self.bundle_pem.as_bytes())?;
        Identity::from_pem(self.chain_pem.as_bytes(), self.key_pem.as_bytes(), trust, now)
    }
}

impl fmt::Debug for DevIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DevIdentity").field("domain", &self.domain).finish_non_exhaustive()
    }
}

/// All of the authority's certificate but its key. What issuing depends on follows from the trust domain alone.
fn ca_params(
    domain: &TrustDomain,
    not_before: SystemTime,
    not_after: SystemTime,
) -> Result<CertificateParams, DevCaError> {
    let mut params = CertificateParams::default();
    params.not_before = timestamp(not_before);
    params.not_after = timestamp(not_after);
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "alts development");
    params.distinguished_name.push(DnType::CommonName, format!("development CA of {domain}"));
    params.subject_alt_names = vec![uri(&format!("spiffe://{domain}"))?];
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn uri(text: &str) -> Result<SanType, DevCaError> {
    Ok(SanType::URI(Ia5String::try_from(text)?))
}

/// X.509 counts whole seconds. Times that it cannot express become 1970, when nothing is valid.
fn timestamp(time: SystemTime) -> OffsetDateTime {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .ok()
        .and_then(|since| i64::try_from(since.as_secs()).ok())
        .and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok())
        .unwrap_or(OffsetDateTime::UNIX_EPOCH)
}
