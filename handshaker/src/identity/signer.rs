//! Private keys.

use std::fmt;

use ring::error::KeyRejected;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair,
    EcdsaSigningAlgorithm, Ed25519KeyPair, RSA_PSS_SHA256, RsaKeyPair,
};

use super::der::{Reader, tag};
use super::error::IdentityError;
use super::key::{KeyKind, SignatureScheme};
use super::pem::{self, Kind};

/// Signs handshakes. The key may live in this process ([`PrivateKey`]) or elsewhere: an agent, an HSM.
///
/// Signing happens where the handshake is driven and should be quick.
pub trait Signer: Send + Sync + fmt::Debug {
    /// What the key can do, in order of preference. The same at every call.
    fn schemes(&self) -> &[SignatureScheme];

    /// Signs `message` with one of [`schemes`](Self::schemes).
    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, IdentityError>;
}

/// A private key in this process, held by ring.
///
/// All copies of the key's bytes that are made while reading are wiped. *ring*, which holds the key, does not wipe its copy.
pub struct PrivateKey {
    pair: KeyPair,
    scheme: SignatureScheme,
    random: SystemRandom,
}

enum KeyPair {
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair),
}

impl PrivateKey {
    /// Reads the one private key in `pem`: Ed25519, ECDSA over P-256 or P-384, or RSA of 2,048 to 4,096 bits, as PKCS#8
    /// (`PRIVATE KEY`); also PKCS#1 (`RSA PRIVATE KEY`), and SEC1 if it has its public key (`EC PRIVATE KEY`).
    pub fn from_pem(pem: &[u8]) -> Result<Self, IdentityError> {
        let (mut keys, mut has_certificate, mut is_encrypted) = (Vec::new(), false, false);
        for section in pem::sections(pem)? {
            match section.kind {
                Kind::PrivateKey => keys.push(section.der),
                Kind::EncryptedPrivateKey => is_encrypted = true,
                Kind::Certificate => has_certificate = true,
                Kind::RevocationList | Kind::Other => {}
            }
        }
        match keys.as_slice() {
            [key] => Self::from_der(key),
            [] if is_encrypted => Err(IdentityError::EncryptedPrivateKey),
            [] if has_certificate => Err(IdentityError::ChainInPlaceOfKey),
            [] => Err(IdentityError::NoPrivateKey),
            _ => Err(IdentityError::SeveralPrivateKeys),
        }
    }

    /// Reads a private key from DER: PKCS#8, PKCS#1, or SEC1 with its public key; the kinds of keys are those of
    /// [`from_pem`](Self::from_pem). The bytes are the caller's to wipe.
    ///
    /// # Errors
    ///
    /// [`IdentityError::PrivateKey`] says what is wrong with the key and quotes nothing of it.
    pub fn from_der(der: &[u8]) -> Result<Self, IdentityError> {
        // All three are a sequence that begins with a version. What follows it tells them apart.
        let second = Reader::new(der)
            .sequence()
            .and_then(|mut fields| {
                fields.expect(tag::INTEGER)?;
                fields.element()
            })
            .ok_or_else(|| unusable("it is not DER"))?;
        let random = SystemRandom::new();
        let (kind, pair) = match second.tag {
            tag::SEQUENCE => from_pkcs8(der, &random)?,
            tag::INTEGER => {
                (KeyKind::Rsa, KeyPair::Rsa(RsaKeyPair::from_der(der).map_err(rejected)?))
            }
            tag::OCTET_STRING => from_sec1(der, &random)?,
            _ => return Err(unusable("neither PKCS#8, PKCS#1 nor SEC1")),
        };
        Ok(Self { pair, scheme: kind.scheme(), random })
    }
}

impl Signer for PrivateKey {
    fn schemes(&self) -> &[SignatureScheme] {
        std::slice::from_ref(&self.scheme)
    }

    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, IdentityError> {
        if scheme != self.scheme {
            return Err(IdentityError::Sign(format!("the key does not sign with {scheme:?}")));
        }
        let failed = |_| IdentityError::Sign("no randomness, or an unusual key".to_owned());
        match &self.pair {
            KeyPair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
            KeyPair::Ecdsa(pair) => {
                Ok(pair.sign(&self.random, message).map_err(failed)?.as_ref().to_vec())
            }
            KeyPair::Rsa(pair) => {
                let mut signature = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PSS_SHA256, &self.random, message, &mut signature)
                    .map_err(failed)?;
                Ok(signature)
            }
        }
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({:?})", self.scheme)
    }
}

/// PKCS#8 (RFC 5958): version, algorithm identifier, key.
fn from_pkcs8(der: &[u8], random: &SystemRandom) -> Result<(KeyKind, KeyPair), IdentityError> {
    let kind = Reader::new(der)
        .sequence()
        .and_then(|mut fields| {
            fields.expect(tag::INTEGER)?;
            fields.expect(tag::SEQUENCE)
        })
        .and_then(KeyKind::from_algorithm)
        .ok_or_else(|| unusable("neither Ed25519, ECDSA over P-256 or P-384, nor RSA"))?;
    let pair = match kind {
        // Most tools write Ed25519 keys without the public key that the stricter function checks.
        KeyKind::Ed25519 => Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map(KeyPair::Ed25519),
        KeyKind::P256 => EcdsaKeyPair::from_pkcs8(P256, der, random).map(KeyPair::Ecdsa),
        KeyKind::P384 => EcdsaKeyPair::from_pkcs8(P384, der, random).map(KeyPair::Ecdsa),
        KeyKind::Rsa => RsaKeyPair::from_pkcs8(der).map(KeyPair::Rsa),
    };
    Ok((kind, pair.map_err(rejected)?))
}

const P256: &EcdsaSigningAlgorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
const P384: &EcdsaSigningAlgorithm = &ECDSA_P384_SHA384_ASN1_SIGNING;

/// SEC1 (RFC 5915): version, key, `[0]` curve, `[1]` public key. ring wants the last, to check the key with it.
fn from_sec1(der: &[u8], random: &SystemRandom) -> Result<(KeyKind, KeyPair), IdentityError> {
    let (private, public) = sec1_parts(der).ok_or_else(|| unusable("SEC1 without a public key"))?;
    // An uncompressed point has two coordinates of the curve's size.
    let (kind, algorithm) = match public.len() {
        65 => (KeyKind::P256, P256),
        97 => (KeyKind::P384, P384),
        _ => return Err(unusable("neither over P-256 nor over P-384")),
    };
    EcdsaKeyPair::from_private_key_and_public_key(algorithm, private, public, random)
        .map(|pair| (kind, KeyPair::Ecdsa(pair)))
        .map_err(rejected)
}

fn sec1_parts(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut fields = Reader::new(der).sequence()?;
    fields.expect(tag::INTEGER)?;
    let private = fields.expect(tag::OCTET_STRING)?;
    if fields.next_is(tag::context_constructed(0)) {
        fields.element()?;
    }
    let public = fields.expect(tag::context_constructed(1))?;
    Some((private, Reader::new(public).whole_bytes()?))
}

fn unusable(fault: &str) -> IdentityError {
    IdentityError::PrivateKey(fault.to_owned())
}

fn rejected(fault: KeyRejected) -> IdentityError {
    IdentityError::PrivateKey(fault.to_string())
}
