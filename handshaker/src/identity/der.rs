//! The part of DER that certificates and keys need, read strictly: definite lengths in their shortest form, tags of one byte.

/// Tags (X.690, section 8), with the bits for class and form.
pub(super) mod tag {
    pub(crate) const BOOLEAN: u8 = 0x01;
    pub(crate) const INTEGER: u8 = 0x02;
    pub(crate) const BIT_STRING: u8 = 0x03;
    pub(crate) const OCTET_STRING: u8 = 0x04;
    pub(crate) const NULL: u8 = 0x05;
    pub(crate) const OID: u8 = 0x06;
    pub(crate) const UTC_TIME: u8 = 0x17;
    pub(crate) const GENERALIZED_TIME: u8 = 0x18;
    pub(crate) const SEQUENCE: u8 = 0x30;
    pub(crate) const SET: u8 = 0x31;
    /// `[n]`, primitive.
    pub(crate) const fn context(number: u8) -> u8 {
        0x80 | number
    }
    /// `[n]`, constructed.
    pub(crate) const fn context_constructed(number: u8) -> u8 {
        0xA0 | number
    }
}

/// One encoded value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element<'a> {
    pub(super) tag: u8,
    pub(super) contents: &'a [u8],
    /// With tag and length.
    pub(super) whole: &'a [u8],
}

/// Reads encoded values one after the other. `None` says that the encoding is not DER, or not what was expected.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// `Some` if nothing is left.
    pub(super) fn end(self) -> Option<()> {
        self.is_empty().then_some(())
    }

    /// The next element, whatever it is.
    pub(super) fn element(&mut self) -> Option<Element<'a>> {
        let all = self.0;
        let (&tag, rest) = all.split_first()?;
        // Tag numbers from 31 take more bytes; nothing here has them.
        if tag & 0x1F == 0x1F {
            return None;
        }
        let (&first, rest) = rest.split_first()?;
        // Lengths in the short form, or in 1 to 4 bytes after a byte that says how many. Revocation lists need more than 2.
        let (length, rest) = match first {
            0..=0x7F => (usize::from(first), rest),
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
                let length = bytes.iter().try_fold(0_u32, |length, &byte| {
                    length.checked_mul(256)?.checked_add(u32::from(byte))
                })?;
                let shortest = bytes[0] != 0 && length > 0x7F;
                (usize::try_from(length).ok().filter(|_| shortest)?, rest)
            }
            _ => return None,
        };
        let (contents, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some(Element { tag, contents, whole: &all[..all.len() - rest.len()] })
    }

    /// The contents of the next element, which must have this tag.
    pub(super) fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.element().filter(|element| element.tag == tag).map(|element| element.contents)
    }

    /// Whether there is a next element and it has this tag.
    pub(super) fn next_is(self, tag: u8) -> bool {
        self.0.first() == Some(&tag)
    }

    /// The next element, a SEQUENCE, to be read in turn.
    pub(super) fn sequence(&mut self) -> Option<Self> {
        self.expect(tag::SEQUENCE).map(Self)
    }

    /// The contents of an INTEGER in its shortest form, so that each number has one encoding.
    pub(super) fn integer(&mut self) -> Option<&'a [u8]> {
        let contents = self.expect(tag::INTEGER)?;
        match contents {
            [] | [0x00, 0x00..=0x7F, ..] | [0xFF, 0x80..=0xFF, ..] => None,
            _ => Some(contents),
        }
    }

    /// The contents of a BIT STRING of whole bytes.
    pub(super) fn whole_bytes(&mut self) -> Option<&'a [u8]> {
        match self.expect(tag::BIT_STRING)?.split_first()? {
            (0, bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// A BOOLEAN's contents: DER has one encoding for each value.
pub(super) fn boolean(contents: &[u8]) -> Option<bool> {
    match contents {
        [0x00] => Some(false),
        [0xFF] => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_one_form() {
        let mut long = vec![0x04, 0x81, 0x80];
        long.extend([7; 0x80]);
        assert_eq!(Reader::new(&long).expect(tag::OCTET_STRING), Some(&[7; 0x80][..]));
        let mut longer = vec![0x04, 0x82, 0x01, 0x00];
        longer.extend([7; 0x100]);
        assert_eq!(Reader::new(&longer).expect(tag::OCTET_STRING), Some(&[7; 0x100][..]));
        let mut longest = vec![0x04, 0x83, 0x01, 0x00, 0x00];
        longest.extend(vec![7; 0x1_0000]);
        assert_eq!(Reader::new(&longest).expect(tag::OCTET_STRING), Some(&longest[5..]));

        for bad in [
            &[0x04, 0x81, 0x01, 7][..],
            &[0x04, 0x82, 0x00, 0x01, 7],
            &[0x04, 0x80, 7, 0, 0],
            &[0x04, 0x83, 0x00, 0x00, 0x01, 7],
            &[0x04, 0x85, 0x00, 0x00, 0x00, 0x00, 0x01, 7],
            &[0x04, 0x84, 0xFF, 0xFF, 0xFF, 0xFF],
            &[0x04, 0x02, 7],
            &[0x1F, 0x01, 7],
            &[0x04],
            &[],
        ] {
            assert!(Reader::new(bad).element().is_none(), "{bad:02x?}");
        }
    }

    #[test]
    fn integers_have_one_form() {
        for good in [&[0][..], &[0x7F], &[0x80], &[0x00, 0x80], &[0xFF, 0x7F], &[1, 0, 0]] {
            let der = [&[tag::INTEGER, good.len() as u8], good].concat();
            assert_eq!(Reader::new(&der).integer(), Some(good));
        }
        for bad in [&[][..], &[0, 0], &[0, 0x7F], &[0xFF, 0x80], &[0xFF, 0xFF]] {
            let der = [&[tag::INTEGER, bad.len() as u8], bad].concat();
            assert_eq!(Reader::new(&der).integer(), None, "{bad:02x?}");
        }
    }

    #[test]
    fn elements_follow_one_another() {
        let bytes = [0x02, 0x01, 5, 0x01, 0x01, 0xFF];
        let mut reader = Reader::new(&bytes);
        assert!(!reader.next_is(tag::BOOLEAN));
        assert_eq!(reader.element().map(|element| element.whole), Some(&bytes[..3]));
        assert!(reader.end().is_none());
        assert!(reader.next_is(tag::BOOLEAN));
        assert_eq!(reader.expect(tag::BOOLEAN), Some(&[0xFF][..]));
        assert!(!reader.next_is(tag::BOOLEAN));
        assert!(reader.end().is_some());
        assert_eq!(boolean(&[0x01]), None);
    }
}
