//! Authorities, what they issue, and answers that have it.

use std::time::Duration;

use alts_handshaker::identity::{Policy, WorkloadApi};
use alts_handshaker::{Error, HandshakeOptions, LocalHandshaker, Role};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DistinguishedName,
    DnType, IsCa, Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, PKCS_ED25519, RevokedCertParams,
    SanType, SerialNumber,
};
use time::OffsetDateTime;

use crate::agent::now;
use crate::messages::{X509Svid, X509SvidResponse};

pub(crate) const HOUR: Duration = Duration::from_secs(3_600);
pub(crate) const CART: &str = "spiffe://example.org/cart";
pub(crate) const STOCK: &str = "spiffe://example.org/stock";

pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) der: Vec<u8>,
}

/// So much before or after now.
fn date(ahead: i64) -> OffsetDateTime {
    OffsetDateTime::from(now()) + time::Duration::seconds(ahead)
}

fn seconds(duration: Duration) -> i64 {
    duration.as_secs().try_into().unwrap()
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.not_before = date(-seconds(24 * HOUR));
        params.not_after = date(seconds(24 * HOUR));
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { issuer: Issuer::new(params, key), der }
    }

    /// An SVID that is valid for an hour, with this authority's certificate as the bundle.
    pub(crate) fn svid(&self, id: &str) -> X509Svid {
        self.svid_of(id, 1, seconds(HOUR))
    }

    /// An SVID with this serial number, which ends so many seconds after now.
    pub(crate) fn svid_of(&self, id: &str, serial: u64, ahead: i64) -> X509Svid {
        let mut params = CertificateParams::default();
        params.serial_number = Some(SerialNumber::from(serial));
        params.not_before = date(-seconds(HOUR));
        params.not_after = date(ahead);
        params.distinguished_name = DistinguishedName::new();
        params.subject_alt_names = vec![SanType::URI(Ia5String::try_from(id).unwrap())];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let mut svid = X509Svid::default();
        id.clone_into(&mut svid.spiffe_id);
        svid.chain = certificate.der().to_vec();
        svid.key = key.serialize_der();
        svid.bundle.clone_from(&self.der);
        svid
    }

    /// A list of these serial numbers, DER.
    pub(crate) fn list(&self, serials: &[u64]) -> Vec<u8> {
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: date(-60),
            reason_code: None,
            invalidity_date: None,
        };
        let list = CertificateRevocationListParams {
            this_update: date(-60),
            next_update: date(seconds(HOUR)),
            crl_number: SerialNumber::from(1_u64),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        list.signed_by(&self.issuer).unwrap().der().to_vec()
    }
}

/// An answer with these SVIDs.
pub(crate) fn answer(svids: impl IntoIterator<Item = X509Svid>) -> X509SvidResponse {
    X509SvidResponse { svids: svids.into_iter().collect(), ..X509SvidResponse::default() }
}

/// As [`answer`], with the bundle of another domain.
pub(crate) fn federated(svid: X509Svid, domain: &str, bundle: &[u8]) -> X509SvidResponse {
    let federated_bundles = [(format!("spiffe://{domain}"), bundle.to_vec())].into();
    X509SvidResponse { federated_bundles, ..answer([svid]) }
}

/// Everybody of both domains may be the peer.
pub(crate) fn handshaker(source: &WorkloadApi) -> LocalHandshaker {
    let policy =
        Policy::from_rules(["spiffe://example.org/*", "spiffe://partner.example/*"]).unwrap();
    LocalHandshaker::builder(source.clone())
        .server_policy(policy.clone())
        .client_policy(policy)
        .build()
}

/// A handshake: the names that the server and the client see.
pub(crate) fn handshake(
    client: &LocalHandshaker,
    server: &LocalHandshaker,
) -> Result<(String, String), Error> {
    let options = HandshakeOptions::default();
    let mut client = client.handshake(Role::Client, &options)?;
    let mut server = server.handshake(Role::Server, &options)?;
    let (mut offer, mut answer, mut finish) = (Vec::new(), Vec::new(), Vec::new());
    client.step(&[], now(), &mut offer)?;
    let answered = server.step(&offer, now(), &mut answer);
    // The client's fault says what the server told it.
    let to_server = client.step(&answer, now(), &mut finish);
    answered?;
    let to_server = to_server?.result.unwrap();
    let to_client = server.step(&finish, now(), &mut Vec::new())?.result.unwrap();
    assert_eq!(to_server.key_data, to_client.key_data);
    Ok((to_client.peer.name().to_owned(), to_server.peer.name().to_owned()))
}
