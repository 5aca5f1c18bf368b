//! Signature schemes and public keys.

use std::fmt;

use ring::signature::{self, UnparsedPublicKey, VerificationAlgorithm};

use super::der::{Reader, tag};

/// How a handshake is signed, by TLS's number for it (RFC 8446, section 4.2.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SignatureScheme(pub u16);

impl SignatureScheme {
    /// ECDSA over P-256 with SHA-256; the signature is DER.
    pub const ECDSA_P256_SHA256: Self = Self(0x0403);
    /// ECDSA over P-384 with SHA-384; the signature is DER.
    pub const ECDSA_P384_SHA384: Self = Self(0x0503);
    /// RSA-PSS with SHA-256 and a salt of 32 bytes.
    pub const RSA_PSS_SHA256: Self = Self(0x0804);
    /// Ed25519.
    pub const ED25519: Self = Self(0x0807);

    /// All schemes that can be verified, in order of preference.
    pub const ALL: [Self; 4] =
        [Self::ED25519, Self::ECDSA_P256_SHA256, Self::ECDSA_P384_SHA384, Self::RSA_PSS_SHA256];
}

impl fmt::Debug for SignatureScheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ECDSA_P256_SHA256 => f.write_str("ecdsa_secp256r1_sha256"),
            Self::ECDSA_P384_SHA384 => f.write_str("ecdsa_secp384r1_sha384"),
            Self::RSA_PSS_SHA256 => f.write_str("rsa_pss_rsae_sha256"),
            Self::ED25519 => f.write_str("ed25519"),
            Self(other) => write!(f, "{other:#06x}"),
        }
    }
}

/// The signature does not fit message and key, or its scheme does not fit the key. Peers are never told which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadSignature;

impl fmt::Display for BadSignature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the signature is wrong")
    }
}

impl std::error::Error for BadSignature {}

/// The kinds of keys that a leaf may have. Each signs with one scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyKind {
    Ed25519,
    P256,
    P384,
    Rsa,
}

/// Contents of object identifiers (RFC 8410, RFC 5480, RFC 8017).
mod oid {
    pub(super) const ED25519: &[u8] = &[0x2B, 0x65, 0x70];
    pub(super) const EC_PUBLIC_KEY: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x02, 0x01];
    pub(super) const P256: &[u8] = &[0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07];
    pub(super) const P384: &[u8] = &[0x2B, 0x81, 0x04, 0x00, 0x22];
    pub(super) const RSA: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01, 0x01];
}

impl KeyKind {
    /// Takes the contents of an algorithm identifier, as in certificates and PKCS#8.
    pub(super) fn from_algorithm(contents: &[u8]) -> Option<Self> {
        let mut algorithm = Reader::new(contents);
        let kind = match algorithm.expect(tag::OID)? {
            oid::ED25519 => Self::Ed25519,
            oid::EC_PUBLIC_KEY => match algorithm.expect(tag::OID)? {
                oid::P256 => Self::P256,
                oid::P384 => Self::P384,
                _ => return None,
            },
            oid::RSA => {
                algorithm.expect(tag::NULL)?.is_empty().then_some(())?;
                Self::Rsa
            }
            _ => return None,
        };
        algorithm.end()?;
        Some(kind)
    }

    pub(super) fn scheme(self) -> SignatureScheme {
        match self {
            Self::Ed25519 => SignatureScheme::ED25519,
            Self::P256 => SignatureScheme::ECDSA_P256_SHA256,
            Self::P384 => SignatureScheme::ECDSA_P384_SHA384,
            Self::Rsa => SignatureScheme::RSA_PSS_SHA256,
        }
    }

    fn verification(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::Ed25519 => &signature::ED25519,
            Self::P256 => &signature::ECDSA_P256_SHA256_ASN1,
            Self::P384 => &signature::ECDSA_P384_SHA384_ASN1,
            Self::Rsa => &signature::RSA_PSS_2048_8192_SHA256,
        }
    }
}

/// A leaf's public key, as the contents of its certificate's subjectPublicKey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublicKey {
    pub(super) kind: KeyKind,
    pub(super) bytes: Box<[u8]>,
}

impl PublicKey {
    pub(super) fn verify(
        &self,
        scheme: SignatureScheme,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), BadSignature> {
        if scheme != self.kind.scheme() {
            return Err(BadSignature);
        }
        UnparsedPublicKey::new(self.kind.verification(), &self.bytes)
            .verify(message, signature)
            .map_err(|_| BadSignature)
    }
}
