//! Payload to records.

use std::io;

use alts_handshaker::RecordProtocol;

use super::gather::Gather;
use super::{MAX_WRITE_BATCH, Sending};
use crate::error::Error;
use crate::record::{HEADER_LEN, OVERHEAD, RecordError, seal_record};
use crate::stream::channel::{Channel, Direction, MAX_PLAIN_RECORDS};
use crate::stream::moving::Moving;

impl<R: Direction> Channel<R, Sending> {
    /// The most payload that is sealed at once.
    pub(super) fn batch(&self) -> usize {
        self.terms.options.write_batch.clamp(1, MAX_WRITE_BATCH)
    }

    /// How much of `total` bytes of payload is sealed now: all of it, or as many whole records as a batch holds. A record that only fills up
    /// the batch would cost as much as any other.
    pub(super) fn share(&self, total: usize) -> usize {
        let (batch, record) = (self.batch(), self.terms.max_payload());
        match total <= batch {
            true => total,
            false if batch < record => batch,
            false => batch - batch % record,
        }
    }

    /// The length of the records for so much payload. No payload is one empty record.
    pub(super) fn wire_len(&self, payload: usize) -> usize {
        payload + payload.div_ceil(self.terms.max_payload()).max(1) * OVERHEAD
    }

    /// Seals the first `count` bytes of `payload` into `batch`, which has just enough room. Returns how many bytes of the
    /// payload were taken and how long the records are.
    pub(super) fn seal(
        &mut self,
        batch: &mut [u8],
        payload: &[io::IoSlice<'_>],
        count: usize,
    ) -> io::Result<(usize, usize)> {
        let max_payload = self.terms.max_payload();
        let mut payload = Gather::new(payload);
        let mut taken = 0;
        let mut records_len = 0;
        for record in batch.chunks_mut(max_payload + OVERHEAD) {
            let len = (count - taken).min(max_payload);
            let plaintext = payload.contiguous(len);
            if plaintext.is_none() {
                payload.copy_to(&mut record[HEADER_LEN..HEADER_LEN + len]);
            }
            match self.seal_next(plaintext, record) {
                Ok(()) => {}
                Err(_) if taken > 0 => break,
                Err(error) => return Err(Error::Record(error).into()),
            }
            taken += len;
            records_len += record.len();
        }
        self.note_sent(taken, records_len);
        Ok((taken, records_len))
    }

    /// Seals `plaintext`, or what is in its place in `record` already.
    fn seal_next(
        &mut self,
        plaintext: Option<&[u8]>,
        record: &mut [u8],
    ) -> Result<(), RecordError> {
        let counter = &mut self.sending.counter;
        let plain = self.keys.protocol() == RecordProtocol::Aes128Gcm;
        if plain && counter.records() >= MAX_PLAIN_RECORDS {
            return Err(RecordError::KeyExhausted);
        }
        let epoch = self.keys.epoch_of(counter.current()?);
        let aead = self.terms.options.aead;
        let moving = self.moving.get_or_insert_with(|| Moving::resume(&self.keys, aead));
        moving.with_seal_key(epoch, |slot| {
            seal_record(&mut self.keys, counter, slot, plaintext, record)
        })
    }
}
