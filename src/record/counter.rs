//! The record number.

use alts_handshaker::{RecordProtocol, Role};

use super::RecordError;

/// Set in the last byte of the counters of records that the server sends. It is all that keeps the two directions apart:
/// both use the same keys.
const FROM_SERVER: u8 = 0x80;

/// The number of the next record in one direction: 96 bits, little-endian, taken whole as the GCM nonce.
///
/// Only its first 5 (`ALTSRP_GCM_AES128`) or 8 bytes (`ALTSRP_GCM_AES128_REKEY`) count. When they have all been used the
/// counter is dead for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counter {
    bytes: [u8; 12],
    exhausted: bool,
}

impl Counter {
    /// The first number of the direction in which `sender` sends.
    pub fn new(sender: Role) -> Self {
        let mut bytes = [0; 12];
        if sender == Role::Server {
            bytes[11] = FROM_SERVER;
        }
        Self::from_bytes(bytes)
    }

    /// A counter that stands at `bytes`: for tests, and for records that are handled outside a stream.
    pub fn from_bytes(bytes: [u8; 12]) -> Self {
        Self { bytes, exhausted: false }
    }

    /// The number that the next record takes.
    ///
    /// # Errors
    /// [`RecordError::CounterExhausted`] once the last number was used.
    pub fn current(&self) -> Result<[u8; 12], RecordError> {
        if self.exhausted { Err(RecordError::CounterExhausted) } else { Ok(self.bytes) }
    }

    /// Steps to the next number, carrying within the bytes that `protocol` counts in.
    pub fn advance(&mut self, protocol: RecordProtocol) {
        let counting = &mut self.bytes[..counting_len(protocol)];
        for byte in counting {
            *byte = byte.wrapping_add(1);
            if *byte != 0 {
                return;
            }
        }
        self.exhausted = true;
    }

    /// How many records came before, as far as 64 bits say.
    #[inline]
    pub(crate) fn records(&self) -> u64 {
        let low = self.bytes.first_chunk().expect("8 of 12 bytes");
        u64::from_le_bytes(*low)
    }
}

/// How many leading bytes of the counter carry (ALTS: 5 without rekeying, 8 with).
fn counting_len(protocol: RecordProtocol) -> usize {
    if protocol == RecordProtocol::Aes128Gcm { 5 } else { 8 }
}
