//! AES-128-GCM over one message: each key seals exactly one, so there is no counter.

use ring::aead;
use zeroize::{Zeroize, ZeroizeOnDrop};

use super::protocol::HEADER_LEN;

/// A key with its nonce.
#[derive(Clone, Default, Zeroize, ZeroizeOnDrop)]
pub(super) struct MessageKey {
    pub(super) key: [u8; 16],
    pub(super) iv: [u8; aead::NONCE_LEN],
}

/// The message was not sealed with this key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotSealed;

impl MessageKey {
    /// Turns `message[HEADER_LEN..]` from plaintext into ciphertext and appends the tag. Consumes the key: the nonce is used.
    pub(super) fn seal(self, message: &mut Vec<u8>, start: usize) {
        let (header, plaintext) = message[start..].split_at_mut(HEADER_LEN);
        let tag = self
            .aead()
            .seal_in_place_separate_tag(self.nonce(), aead::Aad::from(header), plaintext)
            .expect("a handshake message is far below the longest plaintext of GCM");
        message.extend_from_slice(tag.as_ref());
    }

    /// Opens in place; the header is authenticated as well.
    pub(super) fn open<'a>(
        &self,
        header: &[u8],
        sealed: &'a mut [u8],
    ) -> Result<&'a mut [u8], NotSealed> {
        self.aead()
            .open_in_place(self.nonce(), aead::Aad::from(header), sealed)
            .map_err(|_| NotSealed)
    }

    fn aead(&self) -> aead::LessSafeKey {
        let key = aead::UnboundKey::new(&aead::AES_128_GCM, &self.key);
        aead::LessSafeKey::new(key.expect("16 bytes are a key of AES-128"))
    }

    fn nonce(&self) -> aead::Nonce {
        aead::Nonce::assume_unique_for_key(self.iv)
    }
}
