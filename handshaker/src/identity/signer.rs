//! Private keys.

use std::fmt;

use super::error::IdentityError;
use super::key::SignatureScheme;

/// Signs handshakes. The key may live in this process ([`PrivateKey`]) or elsewhere: an agent, an HSM.
///
/// Signing happens where the handshake is driven and should be quick.
pub trait Signer: Send + Sync + fmt::Debug {
    /// What the key can do, in order of preference. The same at every call.
    fn schemes(&self) -> &[SignatureScheme];

    /// Signs `message` with one of [`schemes`](Self::schemes).
    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, IdentityError>;
}

/// A private key in this process.
pub struct PrivateKey {
    scheme: [SignatureScheme; 1],
}

impl PrivateKey {
    /// Reads the one private key in `pem`.
    pub fn from_pem(_pem: &[u8]) -> Result<Self, IdentityError> {
        Err(IdentityError::NoPrivateKey)
    }
}

impl Signer for PrivateKey {
    fn schemes(&self) -> &[SignatureScheme] {
        &self.scheme
    }

    fn sign(&self, _scheme: SignatureScheme, _message: &[u8]) -> Result<Vec<u8>, IdentityError> {
        Err(IdentityError::Sign(String::new()))
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({:?})", self.scheme[0])
    }
}
