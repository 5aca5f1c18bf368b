//! Private keys and the signatures they make. The keys in `keys/` were made by OpenSSL for these tests.

use std::sync::Arc;

use alts_handshaker::Role;
use alts_handshaker::identity::{
    BadSignature, Identity, IdentityError, PrivateKey, SignatureScheme, Signer,
};
use pki_types::CertificateDer;
use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256};

use super::authority::{Authority, Leaf, Setup, leaf_params, now, trust};

const ED25519: &str = include_str!("keys/ed25519.pem");
const P256: &str = include_str!("keys/p256.pem");
const P256_SEC1: &str = include_str!("keys/p256-sec1.pem");
const P384: &str = include_str!("keys/p384.pem");
const P384_SEC1: &str = include_str!("keys/p384-sec1.pem");
const RSA: &str = include_str!("keys/rsa2048.pem");
const RSA_PKCS1: &str = include_str!("keys/rsa2048-pkcs1.pem");
const P521: &str = include_str!("keys/p521.pem");
const ENCRYPTED: &str = include_str!("keys/encrypted.pem");

/// Each key in each of its forms, with the form that rcgen reads.
fn keys() -> [(&'static str, KeyPair, SignatureScheme); 7] {
    let p256 = || KeyPair::from_pem(P256).unwrap();
    let p384 = || KeyPair::from_pkcs8_pem_and_sign_algo(P384, &PKCS_ECDSA_P384_SHA384).unwrap();
    let rsa = || KeyPair::from_pkcs8_pem_and_sign_algo(RSA, &PKCS_RSA_SHA256).unwrap();
    let ed25519 = KeyPair::from_pkcs8_pem_and_sign_algo(ED25519, &PKCS_ED25519).unwrap();
    [
        (ED25519, ed25519, SignatureScheme::ED25519),
        (P256, p256(), SignatureScheme::ECDSA_P256_SHA256),
        (P256_SEC1, p256(), SignatureScheme::ECDSA_P256_SHA256),
        (P384, p384(), SignatureScheme::ECDSA_P384_SHA384),
        (P384_SEC1, p384(), SignatureScheme::ECDSA_P384_SHA384),
        (RSA, rsa(), SignatureScheme::RSA_PSS_SHA256),
        (RSA_PKCS1, rsa(), SignatureScheme::RSA_PSS_SHA256),
    ]
}

#[test]
fn every_kind_of_key_signs_what_its_certificate_verifies() {
    let setup = Setup::new();
    for (pem, pair, scheme) in keys() {
        let leaf = setup.home.issue_for(&leaf_params("spiffe://example.org/peer"), &pair);
        let bundles = trust(&[("example.org", &setup.home)]);
        let identity =
            Identity::from_pem(leaf.pem.as_bytes(), pem.as_bytes(), bundles, now()).unwrap();
        assert_eq!(identity.signer().schemes(), [scheme]);
        let signature = identity.signer().sign(scheme, b"message").unwrap();

        let chain: Vec<&[u8]> = identity.chain().iter().map(AsRef::as_ref).collect();
        let peer = setup.verify_at(&chain, Role::Server, now()).unwrap();
        assert!(peer.verify_signature(scheme, b"message", &signature).is_ok());
        assert_eq!(peer.verify_signature(scheme, b"massage", &signature), Err(BadSignature));
        for other in SignatureScheme::ALL.into_iter().filter(|other| *other != scheme) {
            assert_eq!(peer.verify_signature(other, b"message", &signature), Err(BadSignature));
            assert!(matches!(
                identity.signer().sign(other, b"message"),
                Err(IdentityError::Sign(_))
            ));
        }
        let mut changed = signature.clone();
        changed[10] ^= 1;
        assert_eq!(peer.verify_signature(scheme, b"message", &changed), Err(BadSignature));
        let short = &signature[..signature.len() - 1];
        assert_eq!(peer.verify_signature(scheme, b"message", short), Err(BadSignature));
        assert_eq!(peer.verify_signature(scheme, b"message", b""), Err(BadSignature));
        assert_eq!(
            peer.verify_signature(SignatureScheme(0), b"message", &signature),
            Err(BadSignature)
        );
    }
}

#[test]
fn a_file_has_one_usable_key() {
    let fault = |pem: &str| PrivateKey::from_pem(pem.as_bytes()).map(drop).unwrap_err();
    let home = Authority::root("home");
    assert_eq!(fault(""), IdentityError::NoPrivateKey);
    assert_eq!(fault(&home.pem), IdentityError::ChainInPlaceOfKey);
    assert_eq!(fault("# nothing"), IdentityError::NoPrivateKey);
    assert_eq!(fault(&format!("{P256}{ED25519}")), IdentityError::SeveralPrivateKeys);
    assert_eq!(fault(ENCRYPTED), IdentityError::EncryptedPrivateKey);
    // As `openssl rsa -aes128 -traditional` writes it.
    let traditional = RSA_PKCS1.replacen(
        "KEY-----\n",
        "KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00112233445566778899AABBCCDDEEFF\n\n",
        1,
    );
    assert_eq!(fault(&traditional), IdentityError::EncryptedPrivateKey);
    assert!(matches!(fault(P521), IdentityError::PrivateKey(_)));
    assert!(matches!(
        fault("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"),
        IdentityError::PrivateKey(_)
    ));
    assert!(matches!(
        fault("-----BEGIN EC PRIVATE KEY-----\nMAMCAQE=\n-----END EC PRIVATE KEY-----\n"),
        IdentityError::PrivateKey(_)
    ));
    // Certificates beside the key do no harm.
    assert!(PrivateKey::from_pem(format!("{}{P256}", home.pem).as_bytes()).is_ok());
}

#[test]
fn a_key_may_come_as_der() {
    use pki_types::PrivateKeyDer;
    use pki_types::pem::PemObject;

    for (pem, _, scheme) in keys() {
        let der = PrivateKeyDer::from_pem_slice(pem.as_bytes()).unwrap();
        let key = PrivateKey::from_der(der.secret_der()).unwrap();
        assert_eq!(key.schemes(), [scheme]);
        assert!(PrivateKey::from_der(&der.secret_der()[1..]).is_err());
        assert!(PrivateKey::from_der(pem.as_bytes()).is_err());
    }
    for bad in [&[][..], &[0x30, 0], &[0x30, 3, 2, 1, 0], &[0x30, 5, 2, 1, 0, 5, 0]] {
        let fault = PrivateKey::from_der(bad).map(drop).unwrap_err();
        assert!(matches!(fault, IdentityError::PrivateKey(_)), "{fault}");
    }
}

#[test]
fn a_damaged_key_is_refused_without_quoting_it() {
    for (pem, _, _) in keys() {
        let line = pem.lines().rev().nth(1).unwrap();
        for damaged in [
            pem.replacen(line, "", 1),
            pem.replacen("-----END", "", 1),
            pem.replacen(line, &format!("{line}!?"), 1),
        ] {
            let fault = PrivateKey::from_pem(damaged.as_bytes()).map(drop).unwrap_err();
            for shown in [format!("{fault:?}"), fault.to_string()] {
                assert!(!shown.contains(line), "{shown}");
            }
        }
    }
}

#[test]
fn the_key_belongs_to_the_leaf() {
    let home = Authority::root("home");
    let (leaf, other) =
        (home.leaf("spiffe://example.org/us"), home.leaf("spiffe://example.org/us"));
    let identity = |leaf: &Leaf, key: &str| {
        let bundles = trust(&[("example.org", &home)]);
        Identity::from_pem(leaf.pem.as_bytes(), key.as_bytes(), bundles, now()).map(drop)
    };
    assert_eq!(identity(&leaf, &leaf.key_pem), Ok(()));
    assert_eq!(identity(&leaf, &other.key_pem), Err(IdentityError::KeyMismatch));
    assert_eq!(identity(&leaf, ED25519), Err(IdentityError::KeyMismatch));
    assert_eq!(identity(&leaf, RSA), Err(IdentityError::KeyMismatch));
}

#[test]
fn nothing_prints_a_key() {
    let home = Authority::root("home");
    let leaf = home.leaf("spiffe://example.org/us");
    let bundles = trust(&[("example.org", &home)]);
    let identity =
        Identity::from_pem(leaf.pem.as_bytes(), leaf.key_pem.as_bytes(), bundles, now()).unwrap();
    let key = PrivateKey::from_pem(leaf.key_pem.as_bytes()).unwrap();
    assert_eq!(format!("{key:?}"), "PrivateKey(ecdsa_secp256r1_sha256)");
    assert!(format!("{identity:?}").contains("signer: PrivateKey(ecdsa_secp256r1_sha256)"));
}

/// A key that lives elsewhere.
#[derive(Debug)]
struct Agent {
    key: PrivateKey,
    answers: bool,
}

impl Signer for Agent {
    fn schemes(&self) -> &[SignatureScheme] {
        self.key.schemes()
    }

    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, IdentityError> {
        if self.answers {
            self.key.sign(scheme, message)
        } else {
            Err(IdentityError::Sign("no agent".to_owned()))
        }
    }
}

#[test]
fn a_key_may_live_elsewhere() {
    let home = Authority::root("home");
    let leaf = home.leaf("spiffe://example.org/us");
    let identity = |key: &str, answers| {
        let key = PrivateKey::from_pem(key.as_bytes()).unwrap();
        let chain = vec![CertificateDer::from(leaf.der.clone())];
        let bundles = trust(&[("example.org", &home)]);
        Identity::new(chain, Arc::new(Agent { key, answers }), bundles, now()).map(drop)
    };
    assert_eq!(identity(&leaf.key_pem, true), Ok(()));
    assert_eq!(identity(&leaf.key_pem, false), Err(IdentityError::Sign("no agent".to_owned())));
    assert_eq!(identity(P256, true), Err(IdentityError::KeyMismatch));
}
