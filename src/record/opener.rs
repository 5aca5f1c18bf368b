//! Opening records.

use std::ops::Range;

use alts_handshaker::{RecordProtocol, Role};

use super::frame::Head;
use super::layout::{HEADER_LEN, OVERHEAD};
use super::{AeadProvider, Counter, KeySlot, RecordError, TrafficKeys};

/// Opens the records of one direction.
///
/// The first failure is final: every later call repeats it.
#[derive(Debug)]
pub struct Opener {
    keys: TrafficKeys,
    counter: Counter,
    expanded: KeySlot,
    failed: Option<RecordError>,
}

/// What [`Opener::open_packed`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Plaintext at the front of the buffer, in bytes.
    pub plaintext: usize,
    /// Bytes of whole records that were used up. What follows them is an incomplete record.
    pub consumed: usize,
    /// How many records that was; some may have been empty.
    pub records: usize,
}

impl Opener {
    /// Opens what the peer of `role` sends.
    ///
    /// # Errors
    /// [`RecordError::KeyLength`] unless `key_data` has the length that `protocol` takes.
    pub fn new(protocol: RecordProtocol, key_data: &[u8], role: Role) -> Result<Self, RecordError> {
        Self::with_counter(protocol, key_data, Counter::new(role.peer()))
    }

    /// Starts at `counter` instead of the beginning.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_counter(
        protocol: RecordProtocol,
        key_data: &[u8],
        counter: Counter,
    ) -> Result<Self, RecordError> {
        let keys = TrafficKeys::new(protocol, key_data)?;
        Ok(Self { keys, counter, expanded: KeySlot::default(), failed: None })
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

    /// Opens `record`, which is one whole record with its header, in place.
    ///
    /// # Errors
    /// [`RecordError`]; all are final.
    pub fn open_in_place<'record>(
        &mut self,
        record: &'record mut [u8],
    ) -> Result<&'record mut [u8], RecordError> {
        self.first_failure()?;
        let whole = match Head::parse(record) {
            Ok(Head::Record { wire_len }) if wire_len == record.len() => 0..wire_len,
            Ok(_) => return Err(self.fail(RecordError::NotOneRecord)),
            Err(error) => return Err(self.fail(error)),
        };
        let plaintext = self.open(record, whole, HEADER_LEN)?;
        Ok(&mut record[plaintext])
    }

    /// Opens all whole records in `buffer` and packs their plaintext at its front. An incomplete record at the end stays
    /// where it is, from [`Opened::consumed`] on.
    ///
    /// # Errors
    /// [`RecordError`] as soon as one record is bad, or the incomplete one cannot become good; final.
    pub fn open_packed(&mut self, buffer: &mut [u8]) -> Result<Opened, RecordError> {
        self.first_failure()?;
        let mut opened = Opened { plaintext: 0, consumed: 0, records: 0 };
        loop {
            let rest = &buffer[opened.consumed..];
            match Head::parse(rest) {
                Ok(Head::Record { wire_len }) if wire_len <= rest.len() => {
                    let record = opened.consumed..opened.consumed + wire_len;
                    opened.plaintext = self.open(buffer, record, opened.plaintext)?.end;
                    opened.consumed += wire_len;
                    opened.records += 1;
                }
                Ok(_) => return Ok(opened),
                Err(error) => return Err(self.fail(error)),
            }
        }
    }

    fn open(
        &mut self,
        buffer: &mut [u8],
        record: Range<usize>,
        to: usize,
    ) -> Result<Range<usize>, RecordError> {
        open_record(&mut self.keys, &mut self.counter, &mut self.expanded, buffer, record, to)
            .map_err(|error| self.fail(error))
    }

    fn first_failure(&self) -> Result<(), RecordError> {
        self.failed.map_or(Ok(()), Err)
    }

    fn fail(&mut self, error: RecordError) -> RecordError {
        self.expanded.clear();
        *self.failed.get_or_insert(error)
    }
}

/// Opens the whole record at `record` in `buffer` and puts its plaintext at `to`, which is at most where the ciphertext
/// starts. The header has been checked. The result is where the plaintext is.
pub(crate) fn open_record(
    keys: &mut TrafficKeys,
    counter: &mut Counter,
    slot: &mut KeySlot,
    buffer: &mut [u8],
    record: Range<usize>,
    to: usize,
) -> Result<Range<usize>, RecordError> {
    let plaintext_len = record.len() - OVERHEAD;
    let (key, nonce) = keys.expand(counter.current()?, slot);
    let ciphertext = record.start + HEADER_LEN - to;
    key.open_within(nonce, &mut buffer[to..record.end], ciphertext)
        .map_err(|_| RecordError::Authentication)?;
    counter.advance(keys.protocol());
    Ok(to..to + plaintext_len)
}
