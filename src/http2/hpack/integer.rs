//! Integers with a prefix (RFC 7541, section 5.1).

use super::HpackError;

/// Octets after the prefix. Five carry 35 bits, more than any length or index that a block may hold; a longer encoding can only
/// be padded with zeros.
const MAX_CONTINUATION: usize = 5;

/// Takes an integer off the front of `input`; `bits` of its first octet belong to it.
#[inline]
pub(super) fn take(input: &mut &[u8], bits: u32) -> Result<u32, HpackError> {
    let (&first, rest) = input.split_first().ok_or(HpackError::Truncated)?;
    let mask = ((1_u32 << bits) - 1) as u8;
    let prefix = first & mask;
    if prefix < mask {
        *input = rest;
        return Ok(prefix.into());
    }
    take_long(input, rest, mask)
}

/// The octets after a prefix full of ones.
fn take_long<'block>(
    input: &mut &'block [u8],
    rest: &'block [u8],
    mask: u8,
) -> Result<u32, HpackError> {
    let mut value = u64::from(mask);
    for (at, &octet) in rest.iter().take(MAX_CONTINUATION).enumerate() {
        value += u64::from(octet & 0x7F) << (7 * at);
        if octet & 0x80 == 0 {
            *input = &rest[at + 1..];
            return u32::try_from(value).map_err(|_| HpackError::IntegerTooLarge);
        }
    }
    match rest.len() < MAX_CONTINUATION {
        true => Err(HpackError::Truncated),
        false => Err(HpackError::IntegerTooLarge),
    }
}

/// Appends `value` with a prefix of `bits` bits; `pattern` is what the first octet has before them.
#[inline]
pub(super) fn put(out: &mut Vec<u8>, pattern: u8, bits: u32, value: usize) {
    let mask = (1_usize << bits) - 1;
    if value < mask {
        out.push(pattern | value as u8);
        return;
    }
    out.push(pattern | mask as u8);
    let mut rest = value - mask;
    while rest >= 0x80 {
        out.push(0x80 | (rest & 0x7F) as u8);
        rest >>= 7;
    }
    out.push(rest as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7541, C.1.
    #[test]
    fn the_examples_of_the_rfc() {
        for (octets, bits, value) in [
            (&[0b0000_1010][..], 5, 10),
            (&[0b0001_1111, 0b1001_1010, 0b0000_1010], 5, 1337),
            (&[0b0010_1010], 8, 42),
        ] {
            let mut input = octets;
            assert_eq!(take(&mut input, bits), Ok(value));
            assert!(input.is_empty());
            let mut out = Vec::new();
            put(&mut out, 0, bits, value as usize);
            assert_eq!(out, octets);
        }
    }

    #[test]
    fn every_boundary_survives_a_round_trip() {
        for bits in 4..=8 {
            for shift in 0..32 {
                for value in [(1_u32 << shift) - 1, 1 << shift, (1 << shift) + 1, u32::MAX] {
                    let mut out = Vec::new();
                    put(&mut out, 0, bits, value as usize);
                    out.push(0xEE);
                    let mut input = &out[..];
                    assert_eq!(take(&mut input, bits), Ok(value));
                    assert_eq!(input, [0xEE]);
                    for cut in 0..out.len() - 1 {
                        assert_eq!(take(&mut &out[..cut], bits), Err(HpackError::Truncated));
                    }
                }
            }
        }
    }

    #[test]
    fn zeros_may_pad_an_integer_up_to_five_octets() {
        assert_eq!(take(&mut &[0x7F, 0x80, 0x80, 0x80, 0x80, 0x00][..], 7), Ok(127));
        let six = [0x7F, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00];
        assert_eq!(take(&mut &six[..], 7), Err(HpackError::IntegerTooLarge));
        let large = [0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F];
        assert_eq!(take(&mut &large[..], 7), Err(HpackError::IntegerTooLarge));
    }
}
