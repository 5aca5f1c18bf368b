//! AES-128-GCM over one message: each key seals exactly one, so there is no counter.

use ring::aead::{self, NONCE_LEN};
use zeroize::Zeroize;

use super::protocol::HEADER_LEN;

const KEY_LEN: usize = 16;

/// A key with its nonce, in one heap allocation, which is wiped when it is dropped.
#[derive(Clone)]
pub(super) struct MessageKey(Box<[u8; KEY_LEN + NONCE_LEN]>);

impl Drop for MessageKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// The message was not sealed with this key.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotSealed;

impl MessageKey {
    /// To be written in its place.
    pub(super) fn blank() -> Self {
        Self(Box::new([0; KEY_LEN + NONCE_LEN]))
    }

    pub(super) fn key(&self) -> &[u8; KEY_LEN] {
        self.0.first_chunk().expect("the key is at the front")
    }

    pub(super) fn key_mut(&mut self) -> &mut [u8] {
        &mut self.0[..KEY_LEN]
    }

    pub(super) fn iv(&self) -> &[u8; NONCE_LEN] {
        self.0.last_chunk().expect("the nonce is at the end")
    }

    pub(super) fn iv_mut(&mut self) -> &mut [u8] {
        &mut self.0[KEY_LEN..]
    }

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
        let key = aead::UnboundKey::new(&aead::AES_128_GCM, self.key());
        aead::LessSafeKey::new(key.expect("16 bytes are a key of AES-128"))
    }

    fn nonce(&self) -> aead::Nonce {
        aead::Nonce::assume_unique_for_key(*self.iv())
    }
}
