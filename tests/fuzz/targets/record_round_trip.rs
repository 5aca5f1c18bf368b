//! What a sealer seals its opener opens, across epochs and to the counter's end; and the bytes are those that a second
//! derivation of key and nonce, written from the specification, gives.

use alts::handshaker::{RecordProtocol, Role};
use alts::record::{Counter, Opener, RecordError, Sealer};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hmac;

use crate::MANY;
use crate::choices::Choices;

/// A record by the book.
fn record(
    protocol: RecordProtocol,
    material: &[u8],
    number: [u8; 12],
    plaintext: &[u8],
) -> Vec<u8> {
    let (key, nonce) = match protocol {
        RecordProtocol::Aes128GcmRekey => {
            let (kdf_key, mask) = material.split_at(32);
            let info = [&number[2..8], &[1]].concat();
            let derived = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, kdf_key), &info);
            let nonce = std::array::from_fn(|at| number[at] ^ mask[at]);
            (derived.as_ref()[..16].to_vec(), nonce)
        }
        _ => (material.to_vec(), number),
    };
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).unwrap());
    let mut body = plaintext.to_vec();
    let nonce = Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(nonce, Aad::empty(), &mut body).unwrap();
    let length = (4 + body.len() as u32).to_le_bytes();
    [&length[..], &[6, 0, 0, 0], &body].concat()
}

/// The number of a record: the part that counts, and what stands behind it.
struct Number {
    next: u128,
    /// One beyond the last.
    end: u128,
    rest: [u8; 12],
}

impl Number {
    fn bytes(&self) -> Option<[u8; 12]> {
        let mut bytes = self.rest;
        let counting = if self.end == 1 << 40 { 5 } else { 8 };
        bytes[..counting].copy_from_slice(&self.next.to_le_bytes()[..counting]);
        (self.next < self.end).then_some(bytes)
    }
}

#[test]
fn record_round_trip() {
    bolero::check!(name = "record_round_trip").with_iterations(MANY).for_each(|input: &[u8]| {
        let mut choices = Choices::new(input);
        let protocol = choices.pick(&[RecordProtocol::Aes128GcmRekey, RecordProtocol::Aes128Gcm]);
        let role = choices.pick(&[Role::Client, Role::Server]);
        let material: Vec<u8> = (0..protocol.key_len()).map(|_| choices.byte()).collect();
        let end = 1_u128 << if protocol == RecordProtocol::Aes128Gcm { 40 } else { 64 };
        let epoch = 1_u128 << 16;
        let next = match choices.below(5) {
            1 => epoch * u128::from(choices.u64() >> 24) + epoch - 2,
            2 => end - 1 - choices.below(5) as u128,
            3 => u128::from(choices.u64()),
            // Soon a carry into some byte.
            4 => (1 << (8 + 8 * choices.below(8))) - 2,
            _ => 0,
        } % end;
        let mut rest = [0; 12];
        rest[11] = if role == Role::Server { 0x80 } else { 0 };
        let mut number = Number { next, end, rest };
        let counter = if next == 0 {
            Counter::new(role)
        } else {
            Counter::from_bytes(number.bytes().unwrap())
        };
        let mut sealer = Sealer::with_counter(protocol, &material, counter.clone()).unwrap();
        let mut opener = match next {
            0 => Opener::new(protocol, &material, role.peer()).unwrap(),
            _ => Opener::with_counter(protocol, &material, counter).unwrap(),
        };
        while !choices.are_over() {
            // The largest take as long as a thousand others.
            let len = match (choices.below(64), choices.below(1_000)) {
                (63, 990..) => Sealer::MAX_PLAINTEXT - 1 + choices.below(3),
                (_, len) => len,
            };
            let plaintext = vec![choices.byte(); len];
            let needed = len + 24;
            let spare = choices.below(8);
            let mut out = vec![0xee; if choices.one_in(16) { needed - 1 } else { needed + spare }];
            let expected = if len > Sealer::MAX_PLAINTEXT {
                Err(RecordError::TooLong { length: len as u32 + 20 })
            } else if out.len() < needed {
                Err(RecordError::NoRoom { needed })
            } else {
                number.bytes().map(|_| needed).ok_or(RecordError::CounterExhausted)
            };
            assert_eq!(sealer.seal(&plaintext, &mut out), expected);
            if expected.is_err() {
                assert!(out.iter().all(|&byte| byte == 0xee), "plaintext stays behind");
                continue;
            }
            assert!(out[needed..].iter().all(|&byte| byte == 0xee), "too much was written");
            out.truncate(needed);
            assert!(out == record(protocol, &material, number.bytes().unwrap(), &plaintext));
            assert_eq!(opener.open_in_place(&mut out).map(|opened| &*opened), Ok(&plaintext[..]));
            number.next += 1;
            let counters = [sealer.counter().current().ok(), opener.counter().current().ok()];
            assert_eq!(counters, [number.bytes(); 2]);
        }
    });
}
