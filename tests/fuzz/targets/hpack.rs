//! Header blocks, well made and otherwise, decoded by a decoder that follows RFC 7541 literally, with a list of pairs for a table
//! and a Huffman code looked up bit by bit. Both say the same fields, the same error or none, and hold tables of the same size.

use std::collections::{BTreeMap, VecDeque};
use std::sync::LazyLock;

use alts::http2::hpack::{Decoder, Listed, encode};

use crate::MANY;
use crate::choices::Choices;

type Field = (Vec<u8>, Vec<u8>);

/// Bits of each symbol's code, from the RFC's appendix B: ranges of the same length, and the symbols in order.
#[rustfmt::skip]
const LENGTHS: [(u8, &[u16]); 21] = [
    (5, &[48, 49, 50, 97, 99, 101, 105, 111, 115, 116]),
    (6, &[32, 37, 45, 46, 47, 51, 52, 53, 54, 55, 56, 57, 61, 65, 95, 98, 100, 102, 103, 104, 108, 109, 110, 112, 114, 117]),
    (7, &[58, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80, 81, 82, 83, 84, 85, 86, 87, 89, 106, 107, 113, 118,
          119, 120, 121, 122]),
    (8, &[38, 42, 44, 59, 88, 90]),
    (10, &[33, 34, 40, 41, 63]),
    (11, &[39, 43, 124]),
    (12, &[35, 62]),
    (13, &[0, 36, 64, 91, 93, 126]),
    (14, &[94, 125]),
    (15, &[60, 96, 123]),
    (19, &[92, 195, 208]),
    (20, &[128, 130, 131, 162, 184, 194, 224, 226]),
    (21, &[153, 161, 167, 172, 176, 177, 179, 209, 216, 217, 227, 229, 230]),
    (22, &[129, 132, 133, 134, 136, 146, 154, 156, 160, 163, 164, 169, 170, 173, 178, 181, 185, 186, 187, 189, 190, 196, 198, 228,
           232, 233]),
    (23, &[1, 135, 137, 138, 139, 140, 141, 143, 147, 149, 150, 151, 152, 155, 157, 158, 165, 166, 168, 174, 175, 180, 182, 183,
           188, 191, 197, 231, 239]),
    (24, &[9, 142, 144, 145, 148, 159, 171, 206, 215, 225, 236, 237]),
    (25, &[199, 207, 234, 235]),
    (26, &[192, 193, 200, 201, 202, 205, 210, 213, 218, 219, 238, 240, 242, 243, 255]),
    (27, &[203, 204, 211, 212, 214, 221, 222, 223, 241, 244, 245, 246, 247, 248, 250, 251, 252, 253, 254]),
    (28, &[2, 3, 4, 5, 6, 7, 8, 11, 12, 14, 15, 16, 17, 18, 19, 20, 21, 23, 24, 25, 26, 27, 28, 29, 30, 31, 127, 220, 249]),
    (30, &[10, 13, 22, 256]),
];

/// By length and code.
static SYMBOLS: LazyLock<BTreeMap<(u8, u32), u16>> = LazyLock::new(|| {
    let (mut code, mut before) = (0_u32, 0);
    let mut symbols = BTreeMap::new();
    for (length, of_length) in LENGTHS {
        code <<= length - before;
        before = length;
        for &symbol in of_length {
            symbols.insert((length, code), symbol);
            code += 1;
        }
    }
    assert_eq!((symbols.len(), code), (257, 1 << 30));
    symbols
});
static CODES: LazyLock<BTreeMap<u16, (u8, u32)>> =
    LazyLock::new(|| SYMBOLS.iter().map(|(&code, &symbol)| (symbol, code)).collect());

/// What each index of the static table stands for, as a decoder with an empty dynamic one says. Other tests know better.
static STATIC: LazyLock<Vec<Field>> = LazyLock::new(|| {
    let mut fields = Vec::new();
    let block: Vec<u8> = (0x81..0xBE).collect();
    Decoder::new(0).decode(&block, usize::MAX, |n, v| fields.push((n.into(), v.into()))).unwrap();
    assert_eq!(fields.len(), 61);
    fields
});

fn huffman(text: &[u8]) -> Vec<u8> {
    let bits: Vec<bool> = text
        .iter()
        .flat_map(|&byte| {
            let (length, code) = CODES[&byte.into()];
            (0..length).rev().map(move |bit| code >> bit & 1 == 1)
        })
        .collect();
    let octet = |bits: &[bool]| {
        (0..8).fold(0, |octet, bit| octet << 1 | u8::from(bits.get(bit).is_none_or(|&bit| bit)))
    };
    bits.chunks(8).map(octet).collect()
}

fn plain(code: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    let (mut length, mut found, mut ones) = (0, 0_u32, true);
    for bit in code.iter().flat_map(|octet| (0..8).rev().map(move |bit| octet >> bit & 1)) {
        (length, found, ones) = (length + 1, found << 1 | u32::from(bit), ones && bit == 1);
        if let Some(&symbol) = SYMBOLS.get(&(length, found)) {
            text.push(u8::try_from(symbol).ok()?);
            (length, found, ones) = (0, 0, true);
        }
    }
    (length < 8 && ones).then_some(text)
}

/// The decoder by the book.
struct Model {
    table: VecDeque<Field>,
    max: usize,
    limit: usize,
}

fn size<'field>(fields: impl IntoIterator<Item = &'field Field>) -> usize {
    fields.into_iter().map(|(name, value)| name.len() + value.len() + 32).sum()
}

impl Model {
    fn evict(&mut self) {
        while size(&self.table) > self.max {
            self.table.pop_back();
        }
    }

    fn limit(&mut self, limit: usize) {
        self.limit = limit;
        self.max = self.max.min(limit);
        self.evict();
    }

    fn decode(&mut self, mut block: &[u8]) -> Option<Vec<Field>> {
        let mut fields = Vec::new();
        while let Some(&first) = block.first() {
            if first >= 0x80 {
                fields.push(self.entry(integer(&mut block, 7)?)?);
            } else if first & 0xE0 == 0x20 {
                self.max = integer(&mut block, 5)?;
                if !fields.is_empty() || self.max > self.limit {
                    return None;
                }
                self.evict();
            } else {
                let remembered = first & 0x40 != 0;
                let name = match integer(&mut block, if remembered { 6 } else { 4 })? {
                    0 => string(&mut block)?,
                    index => self.entry(index)?.0,
                };
                let field = (name, string(&mut block)?);
                fields.push(field.clone());
                if remembered {
                    self.table.push_front(field);
                    self.evict();
                }
            }
        }
        Some(fields)
    }

    fn entry(&self, index: usize) -> Option<Field> {
        let at = index.checked_sub(1)?;
        STATIC.get(at).or_else(|| self.table.get(at - STATIC.len())).cloned()
    }
}

fn integer(block: &mut &[u8], bits: u32) -> Option<usize> {
    let mut next = || block.split_off_first().copied().map(u64::from);
    let mask = (1 << bits) - 1;
    let mut value = next()? & mask;
    if value == mask {
        for shift in 0.. {
            let octet = next()?;
            value += (octet & 0x7F) << (7 * shift);
            if octet < 0x80 {
                break;
            }
            if shift == 4 {
                return None;
            }
        }
    }
    u32::try_from(value).ok().map(|value| value as usize)
}

fn string(block: &mut &[u8]) -> Option<Vec<u8>> {
    let coded = block.first()? & 0x80 != 0;
    let length = integer(block, 7)?;
    let text = block.split_off(..length)?;
    if coded { plain(text) } else { Some(text.to_vec()) }
}

fn put(block: &mut Vec<u8>, pattern: u8, bits: u32, mut value: usize) {
    let mask = (1 << bits) - 1;
    block.push(pattern | value.min(mask) as u8);
    if value >= mask {
        value -= mask;
        while value >= 0x80 {
            block.push(0x80 | value as u8);
            value >>= 7;
        }
        block.push(value as u8);
    }
}

/// A text as a literal, of which the fuzzer has chosen the letters and Huffman or not.
fn put_text(choices: &mut Choices<'_>, block: &mut Vec<u8>) {
    let most = choices.size(600);
    let mut text = choices.bytes(most).to_vec();
    if choices.one_in(8) {
        text = text.repeat(choices.below(9));
    }
    let (pattern, text) = match choices.below(64) {
        0..32 => (0, text),
        // Arbitrary octets that are said to be Huffman code.
        63 => (0x80, text),
        _ => (0x80, huffman(&text)),
    };
    put(block, pattern, 7, text.len());
    block.extend(text);
}

fn block(choices: &mut Choices<'_>, known: usize, limit: usize) -> Vec<u8> {
    let mut block = Vec::new();
    if choices.one_in(8) {
        let max = choices.pick(&[0, 32, 33, 64, 100, 1_000, limit]);
        put(&mut block, 0x20, 5, if choices.one_in(32) { limit + 1 } else { max.min(limit) });
    }
    for _ in 0..choices.below(9) {
        let index = match choices.below(32) {
            0..12 => 1 + choices.below(61),
            // Entries may have been evicted meanwhile.
            12..24 if known > 0 => 62 + choices.below(1 + known / 2),
            31 => 62 + known,
            _ => 0,
        };
        match choices.below(5) {
            0 if index > 0 => put(&mut block, 0x80, 7, index),
            kind => {
                let (pattern, bits) = [(0x40, 6), (0x40, 6), (0x00, 4), (0x10, 4)][kind.max(1) - 1];
                put(&mut block, pattern, bits, index);
                if index == 0 {
                    put_text(choices, &mut block);
                }
                put_text(choices, &mut block);
            }
        }
    }
    if choices.one_in(32) && !block.is_empty() {
        let at = choices.below(block.len());
        match choices.below(2) {
            0 => block.truncate(at),
            _ => block[at] ^= 1 << choices.below(8),
        }
    }
    block
}

#[test]
fn hpack() {
    bolero::check!(name = "hpack").with_iterations(MANY).for_each(|input: &[u8]| {
        let mut choices = Choices::new(input);
        let limit = choices.pick(&[4_096, 0, 32, 100, 1_000, 70_000]);
        let mut decoder = Decoder::new(limit);
        let limit = (limit as usize).min(65_536);
        let mut model = Model { table: VecDeque::new(), max: limit.min(4_096), limit };
        while !choices.are_over() {
            if choices.one_in(8) {
                let limit = choices.pick(&[0, 31, 64, 500, 4_096, 65_536]);
                decoder.set_limit(limit);
                model.limit(limit as usize);
            }
            let block = match choices.one_in(64) {
                true => choices.bytes(200).to_vec(),
                false => block(&mut choices, model.table.len(), model.limit),
            };
            let list_limit = choices.pick(&[16_384, usize::MAX, 100, 0]);
            let mut fields = Vec::new();
            let listed =
                decoder.decode(&block, list_limit, |n, v| fields.push((n.into(), v.into())));
            let Some(expected) = model.decode(&block) else {
                assert!(listed.is_err(), "the model refuses {block:02x?}");
                return;
            };
            let total = size(&expected);
            assert_eq!(listed, Ok(Listed { size: total, over_limit: total > list_limit }));
            assert_eq!(fields, expected[..fields.len()]);
            assert!(fields.len() == expected.len() || total > list_limit);
            assert!(size(&fields) <= list_limit);
            assert_eq!(decoder.allocated(), size(&model.table) - model.table.len() * (32 - 4));

            // And what is encoded here is what was decoded.
            let mut again = Vec::new();
            for (name, value) in &expected {
                encode::field(&mut again, name, value);
            }
            assert_eq!(
                Model { table: VecDeque::new(), max: 0, limit: 0 }.decode(&again),
                Some(expected)
            );
        }
    });
}
