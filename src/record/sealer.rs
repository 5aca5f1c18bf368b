//! Sealing records.

use alts_handshaker::{RecordProtocol, Role};

use super::frame::Head;
use super::layout::{HEADER_LEN, MAX_LENGTH, OVERHEAD, TAG_LEN};
use super::{AeadProvider, Counter, KeySlot, RecordError, TrafficKeys};

/// Seals the records of one direction.
///
/// When its counter ends it fails for good.
#[derive(Debug)]
pub struct Sealer {
    keys: TrafficKeys,
    counter: Counter,
    expanded: KeySlot,
}

impl Sealer {
    /// The most plaintext that a record takes so that every peer accepts it, in bytes: its length field is then 1 MiB.
    pub const MAX_PLAINTEXT: usize = MAX_LENGTH as usize - 4 - TAG_LEN;

    /// Seals what `role` sends.
    ///
    /// # Errors
    /// [`RecordError::KeyLength`] unless `key_data` has the length that `protocol` takes.
    pub fn new(protocol: RecordProtocol, key_data: &[u8], role: Role) -> Result<Self, RecordError> {
        Self::with_counter(protocol, key_data, Counter::new(role))
    }

    /// Starts at `counter` instead of the beginning. Never seal two records with one counter and key.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_counter(
        protocol: RecordProtocol,
        key_data: &[u8],
        counter: Counter,
    ) -> Result<Self, RecordError> {
        let keys = TrafficKeys::new(protocol, key_data)?;
        Ok(Self { keys, counter, expanded: KeySlot::default() })
    }

    /// Lets `provider` compute AES-GCM, in place of *ring*.
    #[must_use]
    pub fn with_aead(mut self, provider: AeadProvider) -> Self {
        self.expanded = KeySlot::new(provider);
        self
    }

    /// The counter of the next record.
    pub fn counter(&self) -> &Counter {
        &self.counter
    }

    /// Seals `plaintext` as one record at the front of `out` and says how long it is: `plaintext.len() + 24`.
    ///
    /// # Errors
    /// [`RecordError::NoRoom`] if `out` is too short, [`RecordError::TooLong`] if `plaintext` exceeds
    /// [`MAX_PLAINTEXT`](Self::MAX_PLAINTEXT), [`RecordError::CounterExhausted`] at the counter's end.
    pub fn seal(&mut self, plaintext: &[u8], out: &mut [u8]) -> Result<usize, RecordError> {
        if plaintext.len() > Self::MAX_PLAINTEXT {
            let length = u32::try_from(plaintext.len() + OVERHEAD - 4).unwrap_or(u32::MAX);
            return Err(RecordError::TooLong { length });
        }
        let needed = plaintext.len() + OVERHEAD;
        let record = out.get_mut(..needed).ok_or(RecordError::NoRoom { needed })?;
        let (keys, counter) = (&mut self.keys, &mut self.counter);
        seal_record(keys, counter, &mut self.expanded, Some(plaintext), record)?;
        Ok(needed)
    }
}

/// Makes `record` a record of `plaintext`, or of what stands in the place of its plaintext already.
///
/// # Errors
/// [`RecordError::CounterExhausted`]; then `record` is as it was.
pub(crate) fn seal_record(
    keys: &mut TrafficKeys,
    counter: &mut Counter,
    slot: &mut KeySlot,
    plaintext: Option<&[u8]>,
    record: &mut [u8],
) -> Result<(), RecordError> {
    let (key, nonce) = keys.expand(counter.current()?, slot);
    let payload_len = record.len() - OVERHEAD;
    let (header, body) = record.split_at_mut(HEADER_LEN);
    header.copy_from_slice(&Head::encode(payload_len));
    let (payload, tag) = body.split_last_chunk_mut().expect("there is room for the overhead");
    match plaintext {
        Some(plaintext) => key.seal(nonce, plaintext, payload, tag),
        None => key.seal_in_place(nonce, payload, tag),
    }
    .expect("a record is far shorter than GCM's limit");
    counter.advance(keys.protocol());
    Ok(())
}
