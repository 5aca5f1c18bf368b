//! What an observer is told of a connection: what it receives and sends.

use alts_handshaker::RecordProtocol;

use super::channel::{Channel, Direction};
use super::receive::Receiving;
use super::send::Sending;
use crate::observer::Traffic;
use crate::record::OVERHEAD;

/// Under `ALTSRP_GCM_AES128_REKEY` a key is for so many records: 2 to the power of this.
const RECORDS_PER_KEY_BITS: u32 = 16;

impl<S: Direction> Channel<Receiving, S> {
    /// Tells the observer, if there is one, of what was received since there were `before` records.
    #[inline]
    pub(super) fn note_received(&self, before: u64, bytes: usize) {
        if let Some(observer) = &self.terms.observer {
            let now = self.receiving.records();
            let traffic = traffic(self.keys.protocol(), before, now, bytes);
            if traffic != Traffic::default() {
                observer.received(traffic);
            }
        }
    }
}

impl<R: Direction> Channel<R, Sending> {
    /// Tells the observer, if there is one, of records with so much payload that were just sealed, `wire_len` bytes in all.
    #[inline]
    pub(super) fn note_sent(&self, bytes: usize, wire_len: usize) {
        if let Some(observer) = &self.terms.observer {
            let now = self.sending.records();
            let before = now.saturating_sub(((wire_len - bytes) / OVERHEAD) as u64);
            observer.sent(traffic(self.keys.protocol(), before, now, bytes));
        }
    }
}

fn traffic(protocol: RecordProtocol, before: u64, now: u64, bytes: usize) -> Traffic {
    // The key of the last of so many records, by number.
    let key = |records: u64| records.saturating_sub(1) >> RECORDS_PER_KEY_BITS;
    let rekeys = match protocol {
        RecordProtocol::Aes128Gcm => 0,
        _ => key(now) - key(before),
    };
    Traffic { records: now - before, bytes: bytes as u64, rekeys }
}
