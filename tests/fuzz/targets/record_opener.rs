//! The record opener over arbitrary splits of a stream that was tampered with, against a model that knows which records were
//! sealed and nothing of cryptography: a record opens exactly if it is the next one, byte for byte.

use alts::handshaker::{RecordProtocol, Role};
use alts::record::{Counter, Opened, Opener, RecordError, Sealer};

use crate::MANY;
use crate::choices::Choices;

/// What was sealed, in order.
struct Sealed {
    plaintext: Vec<u8>,
    record: Vec<u8>,
}

/// The opener, by the specification's words.
struct Model {
    sealed: Vec<Sealed>,
    opened: usize,
    /// No number is left behind the last record.
    at_end: bool,
}

/// The whole record at the front of `bytes`, if it is there.
pub(crate) fn frame(bytes: &[u8]) -> Result<Option<usize>, RecordError> {
    let word = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().unwrap()));
    let Some(length) = word(0) else { return Ok(None) };
    match (length, word(4)) {
        (..20, _) => Err(RecordError::TooShort { length }),
        (0x10_0001.., _) => Err(RecordError::TooLong { length }),
        (_, Some(found)) if found != 6 => Err(RecordError::WrongType { found }),
        _ => Ok(Some(4 + length as usize).filter(|&len| len <= bytes.len())),
    }
}

impl Model {
    fn open(&mut self, record: &[u8]) -> Result<&[u8], RecordError> {
        match self.sealed.get(self.opened) {
            Some(next) if next.record == record => {
                self.opened += 1;
                Ok(&next.plaintext)
            }
            None if self.at_end => Err(RecordError::CounterExhausted),
            _ => Err(RecordError::Authentication),
        }
    }
}

struct Run<'a> {
    choices: Choices<'a>,
    sealer: Sealer,
    opener: Opener,
    model: Model,
    wire: Vec<u8>,
    failed: Option<RecordError>,
}

impl<'a> Run<'a> {
    fn new(mut choices: Choices<'a>) -> Self {
        let protocol = choices.pick(&[RecordProtocol::Aes128GcmRekey, RecordProtocol::Aes128Gcm]);
        let role = choices.pick(&[Role::Client, Role::Server]);
        let mut key = vec![0x5a; protocol.key_len()];
        key[0] = choices.byte();
        let mut counter = [0; 12];
        match choices.below(4) {
            // Soon in the next epoch.
            1 => counter[..2].copy_from_slice(&[0xfe, 0xff]),
            // Soon at the end.
            2 => counter[..if protocol == RecordProtocol::Aes128Gcm { 5 } else { 8 }].fill(0xff),
            3 => counter[..8].copy_from_slice(&choices.array::<8>()),
            _ => {}
        }
        if choices.one_in(2) {
            counter[0] = counter[0].wrapping_sub(3);
        }
        counter[11] = if role == Role::Server { 0x80 } else { 0 };
        let counter = Counter::from_bytes(counter);
        let sealer = Sealer::with_counter(protocol, &key, counter.clone()).unwrap();
        let opener = Opener::with_counter(protocol, &key, counter).unwrap();
        let model = Model { sealed: Vec::new(), opened: 0, at_end: false };
        Self { choices, sealer, opener, model, wire: Vec::new(), failed: None }
    }

    fn seal(&mut self) -> Vec<u8> {
        let len = if self.choices.one_in(64) { 1 << 16 } else { self.choices.below(300) };
        let plaintext = vec![self.choices.byte(); len];
        let mut record = vec![0; len + 24];
        match self.sealer.seal(&plaintext, &mut record) {
            Ok(written) => assert_eq!(written, record.len()),
            Err(error) => {
                assert!(self.model.at_end && error == RecordError::CounterExhausted);
                // What some other sealer might send.
                return [&[20, 0, 0, 0, 6, 0, 0, 0][..], &[7; 16]].concat();
            }
        }
        self.model.at_end = self.sealer.counter().current().is_err();
        self.model.sealed.push(Sealed { plaintext, record: record.clone() });
        record
    }

    /// The path between the two: mostly it does its duty.
    fn send(&mut self) {
        let mut record = self.seal();
        let choices = &mut self.choices;
        match choices.below(16) {
            10 => record.clear(),
            11 => {
                let at = choices.below(record.len());
                record[at] ^= choices.byte();
            }
            12 => record.truncate(choices.below(record.len())),
            13 => record = choices.bytes(40).to_vec(),
            14 => record.extend_from_within(..),
            15 => {
                // The header tells another length, and so many bytes are there.
                let len = 24 + choices.below(300);
                record[..4].copy_from_slice(&(len as u32 - 4).to_le_bytes());
                record.resize(len, 0);
            }
            _ => {}
        }
        self.wire.append(&mut record);
    }

    /// Hands the front of the wire to the opener, as it would lie in a buffer.
    fn receive(&mut self) {
        let len = match self.choices.below(3) {
            0 => self.wire.len(),
            _ => self.choices.below(self.wire.len() + 1),
        };
        if self.choices.one_in(8) {
            return self.receive_one(len);
        }
        let mut buffer = self.wire[..len].to_vec();
        let mut expected = Opened { plaintext: 0, consumed: 0, records: 0 };
        let mut plaintext = Vec::new();
        let mut failure = self.failed;
        while failure.is_none() {
            match frame(&self.wire[expected.consumed..len]) {
                Ok(None) => break,
                Ok(Some(len)) => {
                    let record = &self.wire[expected.consumed..expected.consumed + len];
                    match self.model.open(record) {
                        Ok(opened) => plaintext.extend_from_slice(opened),
                        Err(error) => failure = Some(error),
                    }
                    if failure.is_none() {
                        expected.consumed += len;
                        expected.records += 1;
                    }
                }
                Err(error) => failure = Some(error),
            }
        }
        expected.plaintext = plaintext.len();
        let result = self.opener.open_packed(&mut buffer);
        assert_eq!(result, failure.map_or(Ok(expected), Err));
        self.failed = failure;
        if failure.is_none() {
            assert!(buffer[..plaintext.len()] == plaintext, "other bytes");
            assert!(buffer[expected.consumed..] == self.wire[expected.consumed..len]);
            self.wire.drain(..expected.consumed);
        }
    }

    /// The same with the call that wants exactly one record.
    fn receive_one(&mut self, len: usize) {
        let mut record = self.wire[..len].to_vec();
        let expected = match (self.failed, frame(&record)) {
            (Some(error), _) | (None, Err(error)) => Err(error),
            (None, Ok(Some(frame))) if frame == len => self.model.open(&record).map(<[u8]>::to_vec),
            _ => Err(RecordError::NotOneRecord),
        };
        let opened = self.opener.open_in_place(&mut record).map(|plaintext| plaintext.to_vec());
        assert_eq!(opened, expected);
        self.failed = expected.err();
        if self.failed.is_none() {
            self.wire.drain(..len);
        }
    }
}

#[test]
fn record_opener() {
    bolero::check!(name = "record_opener").with_iterations(MANY).for_each(|input: &[u8]| {
        let mut run = Run::new(Choices::new(input));
        while !run.choices.are_over() {
            match run.choices.below(3) {
                0 => run.receive(),
                _ => run.send(),
            }
        }
        run.receive();
        run.receive();
    });
}
