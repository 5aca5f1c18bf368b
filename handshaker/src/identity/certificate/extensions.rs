//! The extensions of certificates, as far as they are used.

use super::super::der::{Reader, boolean, tag};

/// Contents of object identifiers.
mod oid {
    pub(super) const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1D, 0x0E];
    pub(super) const NAME_CONSTRAINTS: &[u8] = &[0x55, 0x1D, 0x1E];
    pub(super) const CRL_DISTRIBUTION_POINTS: &[u8] = &[0x55, 0x1D, 0x1F];
    pub(super) const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1D, 0x23];
    pub(super) const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1D, 0x25];
    /// `id-kp-serverAuth` and `id-kp-clientAuth` (RFC 5280, section 4.2.1.12).
    pub(super) const SERVER_AUTH: &[u8] = &[0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
    pub(super) const CLIENT_AUTH: &[u8] = &[0x2B, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];
    pub(super) const KEY_USAGE: &[u8] = &[0x55, 0x1D, 0x0F];
    pub(super) const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1D, 0x11];
    pub(super) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1D, 0x13];
}

/// The bits of keyUsage (RFC 5280, section 4.2.1.3) that matter here, all in its first byte.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyUsage(u8);

impl KeyUsage {
    pub(super) fn digital_signature(self) -> bool {
        self.0 & 0x80 != 0
    }

    pub(super) fn cert_sign(self) -> bool {
        self.0 & 0x04 != 0
    }

    pub(super) fn crl_sign(self) -> bool {
        self.0 & 0x02 != 0
    }
}

/// What extendedKeyUsage allows. Without the extension that is everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct Purposes {
    pub(in super::super) server: bool,
    pub(in super::super) client: bool,
}

/// What a chain is to be good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Purpose {
    Client,
    Server,
    /// One of the two at least: this side's identity.
    Any,
}

impl Purposes {
    /// What both allow.
    pub(in super::super) fn and(self, other: Self) -> Self {
        Self { server: self.server && other.server, client: self.client && other.client }
    }

    pub(super) fn allow(self, purpose: Purpose) -> bool {
        match purpose {
            Purpose::Client => self.client,
            Purpose::Server => self.server,
            Purpose::Any => self.client || self.server,
        }
    }
}

/// What is read of the extensions: their values.
#[derive(Debug, Default)]
pub(super) struct Extensions<'a> {
    pub(super) basic_constraints: Option<&'a [u8]>,
    pub(super) key_usage: Option<&'a [u8]>,
    pub(super) extended_key_usage: Option<&'a [u8]>,
    pub(super) subject_alt_name: Option<&'a [u8]>,
    pub(super) name_constraints: Option<&'a [u8]>,
    pub(super) subject_key_id: Option<&'a [u8]>,
    pub(super) authority_key_id: Option<&'a [u8]>,
    pub(super) distribution_points: Option<&'a [u8]>,
}

impl<'a> Extensions<'a> {
    /// Takes the contents of `[3]`.
    pub(super) fn parse(tagged: &'a [u8]) -> Option<Self> {
        let mut tagged = Reader::new(tagged);
        let mut list = tagged.sequence()?;
        tagged.end()?;
        let mut found = Self::default();
        while !list.is_empty() {
            let mut extension = list.sequence()?;
            let name = extension.expect(tag::OID)?;
            // Whether a critical extension is supported is webpki's to say.
            if extension.next_is(tag::BOOLEAN) {
                boolean(extension.expect(tag::BOOLEAN)?)?;
            }
            let value = extension.expect(tag::OCTET_STRING)?;
            extension.end()?;
            let place = match name {
                oid::BASIC_CONSTRAINTS => &mut found.basic_constraints,
                oid::KEY_USAGE => &mut found.key_usage,
                oid::EXTENDED_KEY_USAGE => &mut found.extended_key_usage,
                oid::SUBJECT_ALT_NAME => &mut found.subject_alt_name,
                oid::NAME_CONSTRAINTS => &mut found.name_constraints,
                oid::CRL_DISTRIBUTION_POINTS => &mut found.distribution_points,
                oid::SUBJECT_KEY_ID => &mut found.subject_key_id,
                oid::AUTHORITY_KEY_ID => &mut found.authority_key_id,
                _ => continue,
            };
            // RFC 5280, section 4.2: no extension occurs twice.
            if place.replace(value).is_some() {
                return None;
            }
        }
        Some(found)
    }
}

/// Whether the subject is an authority, and how many intermediates it allows below it.
pub(super) fn basic_constraints(value: &[u8]) -> Option<(bool, Option<usize>)> {
    let mut outer = Reader::new(value);
    let mut fields = outer.sequence()?;
    outer.end()?;
    let (mut is_authority, mut path_length) = (false, None);
    if fields.next_is(tag::BOOLEAN) {
        is_authority = boolean(fields.expect(tag::BOOLEAN)?)?;
    }
    if fields.next_is(tag::INTEGER) {
        // Not negative. More than 127 intermediates are as many as one likes.
        path_length = Some(match fields.integer()? {
            [0x80..=0xFF, ..] => return None,
            &[length] => usize::from(length),
            _ => usize::MAX,
        });
    }
    fields.end()?;
    Some((is_authority, path_length))
}

pub(super) fn purposes(value: &[u8]) -> Option<Purposes> {
    let mut outer = Reader::new(value);
    let mut list = outer.sequence()?;
    outer.end()?;
    let mut purposes = Purposes { server: false, client: false };
    while !list.is_empty() {
        match list.expect(tag::OID)? {
            oid::SERVER_AUTH => purposes.server = true,
            oid::CLIENT_AUTH => purposes.client = true,
            _ => {}
        }
    }
    Some(purposes)
}

pub(super) fn subject_key_id(value: &[u8]) -> Option<&[u8]> {
    Reader::new(value).expect(tag::OCTET_STRING)
}

/// The keyIdentifier of an authorityKeyIdentifier's value.
pub(super) fn authority_key_id(value: &[u8]) -> Option<&[u8]> {
    Reader::new(value).sequence()?.expect(tag::context(0))
}

pub(super) fn key_usage(value: &[u8]) -> Option<KeyUsage> {
    let mut outer = Reader::new(value);
    let contents = outer.expect(tag::BIT_STRING)?;
    outer.end()?;
    let (&unused, bytes) = contents.split_first()?;
    let last = bytes.last().copied().unwrap_or(0);
    // Unused bits are zero, and there are none without bytes.
    if unused > 7 || (bytes.is_empty() && unused != 0) || last & !(0xFF << unused) != 0 {
        return None;
    }
    Some(KeyUsage(bytes.first().copied().unwrap_or(0)))
}

/// All names, how many URIs there are among them, readable or not, and the first URI.
pub(super) fn uris(value: &[u8]) -> Option<(&[u8], usize, &[u8])> {
    const URI: u8 = tag::context(6);
    let mut outer = Reader::new(value);
    let all = outer.expect(tag::SEQUENCE)?;
    outer.end()?;
    let mut names = Reader::new(all);
    let (mut count, mut first) = (0, &[][..]);
    while !names.is_empty() {
        let name = names.element()?;
        match name.tag {
            URI => {
                if count == 0 {
                    first = name.contents;
                }
                count += 1;
            }
            // The other kinds of GeneralName (RFC 5280, section 4.2.1.6), in the form they have there.
            0x81 | 0x82 | 0x87 | 0x88 | 0xA0 | 0xA3 | 0xA4 | 0xA5 => {}
            _ => return None,
        }
    }
    Some((all, count, first))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_usage_bits_must_be_tidy() {
        assert!(key_usage(&[3, 2, 7, 0x80]).is_some_and(KeyUsage::digital_signature));
        assert!(
            key_usage(&[3, 2, 1, 0x06]).is_some_and(|usage| usage.cert_sign() && usage.crl_sign())
        );
        assert!(key_usage(&[3, 1, 0]).is_some_and(|usage| !usage.digital_signature()));
        for bad in
            [&[3, 0][..], &[3, 1, 1], &[3, 2, 8, 0], &[3, 2, 7, 0x40], &[3, 2, 0, 0, 0], &[4, 1, 0]]
        {
            assert!(key_usage(bad).is_none(), "{bad:02x?}");
        }
    }
}
