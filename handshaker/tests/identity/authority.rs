//! A certificate authority that also issues what no good one would.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alts_handshaker::Role;
use alts_handshaker::identity::{
    CertificateError, ChainVerifier, ClaimedPeer, Identity, PrivateKey, Signer, TrustBundles,
    TrustDomain, VerifiedPeer,
};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams,
    CrlIssuingDistributionPoint, DistinguishedName, DnType, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose, PublicKeyData, RevokedCertParams, SanType, SerialNumber,
};
use time::OffsetDateTime;

/// The time of these tests: 2026-03-01, midnight.
pub(crate) const NOW: u64 = 1_772_323_200;
pub(crate) const HOUR: u64 = 3_600;

pub(crate) fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

pub(crate) fn now() -> SystemTime {
    at(NOW)
}

pub(crate) fn date(seconds: u64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(seconds.try_into().unwrap()).unwrap()
}

pub(crate) fn domain(name: &str) -> TrustDomain {
    name.parse().unwrap()
}

pub(crate) fn uri(text: &str) -> SanType {
    SanType::URI(Ia5String::try_from(text).unwrap())
}

pub(crate) struct Authority {
    pub(crate) issuer: Issuer<'static, KeyPair>,
    pub(crate) der: Vec<u8>,
    pub(crate) pem: String,
}

/// A leaf with its key.
pub(crate) struct Leaf {
    pub(crate) der: Vec<u8>,
    pub(crate) pem: String,
    pub(crate) key_pem: String,
}

impl Leaf {
    /// Proves that this is the one that claims to be.
    pub(crate) fn prove(&self, claimed: &ClaimedPeer<'_>) -> Arc<VerifiedPeer> {
        let key = PrivateKey::from_pem(self.key_pem.as_bytes()).unwrap();
        let scheme = key.schemes()[0];
        let signature = key.sign(scheme, b"handshake").unwrap();
        claimed.verify_signature(scheme, b"handshake", &signature).unwrap()
    }
}

/// Everything a root has, to be spoilt.
pub(crate) fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = date(NOW - HOUR);
    params.not_after = date(NOW + HOUR);
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

/// Everything a leaf has, to be spoilt.
pub(crate) fn leaf_params(id: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = date(NOW - HOUR);
    params.not_after = date(NOW + HOUR);
    params.distinguished_name = DistinguishedName::new();
    params.subject_alt_names = vec![uri(id)];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params
}

impl Authority {
    pub(crate) fn root(name: &str) -> Self {
        Self::root_with(authority_params(name))
    }

    pub(crate) fn root_with(params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self {
            der: certificate.der().to_vec(),
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    pub(crate) fn intermediate(&self, name: &str) -> Self {
        self.intermediate_with(authority_params(name))
    }

    pub(crate) fn intermediate_with(&self, params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Self {
            der: certificate.der().to_vec(),
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    pub(crate) fn leaf(&self, id: &str) -> Leaf {
        self.issue(&leaf_params(id))
    }

    pub(crate) fn issue(&self, params: &CertificateParams) -> Leaf {
        self.issue_for(params, &KeyPair::generate().unwrap())
    }

    pub(crate) fn issue_for(&self, params: &CertificateParams, key: &KeyPair) -> Leaf {
        let certificate = params.signed_by(key, &self.issuer).unwrap();
        Leaf {
            der: certificate.der().to_vec(),
            pem: certificate.pem(),
            key_pem: key.serialize_pem(),
        }
    }

    /// A certificate for a key of which only the public half is known.
    pub(crate) fn certify(&self, params: &CertificateParams, key: &impl PublicKeyData) -> Vec<u8> {
        params.signed_by(key, &self.issuer).unwrap().der().to_vec()
    }

    /// A revocation list of these serial numbers, current until `next_update`.
    pub(crate) fn crl(&self, serials: &[u64], next_update: u64) -> String {
        self.crl_with(serials, next_update, None)
    }

    pub(crate) fn crl_with(
        &self,
        serials: &[u64],
        next_update: u64,
        issuing_distribution_point: Option<CrlIssuingDistributionPoint>,
    ) -> String {
        CertificateRevocationListParams {
            this_update: date(NOW - HOUR),
            next_update: date(next_update),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point,
            revoked_certs: serials
                .iter()
                .map(|serial| RevokedCertParams {
                    serial_number: SerialNumber::from(*serial),
                    revocation_time: date(NOW - HOUR),
                    reason_code: None,
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        }
        .signed_by(&self.issuer)
        .unwrap()
        .pem()
        .unwrap()
    }
}

/// Trust bundles with one authority for each domain.
pub(crate) fn trust(bundles: &[(&str, &Authority)]) -> TrustBundles {
    let mut trust = TrustBundles::new();
    for (name, authority) in bundles {
        trust.insert_pem(&domain(name), authority.pem.as_bytes()).unwrap();
    }
    trust
}

/// `spiffe://example.org/us`, issued by `home`, with these bundles.
pub(crate) fn us(home: &Authority, trust: TrustBundles) -> Arc<Identity> {
    let leaf = home.leaf("spiffe://example.org/us");
    Identity::from_pem(leaf.pem.as_bytes(), leaf.key_pem.as_bytes(), trust, now()).unwrap()
}

/// A verifier's side: the root of example.org, and an identity that trusts it.
pub(crate) struct Setup {
    pub(crate) home: Authority,
    pub(crate) us: Arc<Identity>,
    pub(crate) verifier: ChainVerifier,
}

impl Setup {
    pub(crate) fn new() -> Self {
        let home = Authority::root("home");
        let us = us(&home, trust(&[("example.org", &home)]));
        Self { home, us, verifier: ChainVerifier::new() }
    }

    pub(crate) fn verify_at(
        &self,
        chain: &[&[u8]],
        peer: Role,
        now: SystemTime,
    ) -> Result<ClaimedPeer<'_>, CertificateError> {
        self.verifier.verify(&self.us, chain, peer, now)
    }

    pub(crate) fn verify(&self, chain: &[&[u8]]) -> Result<ClaimedPeer<'_>, CertificateError> {
        self.verify_at(chain, Role::Client, now())
    }

    /// Issues a leaf directly below the root, and verifies it.
    pub(crate) fn judge(
        &self,
        params: &CertificateParams,
    ) -> Result<ClaimedPeer<'_>, CertificateError> {
        self.verify(&[&self.home.issue(params).der])
    }

    /// Why such a leaf is refused.
    pub(crate) fn fault(&self, params: &CertificateParams) -> CertificateError {
        self.judge(params).unwrap_err()
    }
}
