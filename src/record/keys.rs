//! From key material to AES keys and nonces.

use std::fmt;

use alts_handshaker::RecordProtocol;
use ring::hmac;
use zeroize::Zeroize;

use super::RecordError;
use super::aead::{AES_KEY_LEN, AeadKey, AeadProvider, NONCE_LEN};

/// Key material of `ALTSRP_GCM_AES128_REKEY`: a 32-byte KDF key and a 12-byte nonce mask.
const MATERIAL_LEN: usize = KDF_KEY_LEN + 12;
const KDF_KEY_LEN: usize = 32;

/// What a connection keeps of its keys while it is idle: the material, and the AES key of the last epoch used, which saves an
/// HMAC at each wake-up. No expanded key is in here. An epoch is the run of records that share an AES key: bytes 2 to 7 of
/// the counter.
#[derive(Clone)]
pub(crate) struct TrafficKeys {
    material: [u8; MATERIAL_LEN],
    aes_key: [u8; AES_KEY_LEN],
    epoch: [u8; 6],
    protocol: RecordProtocol,
}

impl TrafficKeys {
    pub(crate) fn new(protocol: RecordProtocol, key_data: &[u8]) -> Result<Self, RecordError> {
        let expected = protocol.key_len();
        if key_data.len() != expected {
            return Err(RecordError::KeyLength { expected, found: key_data.len() });
        }
        let mut material = [0; MATERIAL_LEN];
        material[..expected].copy_from_slice(key_data);
        let mut keys = Self { material, aes_key: [0; AES_KEY_LEN], epoch: [0; 6], protocol };
        keys.aes_key = keys.derive(keys.epoch);
        Ok(keys)
    }

    pub(crate) fn protocol(&self) -> RecordProtocol {
        self.protocol
    }

    /// The AES key of an epoch. With rekeying it is the first block of HKDF-Expand (RFC 5869) over the epoch, of which 16
    /// bytes are used; without, the material is the key.
    fn derive(&self, epoch: [u8; 6]) -> [u8; AES_KEY_LEN] {
        let mut key = [0; AES_KEY_LEN];
        if self.protocol == RecordProtocol::Aes128Gcm {
            key.copy_from_slice(&self.material[..AES_KEY_LEN]);
        } else {
            let kdf_key = hmac::Key::new(hmac::HMAC_SHA256, &self.material[..KDF_KEY_LEN]);
            let mut info = [1; 7];
            info[..6].copy_from_slice(&epoch);
            key.copy_from_slice(&hmac::sign(&kdf_key, &info).as_ref()[..AES_KEY_LEN]);
        }
        key
    }

    /// The epoch that a counter belongs to.
    pub(crate) fn epoch_of(&self, counter: [u8; 12]) -> [u8; 6] {
        if self.protocol == RecordProtocol::Aes128Gcm {
            return [0; 6];
        }
        let [_, _, epoch @ .., _, _, _, _] = counter;
        epoch
    }

    fn rekeys(&self) -> bool {
        self.protocol != RecordProtocol::Aes128Gcm
    }

    /// The last 12 bytes of the material, with which nonces are masked; zeros where the protocol has no mask.
    fn mask(&self) -> [u8; NONCE_LEN] {
        *self.material.last_chunk().expect("the material is longer than a mask")
    }

    /// The nonce for a counter: masked with the last 12 bytes of the material where the protocol has a mask.
    fn nonce(&self, counter: [u8; 12]) -> [u8; NONCE_LEN] {
        let mut nonce = counter;
        if self.protocol != RecordProtocol::Aes128Gcm {
            for (byte, mask) in nonce.iter_mut().zip(&self.material[KDF_KEY_LEN..]) {
                *byte ^= mask;
            }
        }
        nonce
    }

    /// The expanded key for `counter`, which `slot` keeps until the epoch ends, and the nonce.
    pub(super) fn expand<'slot>(
        &mut self,
        counter: [u8; 12],
        slot: &'slot mut KeySlot,
    ) -> (&'slot AeadKey, [u8; NONCE_LEN]) {
        let epoch = self.epoch_of(counter);
        let nonce = self.nonce(counter);
        if slot.held.as_ref().is_none_or(|held| held.epoch != epoch) {
            if self.epoch != epoch {
                self.aes_key = self.derive(epoch);
                self.epoch = epoch;
            }
            let key = AeadKey::expand(slot.provider, &self.aes_key);
            slot.held = Some(EpochKey { epoch, aes_key: self.aes_key, mask: self.mask(), key });
        }
        let held = slot.held.as_ref().expect("the slot was filled above");
        (&held.key, nonce)
    }
}

impl Drop for TrafficKeys {
    fn drop(&mut self) {
        self.material.zeroize();
        self.aes_key.zeroize();
    }
}

impl fmt::Debug for TrafficKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrafficKeys").field("protocol", &self.protocol).finish_non_exhaustive()
    }
}

/// Room for one expanded key, and whose code it is for. 600 bytes, so only there while records move.
#[derive(Debug, Default)]
pub(crate) struct KeySlot {
    provider: AeadProvider,
    held: Option<EpochKey>,
}

impl KeySlot {
    pub(crate) fn new(provider: AeadProvider) -> Self {
        Self { provider, held: None }
    }

    /// Whether it is empty or has the key of `epoch`.
    pub(crate) fn is_free_for(&self, epoch: [u8; 6]) -> bool {
        self.held.as_ref().is_none_or(|held| held.epoch == epoch)
    }

    /// Whether what it has belongs to the connection of `keys`, in whatever epoch.
    pub(crate) fn belongs_to(&self, keys: &TrafficKeys) -> bool {
        // Without rekeying there is no mask, and one AES key.
        self.held.as_ref().is_some_and(|held| {
            held.mask == keys.mask() && (keys.rekeys() || held.aes_key == keys.aes_key)
        })
    }

    /// Whether what it has was expanded from the AES key that `keys` used last.
    pub(crate) fn is_current_of(&self, keys: &TrafficKeys) -> bool {
        self.held.as_ref().is_some_and(|held| held.aes_key == keys.aes_key)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held.is_none()
    }

    pub(crate) fn clear(&mut self) {
        self.held = None;
    }

    /// An empty one for the same provider.
    pub(crate) fn another(&self) -> Self {
        Self::new(self.provider)
    }
}

/// An expanded AES key and the epoch it serves: the same in both directions while they are in the same epoch. ring does not
/// wipe it.
struct EpochKey {
    epoch: [u8; 6],
    aes_key: [u8; AES_KEY_LEN],
    /// The connection's nonce mask, which is the same in all epochs.
    mask: [u8; NONCE_LEN],
    key: AeadKey,
}

impl Drop for EpochKey {
    fn drop(&mut self) {
        self.aes_key.zeroize();
        self.mask.zeroize();
    }
}

impl fmt::Debug for EpochKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EpochKey").finish_non_exhaustive()
    }
}

/// Secrets do not outlive what holds them. The memory is looked at from outside, as a debugger would.
#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use super::*;

    fn memory<const LEN: usize>(address: usize) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        let memory = File::open("/proc/self/mem").unwrap();
        memory.read_exact_at(&mut bytes, address as u64).unwrap();
        bytes
    }

    fn keys() -> TrafficKeys {
        TrafficKeys::new(RecordProtocol::Aes128GcmRekey, &[0xA5; MATERIAL_LEN]).unwrap()
    }

    #[test]
    fn traffic_keys_are_wiped() {
        // A vector keeps its memory when it is cleared.
        let mut kept = vec![keys()];
        let material = kept[0].material.as_ptr().addr();
        let aes_key = kept[0].aes_key.as_ptr().addr();
        assert_eq!(memory(material), [0xA5; MATERIAL_LEN]);
        assert_ne!(memory(aes_key), [0; AES_KEY_LEN]);
        kept.clear();
        assert_eq!(memory(material), [0; MATERIAL_LEN]);
        assert_eq!(memory(aes_key), [0; AES_KEY_LEN]);
    }

    #[test]
    fn what_goes_with_an_expanded_key_is_wiped() {
        let mut kept = vec![KeySlot::default()];
        keys().expand([0; 12], &mut kept[0]);
        let held = kept[0].held.as_ref().unwrap();
        let (aes_key, mask) = (held.aes_key.as_ptr().addr(), held.mask.as_ptr().addr());
        assert_ne!(memory(aes_key), [0; AES_KEY_LEN]);
        assert_eq!(memory(mask), [0xA5; NONCE_LEN]);
        kept.clear();
        assert_eq!(memory(aes_key), [0; AES_KEY_LEN]);
        assert_eq!(memory(mask), [0; NONCE_LEN]);
    }
}
