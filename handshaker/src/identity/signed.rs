//! Signatures in certificates and revocation lists.

use pki_types::SignatureVerificationAlgorithm;
use ring::digest::{Context, SHA256};

use super::der::{Reader, tag};
use super::digest::{Digest, finish};

/// How certificates and lists may be signed. Named one by one: what webpki itself counts as all depends on what other packages of a
/// program ask of it.
const ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    webpki::ring::ECDSA_P256_SHA256,
    webpki::ring::ECDSA_P256_SHA384,
    webpki::ring::ECDSA_P384_SHA256,
    webpki::ring::ECDSA_P384_SHA384,
    webpki::ring::ED25519,
    webpki::ring::RSA_PKCS1_2048_8192_SHA256,
    webpki::ring::RSA_PKCS1_2048_8192_SHA384,
    webpki::ring::RSA_PKCS1_2048_8192_SHA512,
    webpki::ring::RSA_PKCS1_2048_8192_SHA256_ABSENT_PARAMS,
    webpki::ring::RSA_PKCS1_2048_8192_SHA384_ABSENT_PARAMS,
    webpki::ring::RSA_PKCS1_2048_8192_SHA512_ABSENT_PARAMS,
    webpki::ring::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
    webpki::ring::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
    webpki::ring::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
];

/// `pkcs-1`: all kinds of RSA keys are directly below it.
const PKCS1: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01];

/// A subjectPublicKeyInfo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SubjectKey<'a> {
    /// The contents of the algorithm identifier.
    pub(super) algorithm: &'a [u8],
    /// subjectPublicKey.
    pub(super) bits: &'a [u8],
}

impl<'a> SubjectKey<'a> {
    /// Takes the contents of the SEQUENCE.
    pub(super) fn parse(contents: &'a [u8]) -> Option<Self> {
        let mut info = Reader::new(contents);
        let algorithm = info.expect(tag::SEQUENCE)?;
        let bits = info.whole_bytes()?;
        info.end()?;
        Some(Self { algorithm, bits })
    }

    pub(super) fn is_rsa(self) -> bool {
        let name = Reader::new(self.algorithm).expect(tag::OID);
        name.is_some_and(|name| name.starts_with(PKCS1))
    }

    /// The size of an RSA key's modulus.
    pub(super) fn rsa_bits(self) -> Option<usize> {
        let mut key = Reader::new(self.bits).sequence()?;
        let modulus = key.expect(tag::INTEGER)?;
        let zeros = modulus.iter().take_while(|&&byte| byte == 0).count();
        let top = modulus.get(zeros)?;
        Some((modulus.len() - zeros) * 8 - top.leading_zeros() as usize)
    }

    /// Whether there is any kind of signature that can be verified with the key.
    pub(super) fn is_supported(self) -> bool {
        ALGORITHMS.iter().any(|algorithm| algorithm.public_key_alg_id().as_ref() == self.algorithm)
    }

    pub(super) fn digest(self) -> Digest {
        let mut context = Context::new(&SHA256);
        context.update(&(self.algorithm.len() as u64).to_be_bytes());
        context.update(self.algorithm);
        context.update(self.bits);
        finish(context)
    }
}

/// What was signed, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signed<'a> {
    /// The signed part with its header.
    pub(super) message: &'a [u8],
    /// The contents of signatureAlgorithm.
    pub(super) algorithm: &'a [u8],
    pub(super) signature: &'a [u8],
}

impl Signed<'_> {
    /// Whether the signature is of a kind that can be verified with some key.
    pub(super) fn is_supported(self) -> bool {
        ALGORITHMS.iter().any(|algorithm| algorithm.signature_alg_id().as_ref() == self.algorithm)
    }

    /// Whether `key` and the kind of signature go together, which costs nothing to find out.
    pub(super) fn may_be_by(self, key: SubjectKey<'_>) -> bool {
        self.algorithms_for(key).next().is_some()
    }

    /// Verifies the signature: one public-key operation if [`may_be_by`](Self::may_be_by), none otherwise.
    pub(super) fn is_by(self, key: SubjectKey<'_>) -> bool {
        self.algorithms_for(key).any(|algorithm| {
            algorithm.verify_signature(key.bits, self.message, self.signature).is_ok()
        })
    }

    fn algorithms_for(
        self,
        key: SubjectKey<'_>,
    ) -> impl Iterator<Item = &'static dyn SignatureVerificationAlgorithm> {
        ALGORITHMS.iter().copied().filter(move |algorithm| {
            algorithm.signature_alg_id().as_ref() == self.algorithm
                && algorithm.public_key_alg_id().as_ref() == key.algorithm
        })
    }
}
