//! Certificates that ALTS and TLS both take: a SPIFFE ID for the one, a host's name for the other.

use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, SanType, date_time_ymd,
};

pub(crate) const DOMAIN: &str = "bench.example";
/// What a TLS client calls the server.
pub(crate) const SERVER_HOST: &str = "server.bench.example";

/// A certificate with its key, both PEM.
pub(crate) struct Leaf {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// All that two peers need.
pub(crate) struct Certificates {
    pub(crate) authority: String,
    pub(crate) client: Leaf,
    pub(crate) server: Leaf,
}

impl Certificates {
    /// The leaves' keys are what `key` makes. The authority's is P-256 always, and there is no intermediate.
    pub(crate) fn new(key: impl Fn() -> KeyPair) -> Self {
        let mut params = valid_now();
        params.subject_alt_names = vec![uri(&format!("spiffe://{DOMAIN}"))];
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority_key = p256_key();
        let authority = params.self_signed(&authority_key).expect("a certificate").pem();
        let issuer = Issuer::new(params, authority_key);
        let issue = |name: &str| issue(&issuer, name, &key());
        Self { authority, client: issue("client"), server: issue("server") }
    }
}

pub(crate) fn p256_key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key")
}

fn issue(issuer: &Issuer<'_, KeyPair>, name: &str, key: &KeyPair) -> Leaf {
    let mut params = valid_now();
    let host = Ia5String::try_from(format!("{name}.{DOMAIN}")).expect("ASCII");
    params.subject_alt_names =
        vec![uri(&format!("spiffe://{DOMAIN}/{name}")), SanType::DnsName(host)];
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    let certificate = params.signed_by(key, issuer).expect("a certificate").pem();
    Leaf { certificate, key: key.serialize_pem() }
}

fn valid_now() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(2025, 1, 1);
    params.not_after = date_time_ymd(2045, 1, 1);
    params
}

fn uri(text: &str) -> SanType {
    SanType::URI(Ia5String::try_from(text).expect("ASCII"))
}
