//! The Huffman code (RFC 7541, appendix B), decoding only: literals are sent raw.
//!
//! The code is canonical: sorted by length and then by symbol, codes count upwards. So the lengths say everything, and a long
//! code is decoded by arithmetic. Codes of up to eight bits, which nearly all text of headers consists of, are looked up. All
//! tables together take 1,400 bytes of the processor's cache.

use super::HpackError;

/// Bits of each symbol's code; the last one is the end of the string.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];
const END: u16 = 256;
const SHORTEST: usize = 5;
const LONGEST: usize = 30;
/// Codes of up to so many bits are looked up.
const SHORT: u32 = 8;

/// All codes of one length.
#[derive(Clone, Copy)]
struct Row {
    /// The first code, at the left of a word.
    first: u32,
    /// The last one, with ones behind it.
    last: u32,
    /// Bits to the right of a code.
    shift: u8,
    /// Where the symbols of this length begin in `Code::symbols`.
    at: u16,
}

struct Code {
    /// By the next eight bits: symbol and length; a length of zero where the code is longer.
    short: [(u8, u8); 1 << SHORT],
    /// By length; those without a code are never reached.
    rows: [Row; LONGEST + 1],
    symbols: [u16; LENGTHS.len()],
}

static CODE: Code = Code::from_lengths();

impl Code {
    const fn from_lengths() -> Self {
        let mut code = Self {
            short: [(0, 0); 1 << SHORT],
            rows: [Row { first: 0, last: 0, shift: 0, at: 0 }; LONGEST + 1],
            symbols: [0; LENGTHS.len()],
        };
        let (mut next, mut at) = (0_u64, 0);
        let mut length = SHORTEST;
        while length <= LONGEST {
            let shift = 32 - length;
            code.rows[length].first = next as u32;
            code.rows[length].shift = shift as u8;
            code.rows[length].at = at as u16;
            let mut symbol = 0;
            while symbol < LENGTHS.len() {
                if LENGTHS[symbol] as usize == length {
                    code.symbols[at] = symbol as u16;
                    at += 1;
                    if length <= SHORT as usize {
                        let mut short = (next >> 24) as usize;
                        let end = short + (1 << (SHORT as usize - length));
                        while short < end {
                            code.short[short] = (symbol as u8, length as u8);
                            short += 1;
                        }
                    }
                    next += 1 << shift;
                }
                symbol += 1;
            }
            code.rows[length].last = (next - 1) as u32;
            length += 1;
        }
        code
    }

    /// The symbol whose code begins `word`, and the code's length.
    #[inline]
    fn long(&self, word: u32) -> (u16, u32) {
        // The last row ends with a word full of ones.
        for row in &self.rows[SHORT as usize + 1..] {
            if word <= row.last {
                let at = u32::from(row.at) + ((word - row.first) >> row.shift);
                return (self.symbols[at as usize], 32 - u32::from(row.shift));
            }
        }
        (END, LONGEST as u32)
    }
}

/// Bytes of text that `len` bytes of code are at most.
pub(super) fn most(len: usize) -> usize {
    len * 8 / SHORTEST
}

/// Appends the text that `input` is the code of.
///
/// # Errors
/// The end-of-string symbol within, or padding that is not its beginning or is as long as an octet.
pub(super) fn decode(input: &[u8], out: &mut Vec<u8>) -> Result<(), HpackError> {
    let mut written = out.len();
    out.resize(written + most(input.len()), 0);
    let mut rest = input;
    // The next bits from the left, and how many there are.
    let (mut bits, mut held) = (0_u64, 0_u32);
    loop {
        if let Some(word) = rest.first_chunk::<8>() {
            // What does not fit now comes with the next word again.
            bits |= u64::from_be_bytes(*word) >> held;
            let octets = (63 - held) / 8;
            held += octets * 8;
            rest = &rest[octets as usize..];
        } else {
            while held < 56
                && let Some((&octet, after)) = rest.split_first()
            {
                bits |= u64::from(octet) << (56 - held);
                held += 8;
                rest = after;
            }
            if rest.is_empty() {
                break;
            }
        }
        while held >= LONGEST as u32 {
            let (symbol, length) = next(bits);
            if symbol == END {
                return Err(HpackError::Huffman);
            }
            out[written] = symbol as u8;
            written += 1;
            bits <<= length;
            held -= length;
        }
        // Bits beyond those held are there twice: once here, once in the next word. They are the same.
        bits &= !(u64::MAX >> held);
    }
    // The end. Ones behind it make the padding the beginning of the end-of-string symbol.
    while held > 0 {
        let (symbol, length) = next(bits | (u64::MAX >> held));
        if length > held {
            return match symbol == END && held < 8 {
                true => {
                    out.truncate(written);
                    Ok(())
                }
                false => Err(HpackError::Huffman),
            };
        }
        if symbol == END {
            return Err(HpackError::Huffman);
        }
        out[written] = symbol as u8;
        written += 1;
        bits <<= length;
        held -= length;
    }
    out.truncate(written);
    Ok(())
}

/// The symbol that `bits` begin with, and its length.
#[inline]
fn next(bits: u64) -> (u16, u32) {
    let (symbol, length) = CODE.short[(bits >> (64 - SHORT)) as usize];
    match length {
        0 => CODE.long((bits >> 32) as u32),
        length => (symbol.into(), length.into()),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// The code of `symbols`, padded with ones.
    pub(in super::super) fn encode(symbols: impl IntoIterator<Item = u16>) -> Vec<u8> {
        let (mut out, mut bits, mut held) = (Vec::new(), 0_u64, 0);
        for symbol in symbols {
            let length = usize::from(LENGTHS[usize::from(symbol)]);
            let at = CODE.symbols[CODE.rows[length].at.into()..].iter().position(|&s| s == symbol);
            let code = (CODE.rows[length].first >> (32 - length)) as usize + at.unwrap();
            bits = bits << length | code as u64;
            held += length;
            while held >= 8 {
                held -= 8;
                out.push((bits >> held) as u8);
            }
        }
        if held > 0 {
            out.push((bits << (8 - held)) as u8 | 0xFF >> held);
        }
        out
    }

    fn decoded(input: &[u8]) -> Result<Vec<u8>, HpackError> {
        let mut out = b"before".to_vec();
        decode(input, &mut out)?;
        Ok(out.split_off(6))
    }

    #[test]
    fn the_examples_of_the_rfc() {
        let code = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        assert_eq!(decoded(&code).unwrap(), b"www.example.com");
        assert_eq!(encode(b"www.example.com".iter().map(|&b| b.into())), code);
        // Appendix B itself, at its ends.
        assert_eq!(encode([0]), [0xFF, 0b1100_0111]);
        assert_eq!(encode([255]), [0xFF, 0xFF, 0xFB, 0b1011_1111]);
        assert_eq!(encode([22]), [0xFF, 0xFF, 0xFF, 0b1111_1011]);
    }

    #[test]
    fn each_symbol_between_each_two_others() {
        for symbol in 0..=255 {
            for neighbor in [b'0', b'a', b'Z', b'&', b'!', 0, 10, 255] {
                let text = [neighbor, symbol, symbol, neighbor, neighbor, symbol];
                let code = encode(text.iter().map(|&b| b.into()));
                assert_eq!(decoded(&code).unwrap(), text);
            }
        }
        assert_eq!(decoded(b"").unwrap(), b"");
    }

    #[test]
    fn only_the_beginning_of_the_last_symbol_pads_and_for_less_than_an_octet() {
        // '0' is 00000, 'o' is 00111, ':' 1011100, '&' 11111000.
        assert_eq!(decoded(&[0b0000_0111]).unwrap(), b"0");
        assert_eq!(decoded(&[0b1111_1000]).unwrap(), b"&");
        for bad in [
            &[0b0000_0110][..],
            &[0b0000_0000],
            &[0b0000_0111, 0xFF],
            &[0xFF],
            &[0xFF; 3],
            &[0xFF; 4],
            &[0xFF; 20],
            &[0b1111_1000, 0xFF],
            // A code that is cut.
            &[0xFF, 0b1100_0110],
        ] {
            assert_eq!(decoded(bad), Err(HpackError::Huffman), "{bad:02x?}");
        }
        let mut symbols = vec![u16::from(b'a'); 9];
        symbols.push(END);
        symbols.extend([u16::from(b'a'); 9]);
        assert_eq!(decoded(&encode(symbols)), Err(HpackError::Huffman));
    }
}
