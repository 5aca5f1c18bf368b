//! Ephemeral key agreement: one pair per side and handshake, so that long-term keys reveal nothing afterwards.

use std::fmt;
use std::mem;

use ring::agreement::{self, EphemeralPrivateKey, UnparsedPublicKey};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroize;

use super::schedule::SharedSecret;
use crate::error::Error;

/// A key agreement with what goes with it: SHA-256 and AES-128-GCM.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Suite {
    /// X25519 (RFC 7748). Every implementation has it.
    X25519,
    /// ECDH on P-256, uncompressed points; the shared secret is the x-coordinate.
    P256,
}

impl Suite {
    /// The number on the wire.
    pub(super) fn number(self) -> u16 {
        match self {
            Self::X25519 => 0x0001,
            Self::P256 => 0x0002,
        }
    }

    fn algorithm(self) -> &'static agreement::Algorithm {
        match self {
            Self::X25519 => &agreement::X25519,
            Self::P256 => &agreement::ECDH_P256,
        }
    }
}

/// Where a handshake takes what must never repeat from. *ring* does not let tests choose it, hence this seam.
pub(crate) trait Ephemerals: Send + Sync + fmt::Debug {
    /// The `random` of a hello.
    fn random(&self) -> Result<[u8; 32], Error>;

    /// A fresh key pair.
    fn key_share(&self, suite: Suite) -> Result<Box<dyn KeyShare>, Error>;
}

/// Half of an agreement.
pub(crate) trait KeyShare: Send {
    fn suite(&self) -> Suite;

    /// What the peer gets.
    fn public(&self) -> &[u8];

    /// Consumes the private key. A share that is no point, or that makes the secret predictable, is refused.
    fn agree(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error>;
}

/// The operating system's randomness.
#[derive(Debug)]
pub(crate) struct SystemEphemerals;

impl Ephemerals for SystemEphemerals {
    fn random(&self) -> Result<[u8; 32], Error> {
        let mut random = [0; 32];
        SystemRandom::new().fill(&mut random).map_err(|_| no_randomness())?;
        Ok(random)
    }

    fn key_share(&self, suite: Suite) -> Result<Box<dyn KeyShare>, Error> {
        Ok(Box::new(RingShare::generate(suite, &SystemRandom::new())?))
    }
}

fn no_randomness() -> Error {
    Error::Unavailable("the operating system gives no randomness".to_owned())
}

/// As long as a private key of *ring*, in words.
const KEY_WORDS: usize = size_of::<EphemeralPrivateKey>().div_ceil(8);

pub(super) struct RingShare {
    suite: Suite,
    private: Place,
    public: agreement::PublicKey,
}

/// Where a private key is. *ring* does not wipe it, and a key that is moved out of its place stays behind there; so zeros take it.
enum Place {
    Key(EphemeralPrivateKey),
    Zeros([u64; KEY_WORDS]),
}

impl Place {
    fn take(&mut self) -> Option<EphemeralPrivateKey> {
        let was = mem::replace(self, Self::Zeros([0; KEY_WORDS]));
        if let Self::Zeros(zeros) = self {
            // So that the compiler does not leave them out.
            zeros.zeroize();
        }
        match was {
            Self::Key(key) => Some(key),
            Self::Zeros(_) => None,
        }
    }
}

impl RingShare {
    pub(super) fn generate(suite: Suite, random: &dyn SecureRandom) -> Result<Self, Error> {
        let private = EphemeralPrivateKey::generate(suite.algorithm(), random)
            .map_err(|_| no_randomness())?;
        let public = private.compute_public_key().map_err(|_| no_randomness())?;
        Ok(Self { suite, private: Place::Key(private), public })
    }
}

impl Drop for RingShare {
    /// Of a handshake that did not come to an agreement.
    fn drop(&mut self) {
        self.private.take();
    }
}

impl KeyShare for RingShare {
    fn suite(&self) -> Suite {
        self.suite
    }

    fn public(&self) -> &[u8] {
        self.public.as_ref()
    }

    fn agree(mut self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let private = self.private.take().expect("it is there until here");
        let peer = UnparsedPublicKey::new(self.suite.algorithm(), peer);
        // ring checks the length, that a point is on the curve, and that an X25519 secret is not all zero.
        agreement::agree_ephemeral(private, &peer, |secret| {
            let secret = secret.first_chunk().expect("both suites make 32 bytes");
            SharedSecret::copy_of(secret)
        })
        .map_err(|_| Error::decrypt("the peer's key share is not valid"))
    }
}
