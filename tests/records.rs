//! The record protocol against vectors of other implementations, at its limits, and against whoever changes records on their
//! way. `vectors.json` holds grpc-go's and grpc-java's test vectors and frames that grpc-go produced.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod support;

use alts::handshaker::{RecordProtocol, Role};
use alts::pool::BufferPool;
use alts::record::{AeadProvider, Counter, MAX_LENGTH, Opened, Opener, RecordError, Sealer};
use ring::{aead, hmac};
use serde_json::Value;
use support::by_hand::{altered, seal, take_records};
use support::rng::Rng;
use support::wire::wires;
use support::{Parties, pattern};
use tokio::io::AsyncWriteExt;

const REKEY: RecordProtocol = RecordProtocol::Aes128GcmRekey;
const PLAIN: RecordProtocol = RecordProtocol::Aes128Gcm;

// Vectors.

struct Rows(Vec<Value>);

fn rows(section: &str) -> Rows {
    let all: Value = serde_json::from_str(include_str!("vectors.json")).unwrap();
    let rows = all[section].as_array().unwrap().clone();
    assert!(!rows.is_empty());
    Rows(rows)
}

fn hex(row: &Value, field: &str) -> Vec<u8> {
    let text = row[field].as_str().unwrap_or_else(|| panic!("{row} has no {field}"));
    assert!(text.len().is_multiple_of(2));
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}

fn counter(row: &Value, field: &str) -> Counter {
    Counter::from_bytes(hex(row, field).try_into().unwrap())
}

fn number(row: &Value, field: &str) -> usize {
    usize::try_from(row[field].as_u64().unwrap()).unwrap()
}

/// AES-128-GCM with nothing of ours around it: ciphertext and tag.
fn gcm(key: &[u8], nonce: [u8; 12], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let key = aead::LessSafeKey::new(aead::UnboundKey::new(&aead::AES_128_GCM, key).unwrap());
    let nonce = aead::Nonce::assume_unique_for_key(nonce);
    let mut sealed = plaintext.to_vec();
    key.seal_in_place_append_tag(nonce, aead::Aad::from(aad), &mut sealed).unwrap();
    sealed
}

/// A record of `ALTSRP_GCM_AES128_REKEY`, computed from the definition of the protocol. The vectors vouch for it.
fn reference(material: &[u8], counter: [u8; 12], plaintext: &[u8]) -> Vec<u8> {
    let kdf = hmac::Key::new(hmac::HMAC_SHA256, &material[..32]);
    let aes_key = hmac::sign(&kdf, &[&counter[2..8], &[1]].concat());
    let mut nonce = counter;
    nonce.iter_mut().zip(&material[32..]).for_each(|(byte, mask)| *byte ^= mask);
    frame(&gcm(&aes_key.as_ref()[..16], nonce, b"", plaintext))
}

fn frame(body: &[u8]) -> Vec<u8> {
    [&(4 + body.len() as u32).to_le_bytes()[..], &[6, 0, 0, 0], body].concat()
}

/// Seals and opens at one counter, and opens nowhere else, whoever computes AES-GCM.
fn check_record(
    protocol: RecordProtocol,
    key: &[u8],
    counter: &Counter,
    plaintext: &[u8],
    record: &[u8],
) {
    for &aead in AeadProvider::ALL {
        let sealer = Sealer::with_counter(protocol, key, counter.clone()).unwrap();
        let mut sealer = sealer.with_aead(aead);
        assert_eq!(seal(&mut sealer, plaintext), record);
        let opener = |counter: &Counter| {
            Opener::with_counter(protocol, key, counter.clone()).unwrap().with_aead(aead)
        };
        assert_eq!(opener(counter).open_in_place(&mut record.to_vec()).unwrap(), plaintext);
        let mut packed = record.to_vec();
        let done = Opened { plaintext: plaintext.len(), consumed: record.len(), records: 1 };
        assert_eq!(opener(counter).open_packed(&mut packed), Ok(done));
        assert_eq!(packed[..plaintext.len()], *plaintext);

        let mut next = counter.clone();
        next.advance(protocol);
        assert_eq!(sealer.counter(), &next);
        let refused = Err(RecordError::Authentication);
        assert_eq!(opener(&next).open_in_place(&mut record.to_vec()), refused);
    }
}

#[test]
fn records_without_rekeying_are_those_of_the_vectors() {
    for row in rows("gcm").0 {
        let record = frame(&[hex(&row, "ciphertext"), hex(&row, "tag")].concat());
        let plaintext = hex(&row, "plaintext");
        check_record(PLAIN, &hex(&row, "key"), &counter(&row, "counter"), &plaintext, &record);
    }
}

/// Records have no additional data, and most vectors of the rekeying AEAD do. What they say about keys and nonces is checked
/// in two steps: our record is what AES-128-GCM makes of the plaintext under the derived key and nonce that the vector states,
/// and with its additional data the same key and nonce make the vector's ciphertext.
#[test]
fn records_with_rekeying_are_those_of_the_vectors() {
    let rows = rows("rekey_aead").0;
    assert_eq!(rows.len(), 24);
    let mut without_aad = 0;
    for row in rows {
        let key = hex(&row, "key");
        let counter = counter(&row, "nonce");
        let (aad, plaintext) = (hex(&row, "aad"), hex(&row, "plaintext"));
        let ciphertext = hex(&row, "ciphertext");
        let derived = hex(&row, "derived_aes_key");
        let nonce = hex(&row, "gcm_nonce").try_into().unwrap();

        assert_eq!(gcm(&derived, nonce, &aad, &plaintext), ciphertext, "{}", row["desc"]);
        let record = frame(&gcm(&derived, nonce, b"", &plaintext));
        check_record(REKEY, &key, &counter, &plaintext, &record);
        assert_eq!(reference(&key, counter.current().unwrap(), &plaintext), record);
        // The tag depends on the additional data, the ciphertext does not.
        assert_eq!(record[8..8 + plaintext.len()], ciphertext[..plaintext.len()]);
        if aad.is_empty() {
            assert_eq!(record, frame(&ciphertext));
            without_aad += 1;
        }
    }
    assert_eq!(without_aad, 3);
}

#[test]
fn frames_of_grpc_go() {
    let rows = rows("frames").0;
    assert_eq!(rows.len(), 7);
    let mut runs: Vec<(String, Sealer, Opener)> = Vec::new();
    for row in rows {
        let (key, plaintext, record) =
            (hex(&row, "key"), hex(&row, "plaintext"), hex(&row, "frame"));
        let counter = counter(&row, "counter");
        check_record(REKEY, &key, &counter, &plaintext, &record);
        let nonce = hex(&row, "gcm_nonce").try_into().unwrap();
        assert_eq!(frame(&gcm(&hex(&row, "derived_aes_key"), nonce, b"", &plaintext)), record);

        // The same as part of a run from the beginning.
        let name = row["name"].as_str().unwrap().to_owned();
        let sender = if name.contains("client") { Role::Client } else { Role::Server };
        if runs.last().is_none_or(|(last, ..)| *last != name) {
            let sealer = Sealer::new(REKEY, &key, sender).unwrap();
            runs.push((name, sealer, Opener::new(REKEY, &key, sender.peer()).unwrap()));
        }
        let (_, sealer, opener) = runs.last_mut().unwrap();
        assert_eq!(sealer.counter(), &counter);
        assert_eq!(seal(sealer, &plaintext), record);
        assert_eq!(opener.open_in_place(&mut record.clone()).unwrap(), plaintext);
    }
    assert_eq!(runs.len(), 4);
}

// Counters.

#[test]
fn counters_step_as_the_vectors_say() {
    for row in rows("counters").0 {
        for protocol in [PLAIN, REKEY] {
            let mut counter = counter(&row, "before");
            counter.advance(protocol);
            assert_eq!(counter.current().unwrap().to_vec(), hex(&row, "after"));
        }
    }
    assert_eq!(Counter::new(Role::Client).current(), Ok([0; 12]));
    assert_eq!(Counter::new(Role::Server).current(), Ok([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80]));
}

/// A counter of `len` counting bytes, so many steps before its end; the rest of its bytes as given.
fn before_the_end(len: usize, steps: u8, rest: u8) -> Counter {
    let mut bytes = [rest; 12];
    bytes[..len].fill(0xff);
    bytes[0] -= steps;
    Counter::from_bytes(bytes)
}

#[test]
fn a_counter_ends_and_never_wraps() {
    for (protocol, len) in [(PLAIN, 5), (REKEY, 8)] {
        for rest in [0, 0x80, 0xff] {
            let mut counter = before_the_end(len, 1, rest);
            counter.advance(protocol);
            let last = counter.current().unwrap();
            assert_eq!(last[..len], [0xff; 8][..len]);
            assert!(last[len..].iter().all(|&byte| byte == rest));
            for _ in 0..300 {
                counter.advance(protocol);
                assert_eq!(counter.current(), Err(RecordError::CounterExhausted));
            }
        }
    }
}

/// The other protocol's length must not matter: five full bytes are in the middle of a rekeying counter.
#[test]
fn only_the_counting_bytes_end_a_counter() {
    let mut counter = before_the_end(5, 0, 0);
    counter.advance(REKEY);
    assert_eq!(counter.current(), Ok([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0]));
    let mut counter = before_the_end(8, 0, 0);
    counter.advance(PLAIN);
    assert_eq!(counter.current(), Err(RecordError::CounterExhausted));
}

#[test]
fn the_last_numbers_are_used_and_then_none() {
    for (protocol, len) in [(PLAIN, 5), (REKEY, 8)] {
        let key = pattern(protocol.key_len());
        let start = before_the_end(len, 1, 0);
        let mut sealer = Sealer::with_counter(protocol, &key, start.clone()).unwrap();
        let mut opener = Opener::with_counter(protocol, &key, start.clone()).unwrap();
        for text in [&b"the last but one"[..], b"the last"] {
            let mut record = seal(&mut sealer, text);
            if protocol == REKEY {
                let counter = opener.counter().current().unwrap();
                assert_eq!(record, reference(&key, counter, text));
            }
            assert_eq!(opener.open_in_place(&mut record).unwrap(), text);
        }
        // What would come next if the counter wrapped.
        let mut wrapped = [0; 12];
        wrapped[len..].copy_from_slice(&start.current().unwrap()[len..]);
        let wrapped = Counter::from_bytes(wrapped);
        let mut first = Sealer::with_counter(protocol, &key, wrapped).unwrap();
        let record = seal(&mut first, b"again");
        for _ in 0..3 {
            let mut out = [0; 64];
            assert_eq!(sealer.seal(b"again", &mut out), Err(RecordError::CounterExhausted));
            let refused = Err(RecordError::CounterExhausted);
            assert_eq!(opener.open_in_place(&mut record.clone()), refused.map(|()| &mut [][..]));
        }
        let mut packed = record.clone();
        assert_eq!(opener.open_packed(&mut packed), Err(RecordError::CounterExhausted));
    }
}

#[test]
fn an_exhausted_sealer_gives_no_plaintext_away() {
    let key = pattern(44);
    let mut sealer = Sealer::with_counter(REKEY, &key, before_the_end(8, 0, 0)).unwrap();
    seal(&mut sealer, b"the last");
    let mut out = [0; 64];
    assert_eq!(sealer.seal(b"in the clear", &mut out), Err(RecordError::CounterExhausted));
    assert_eq!(out, [0; 64]);
}

// Rekeying.

#[test]
fn a_new_key_every_65_536_records() {
    let key = pattern(44);
    let mut bytes = [0; 12];
    bytes[..2].copy_from_slice(&[0xfe, 0xff]);
    let start = Counter::from_bytes(bytes);
    let mut sealer = Sealer::with_counter(REKEY, &key, start.clone()).unwrap();
    let mut opener = Opener::with_counter(REKEY, &key, start).unwrap();
    let mut stream = Vec::new();
    for number in 0xfffe_u64..0x1_0003 {
        let mut counter = [0; 12];
        counter[..8].copy_from_slice(&number.to_le_bytes());
        let text = number.to_string();
        let record = seal(&mut sealer, text.as_bytes());
        assert_eq!(record, reference(&key, counter, text.as_bytes()), "record {number}");
        stream.extend(record);
    }
    let done = opener.open_packed(&mut stream).unwrap();
    assert_eq!(&stream[..done.plaintext], b"6553465535655366553765538");
    assert_eq!(done.records, 5);
}

#[test]
fn the_epoch_carries_through_all_its_bytes() {
    let key = pattern(44);
    for sender in [0, 0x80] {
        for carried in 3..=8 {
            let mut counter = [0; 12];
            counter[..carried - 1].fill(0xff);
            counter[11] = sender;
            let start = Counter::from_bytes(counter);
            let mut sealer = Sealer::with_counter(REKEY, &key, start.clone()).unwrap();
            let mut opener = Opener::with_counter(REKEY, &key, start).unwrap();
            let mut next = [0; 12];
            next[carried - 1] = 1;
            next[11] = sender;
            for counter in [counter, next] {
                let mut record = seal(&mut sealer, b"text");
                assert_eq!(record, reference(&key, counter, b"text"), "{counter:x?}");
                assert_eq!(opener.open_in_place(&mut record).unwrap(), b"text");
            }
        }
    }
}

/// 70,000 records in a row, the boundary among them, as one stream in pieces.
#[test]
fn a_long_run_crosses_the_boundary() {
    let key = pattern(44);
    let mut sealer = Sealer::new(REKEY, &key, Role::Server).unwrap();
    let mut opener = Opener::new(REKEY, &key, Role::Client).unwrap();
    let mut expected = 0_u32;
    let mut buffer = Vec::new();
    for round in 0..70 {
        for at in 0..1_000_u32 {
            buffer.extend(seal(&mut sealer, &(round * 1_000 + at).to_le_bytes()));
        }
        let done = opener.open_packed(&mut buffer).unwrap();
        assert_eq!((done.records, done.consumed), (1_000, 28_000));
        for four in buffer[..done.plaintext].chunks(4) {
            assert_eq!(four, expected.to_le_bytes());
            expected += 1;
        }
        buffer.clear();
    }
    assert_eq!(expected, 70_000);
}

// Streams in pieces.

fn a_few_records() -> (Vec<u8>, Vec<u8>, Opener) {
    let key = pattern(44);
    let mut sealer = Sealer::new(REKEY, &key, Role::Client).unwrap();
    let plaintext = pattern(300);
    let mut stream = Vec::new();
    for part in [0..1, 1..1, 1..17, 17..150, 150..150, 150..300] {
        stream.extend(seal(&mut sealer, &plaintext[part]));
    }
    (stream, plaintext, Opener::new(REKEY, &key, Role::Server).unwrap())
}

/// What a reader does: appends what arrives, opens, takes the plaintext, keeps the rest.
fn open_in_pieces(mut opener: Opener, pieces: impl IntoIterator<Item = Vec<u8>>) -> Vec<u8> {
    let (mut buffer, mut plaintext) = (Vec::new(), Vec::new());
    for piece in pieces {
        buffer.extend(piece);
        let done = opener.open_packed(&mut buffer).unwrap();
        assert!(done.plaintext <= done.consumed);
        plaintext.extend(&buffer[..done.plaintext]);
        buffer.drain(..done.consumed);
    }
    assert_eq!(buffer, b"");
    plaintext
}

#[test]
fn every_split_gives_the_same_plaintext() {
    let (stream, plaintext, _) = a_few_records();
    for first in 0..stream.len() {
        let (_, _, opener) = a_few_records();
        let pieces = [stream[..first].to_vec(), stream[first..].to_vec()];
        assert!(open_in_pieces(opener, pieces) == plaintext, "split at {first}");
    }
    let (_, _, opener) = a_few_records();
    assert_eq!(open_in_pieces(opener, stream.iter().map(|&byte| vec![byte])), plaintext);
    let mut rng = Rng::new(1);
    for _ in 0..200 {
        let (mut rest, _, opener) = a_few_records();
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let later = rest.split_off(rng.size(rest.len()));
            pieces.push(std::mem::replace(&mut rest, later));
        }
        assert_eq!(open_in_pieces(opener, pieces), plaintext);
    }
}

#[test]
fn every_prefix_gives_what_is_whole_in_it() {
    let (stream, plaintext, _) = a_few_records();
    let mut ends = Vec::new();
    let mut rest = stream.clone();
    for record in take_records(&mut rest) {
        let (wire, plain) = ends.last().copied().unwrap_or((0, 0));
        ends.push((wire + record.len(), plain + record.len() - 24));
    }
    for len in 0..=stream.len() {
        let (_, _, mut opener) = a_few_records();
        let mut prefix = stream[..len].to_vec();
        let done = opener.open_packed(&mut prefix).unwrap();
        let whole = ends.iter().take_while(|(wire, _)| *wire <= len).count();
        let (wire, plain) = if whole == 0 { (0, 0) } else { ends[whole - 1] };
        assert_eq!(done, Opened { plaintext: plain, consumed: wire, records: whole });
        assert_eq!(prefix[..plain], plaintext[..plain]);
        assert_eq!(prefix[wire..], stream[wire..len], "the incomplete record is left alone");
    }
}

// Hostile records.

#[test]
fn any_flipped_bit_is_noticed() {
    for protocol in [PLAIN, REKEY] {
        let key = pattern(protocol.key_len());
        let good = seal(&mut Sealer::new(protocol, &key, Role::Client).unwrap(), b"untouched");
        for bit in 0..good.len() * 8 {
            let mut record = good.clone();
            record[bit / 8] ^= 1 << (bit % 8);
            let mut opener = Opener::new(protocol, &key, Role::Server).unwrap();
            let error = opener.open_in_place(&mut record.clone()).unwrap_err();
            match bit / 8 {
                0..4 => assert!(
                    matches!(
                        error,
                        RecordError::NotOneRecord
                            | RecordError::TooShort { .. }
                            | RecordError::TooLong { .. }
                    ),
                    "{error}"
                ),
                4..8 => assert!(matches!(error, RecordError::WrongType { .. }), "{error}"),
                _ => assert_eq!(error, RecordError::Authentication),
            }
            // Final: the record as it was does not help any more.
            assert_eq!(opener.open_in_place(&mut good.clone()).unwrap_err(), error);
            assert_eq!(opener.open_packed(&mut good.clone()), Err(error));

            // In a stream a changed length covers other bytes. Whatever follows, nothing comes out.
            let mut opener = Opener::new(protocol, &key, Role::Server).unwrap();
            let mut stream = [&record[..], &pattern(2_000)].concat();
            match opener.open_packed(&mut stream) {
                Ok(done) => {
                    assert_eq!(done, Opened { plaintext: 0, consumed: 0, records: 0 });
                    assert!((1..4).contains(&(bit / 8)), "only a longer record may be waited for");
                }
                Err(error) => assert_eq!(opener.open_packed(&mut good.clone()), Err(error)),
            }
        }
    }
}

#[test]
fn order_and_direction_count() {
    let key = pattern(44);
    let mut client = Sealer::new(REKEY, &key, Role::Client).unwrap();
    let records: Vec<_> = [b"one", b"two", b"six"].map(|text| seal(&mut client, text)).into();
    let server = seal(&mut Sealer::new(REKEY, &key, Role::Server).unwrap(), b"one");
    let stranger = seal(&mut Sealer::new(REKEY, &pattern(45)[1..], Role::Client).unwrap(), b"one");
    let refused = |sequence: &[&[u8]], good: usize| {
        let mut opener = Opener::new(REKEY, &key, Role::Server).unwrap();
        for (at, record) in sequence.iter().enumerate() {
            let done = opener.open_in_place(&mut record.to_vec()).map(|text| text.to_vec());
            if at < good {
                assert!(done.is_ok());
            } else {
                // Also the right ones that follow: the first failure is final.
                assert_eq!(done, Err(RecordError::Authentication), "record {at}");
            }
        }
        let mut stream = sequence.concat();
        let mut opener = Opener::new(REKEY, &key, Role::Server).unwrap();
        for _ in 0..2 {
            assert_eq!(opener.open_packed(&mut stream), Err(RecordError::Authentication));
        }
    };
    let [one, two, six] = [&records[0][..], &records[1][..], &records[2][..]];
    refused(&[two, one], 0);
    refused(&[one, one, two], 1);
    refused(&[one, six, two], 1);
    refused(&[one, two, two], 2);
    refused(&[one, two, one, six], 2);
    refused(&[&server, one], 0);
    refused(&[one, &server, two], 1);
    refused(&[&stranger, one], 0);
}

#[test]
fn headers_are_refused_as_early_as_they_can_be() {
    let parse = |bytes: &[u8]| {
        let mut opener = Opener::new(REKEY, &pattern(44), Role::Server).unwrap();
        let mut buffer = bytes.to_vec();
        let first = opener.open_packed(&mut buffer).map(|done| done.consumed);
        let mut good = seal(&mut Sealer::new(REKEY, &pattern(44), Role::Client).unwrap(), b"good");
        if let Err(error) = first {
            assert_eq!(opener.open_packed(&mut good), Err(error));
        }
        first
    };
    for len in 0..4 {
        assert_eq!(parse(&[0xff; 3][..len]), Ok(0), "less than a length says nothing");
    }
    for length in 0..20_u32 {
        assert_eq!(parse(&length.to_le_bytes()), Err(RecordError::TooShort { length }));
    }
    for length in [MAX_LENGTH + 1, 16 << 20, 1 << 31, u32::MAX] {
        assert_eq!(parse(&length.to_le_bytes()), Err(RecordError::TooLong { length }));
    }
    for length in [20_u32, 21, 16_384, MAX_LENGTH] {
        let header = [length.to_le_bytes(), 6_u32.to_le_bytes()].concat();
        for len in 4..=8 {
            assert_eq!(parse(&header[..len]), Ok(0), "{length} is a length");
        }
        for found in [0, 5, 7, 0x22, 0x106, 0x0100_0006, 0x8000_0006, u32::MAX] {
            let header = [length.to_le_bytes(), found.to_le_bytes()].concat();
            assert_eq!(parse(&header[..7]), Ok(0));
            assert_eq!(parse(&header), Err(RecordError::WrongType { found }));
        }
    }
    // The rows of the vectors, as they stand there.
    assert_eq!(parse(&[0, 0, 0, 0, 6, 0, 0, 0]), Err(RecordError::TooShort { length: 0 }));
    assert_eq!(parse(&[4, 0, 0, 0, 0x22, 0, 0, 0]), Err(RecordError::TooShort { length: 4 }));
    assert_eq!(parse(&[20, 0, 0, 0, 6, 1, 0, 0]), Err(RecordError::WrongType { found: 0x106 }));
}

#[test]
fn the_largest_record_and_none_larger() {
    let key = pattern(44);
    let plaintext = pattern(Sealer::MAX_PLAINTEXT + 1);
    let mut sealer = Sealer::new(REKEY, &key, Role::Client).unwrap();
    let mut out = vec![0; plaintext.len() + 24];
    let length = MAX_LENGTH + 1;
    assert_eq!(sealer.seal(&plaintext, &mut out), Err(RecordError::TooLong { length }));
    // A length that sealing refuses costs no number.
    let largest = &plaintext[..Sealer::MAX_PLAINTEXT];
    let mut record = seal(&mut sealer, largest);
    assert_eq!(record[..4], MAX_LENGTH.to_le_bytes());
    let mut opener = Opener::new(REKEY, &key, Role::Server).unwrap();
    assert!(opener.open_in_place(&mut record).unwrap() == largest);
}

#[test]
fn an_empty_record_is_a_record() {
    let key = pattern(44);
    let mut sealer = Sealer::new(REKEY, &key, Role::Client).unwrap();
    let mut opener = Opener::new(REKEY, &key, Role::Server).unwrap();
    let mut record = seal(&mut sealer, b"");
    assert_eq!(record[..8], [20, 0, 0, 0, 6, 0, 0, 0]);
    assert_eq!(opener.open_in_place(&mut record).unwrap(), b"");
}

#[test]
fn misuse_is_told_and_costs_nothing() {
    for (protocol, wrong) in [(REKEY, 43), (REKEY, 45), (REKEY, 128), (PLAIN, 15), (PLAIN, 44)] {
        let error = RecordError::KeyLength { expected: protocol.key_len(), found: wrong };
        assert_eq!(Sealer::new(protocol, &pattern(wrong), Role::Client).unwrap_err(), error);
        assert_eq!(Opener::new(protocol, &pattern(wrong), Role::Client).unwrap_err(), error);
    }
    let mut sealer = Sealer::new(PLAIN, &pattern(16), Role::Client).unwrap();
    let before = sealer.counter().clone();
    for room in 0..28 {
        let mut out = vec![0xaa; room];
        assert_eq!(sealer.seal(b"text", &mut out), Err(RecordError::NoRoom { needed: 28 }));
        assert!(out.iter().all(|&byte| byte == 0xaa));
    }
    assert_eq!(sealer.counter(), &before);
}

#[test]
fn keys_are_not_printed() {
    let key = [0xab; 44];
    let mut sealer = Sealer::new(REKEY, &key, Role::Client).unwrap();
    seal(&mut sealer, b"text");
    let opener = Opener::new(REKEY, &key, Role::Client).unwrap();
    for text in [format!("{sealer:?}"), format!("{opener:#?}")] {
        assert!(!text.contains("171") && !text.contains("ab, ab"), "{text}");
    }
}

// How streams cut what is written.

/// grpc-go's arithmetic for the sizes that a peer may ask for. It differs in one row: to a peer that states nothing (`max` 0)
/// grpc-go sends 4 KiB frames and we send 16 KiB, as gRPC's Java and C++ do.
#[tokio::test]
async fn streams_cut_as_grpc_go_does() {
    let parties = Parties::new();
    for row in rows("split").0 {
        let max = number(&row, "max");
        let wish = if max == 0 { 4_096 } else { max as u32 };
        cut(&parties, wish, &row).await;
    }
    let of_16_kib: Vec<_> =
        rows("split").0.into_iter().filter(|row| number(row, "max") == 16_384).collect();
    assert_eq!(of_16_kib.len(), 5);
    for row in of_16_kib {
        cut(&parties, 0, &row).await;
    }
}

async fn cut(parties: &Parties, wish: u32, row: &Value) {
    let handshaker = altered(parties.client_handshaker(), move |result| {
        result.peer_max_frame_size = wish;
    });
    let pool = BufferPool::new();
    let settings = support::settings(&pool, |settings| {
        settings.stream.max_frame_size = 1 << 20;
        settings.stream.write_batch = 2 << 20;
    });
    let connector = alts::Connector::with_settings(handshaker, settings);
    let acceptor = parties.acceptor(support::settings(&pool, |_| ()));
    let ((near, control), (far, _)) = wires(usize::MAX);
    let (client, server) = tokio::join!(connector.connect(near), acceptor.accept(far));
    let (mut client, _server) = (client.unwrap(), server.unwrap());

    control.take_counts();
    let payload = number(row, "payload");
    assert_eq!(client.write(&vec![0; payload]).await.unwrap(), payload);
    assert_eq!(control.take_counts().writes, 1, "one call for all records");
    let mut wire = control.intercept();
    assert_eq!(wire.len(), number(row, "wire"), "{row}");
    let records = take_records(&mut wire);
    assert_eq!(wire, b"");
    assert_eq!(records.len(), number(row, "frames"));
    let length = |record: &Vec<u8>| record.len() - 4;
    assert_eq!(length(&records[0]), number(row, "first_length"));
    assert_eq!(length(records.last().unwrap()), number(row, "last_length"));
}
