//! The header of a record: a length and a type.

use super::error::RecordError;
use super::layout::{HEADER_LEN, MAX_LENGTH, MIN_LENGTH, RECORD_TYPE, TAG_LEN};

/// What the first bytes of a frame say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// Fewer than the 4 bytes of the length.
    Unknown,
    /// A frame of this many bytes on the wire; its type is right as far as it has arrived.
    Record { wire_len: usize },
}

impl Head {
    /// Reads the length as soon as 4 bytes are there and the type as soon as 8 are, so that no byte is awaited that could
    /// not belong to a record.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let Some((length, rest)) = bytes.split_first_chunk() else { return Ok(Self::Unknown) };
        let length = u32::from_le_bytes(*length);
        if length < MIN_LENGTH {
            return Err(RecordError::TooShort { length });
        }
        if length > MAX_LENGTH {
            return Err(RecordError::TooLong { length });
        }
        if let Some(found) = rest.first_chunk().map(|word| u32::from_le_bytes(*word))
            && found != RECORD_TYPE
        {
            return Err(RecordError::WrongType { found });
        }
        Ok(Self::Record { wire_len: 4 + length as usize })
    }

    /// The header of a record with `payload` bytes of plaintext.
    pub(crate) fn encode(payload: usize) -> [u8; HEADER_LEN] {
        let length = (4 + payload + TAG_LEN) as u32;
        let mut header = [0; HEADER_LEN];
        header[..4].copy_from_slice(&length.to_le_bytes());
        header[4..].copy_from_slice(&RECORD_TYPE.to_le_bytes());
        header
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_is_judged_as_early_as_possible() {
        assert_eq!(Head::parse(&[]), Ok(Head::Unknown));
        assert_eq!(Head::parse(&[0, 0, 0]), Ok(Head::Unknown));
        assert_eq!(Head::parse(&[0; 4]), Err(RecordError::TooShort { length: 0 }));
        for length in 0..20_u32 {
            let refused = Err(RecordError::TooShort { length });
            assert_eq!(Head::parse(&length.to_le_bytes()), refused);
        }
        assert_eq!(Head::parse(&20_u32.to_le_bytes()), Ok(Head::Record { wire_len: 24 }));
        let largest = 1_048_576_u32;
        let wire_len = 4 + largest as usize;
        assert_eq!(Head::parse(&largest.to_le_bytes()), Ok(Head::Record { wire_len }));
        for length in [largest + 1, u32::MAX] {
            let refused = Err(RecordError::TooLong { length });
            assert_eq!(Head::parse(&length.to_le_bytes()), refused);
        }
    }

    #[test]
    fn all_32_bits_of_the_type_count() {
        for found in [0, 7, 0x22, 0x106, 0x0600_0000, 0x4E] {
            let mut header = Head::encode(1);
            header[4..].copy_from_slice(&u32::to_le_bytes(found));
            assert_eq!(Head::parse(&header[..7]), Ok(Head::Record { wire_len: 25 }));
            assert_eq!(Head::parse(&header), Err(RecordError::WrongType { found }));
        }
    }
}
