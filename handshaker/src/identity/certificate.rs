//! What we read from certificates ourselves.
//!
//! webpki verifies signatures, validity, path length and name constraints. It does not look at keyUsage, and passes over URIs
//! that it cannot read, so that "exactly one URI" needs this walk. Both read the same bytes; a certificate must please both.

use super::der::{Reader, boolean, tag};
use super::error::CertificateError;
use super::key::{KeyKind, PublicKey};
use super::spiffe::SpiffeId;
#[cfg(feature = "dev-ca")]
use super::spiffe::{TrustDomain, split};
use super::validity::Validity;

/// The largest RSA key, in bits. Verifying takes time that grows with the square of it, and a peer chooses its keys.
const MAX_RSA_BITS: usize = 4_096;

/// The smallest RSA key of a leaf. (webpki has the same limit for issuers.)
const MIN_RSA_BITS: usize = 2_048;

/// Contents of object identifiers.
mod oid {
    /// `pkcs-1`: all kinds of RSA keys are directly below it.
    pub(super) const PKCS1: &[u8] = &[0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x01, 0x01];
    pub(super) const KEY_USAGE: &[u8] = &[0x55, 0x1D, 0x0F];
    pub(super) const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1D, 0x11];
    pub(super) const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1D, 0x13];
}

/// The bits of keyUsage (RFC 5280, section 4.2.1.3) that matter here, all in its first byte.
#[derive(Clone, Copy, Debug)]
struct KeyUsage(u8);

impl KeyUsage {
    fn digital_signature(self) -> bool {
        self.0 & 0x80 != 0
    }

    fn cert_sign(self) -> bool {
        self.0 & 0x04 != 0
    }

    fn crl_sign(self) -> bool {
        self.0 & 0x02 != 0
    }
}

/// A certificate that could be read. Nothing about it is proved.
#[derive(Debug)]
pub(super) struct Certificate<'a> {
    /// Where it stands in its chain, for errors.
    position: usize,
    pub(super) issuer: &'a [u8],
    pub(super) subject: &'a [u8],
    pub(super) validity: Validity,
    pub(super) key: SubjectKey<'a>,
    pub(super) signed: Signed<'a>,
    is_authority: bool,
    key_usage: Option<KeyUsage>,
    uris: usize,
    /// The first of `uris`.
    uri: &'a [u8],
}

/// A subjectPublicKeyInfo.
#[derive(Clone, Copy, Debug)]
pub(super) struct SubjectKey<'a> {
    /// The contents of the algorithm identifier.
    pub(super) algorithm: &'a [u8],
    /// subjectPublicKey.
    pub(super) bits: &'a [u8],
}

/// What an issuer signed, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signed<'a> {
    /// tbsCertificate with its header.
    pub(super) message: &'a [u8],
    /// The contents of signatureAlgorithm.
    pub(super) algorithm: &'a [u8],
    pub(super) signature: &'a [u8],
}

/// What is read of the extensions.
#[derive(Debug, Default)]
struct Extensions<'a> {
    basic_constraints: Option<&'a [u8]>,
    key_usage: Option<&'a [u8]>,
    subject_alt_name: Option<&'a [u8]>,
}

impl<'a> Certificate<'a> {
    /// Reads the certificate at `position` of its chain.
    pub(super) fn parse(der: &'a [u8], position: usize) -> Result<Self, CertificateError> {
        let bad = |part| CertificateError::Malformed { position, part };

        let mut outer = Reader::new(der);
        let mut certificate = outer.sequence().ok_or(bad("certificate"))?;
        outer.end().ok_or(bad("bytes after the certificate"))?;
        let tbs = certificate.element().ok_or(bad("tbsCertificate"))?;
        let algorithm = certificate.expect(tag::SEQUENCE).ok_or(bad("signatureAlgorithm"))?;
        let signature = certificate.whole_bytes().ok_or(bad("signatureValue"))?;
        certificate.end().ok_or(bad("bytes after the signature"))?;
        if tbs.tag != tag::SEQUENCE {
            return Err(bad("tbsCertificate"));
        }

        let mut fields = Reader::new(tbs.contents);
        // version [0] EXPLICIT INTEGER v3(2)
        if fields.expect(tag::context_constructed(0)) != Some(&[tag::INTEGER, 1, 2][..]) {
            return Err(bad("version"));
        }
        fields.expect(tag::INTEGER).ok_or(bad("serialNumber"))?;
        if fields.expect(tag::SEQUENCE) != Some(algorithm) {
            return Err(bad("signature"));
        }
        let issuer = fields.expect(tag::SEQUENCE).ok_or(bad("issuer"))?;
        let validity = fields.sequence().and_then(Validity::load).ok_or(bad("validity"))?;
        let subject = fields.expect(tag::SEQUENCE).ok_or(bad("subject"))?;
        let key = fields
            .expect(tag::SEQUENCE)
            .and_then(SubjectKey::parse)
            .ok_or(bad("subjectPublicKeyInfo"))?;
        // Without extensions there is neither a name nor a certificate authority for us.
        let extensions = fields.expect(tag::context_constructed(3)).ok_or(bad("extensions"))?;
        fields.end().ok_or(bad("bytes after the extensions"))?;
        let extensions = Extensions::parse(extensions).ok_or(bad("extensions"))?;

        let key_usage = match extensions.key_usage {
            Some(value) => Some(key_usage(value).ok_or(bad("keyUsage"))?),
            None => None,
        };
        let is_authority = match extensions.basic_constraints {
            Some(value) => is_authority(value).ok_or(bad("basicConstraints"))?,
            None => false,
        };
        let (uris, uri) = match extensions.subject_alt_name {
            Some(value) => uris(value).ok_or(bad("subjectAltName"))?,
            None => (0, &[][..]),
        };
        if key.is_rsa() {
            let bits = key.rsa_bits().ok_or(bad("RSAPublicKey"))?;
            if bits > MAX_RSA_BITS {
                return Err(CertificateError::RsaKeyTooLarge { position, bits });
            }
        }
        let signed = Signed { message: tbs.whole, algorithm, signature };
        Ok(Self {
            position,
            issuer,
            subject,
            validity,
            key,
            signed,
            is_authority,
            key_usage,
            uris,
            uri,
        })
    }

    /// The SPIFFE ID of a leaf, if the certificate may be one.
    pub(super) fn leaf_id(&self) -> Result<SpiffeId, CertificateError> {
        if self.is_authority {
            return Err(CertificateError::AuthorityAsLeaf);
        }
        match self.key_usage {
            Some(usage) if usage.cert_sign() || usage.crl_sign() => {
                return Err(CertificateError::LeafMaySign);
            }
            Some(usage) if usage.digital_signature() => {}
            _ => return Err(CertificateError::NoDigitalSignature),
        }
        match self.uris {
            0 => return Err(CertificateError::NoUri),
            1 => {}
            count => return Err(CertificateError::SeveralUris(count)),
        }
        let malformed =
            CertificateError::Malformed { position: self.position, part: "URI in subjectAltName" };
        let text = std::str::from_utf8(self.uri).map_err(|_| malformed)?;
        text.parse().map_err(CertificateError::SpiffeId)
    }

    /// The key of a leaf.
    pub(super) fn leaf_key(&self) -> Result<PublicKey, CertificateError> {
        let kind = KeyKind::from_algorithm(self.key.algorithm)
            .ok_or(CertificateError::UnsupportedKey { position: self.position })?;
        if let Some(bits) = self.key.is_rsa().then(|| self.key.rsa_bits()).flatten()
            && bits < MIN_RSA_BITS
        {
            return Err(CertificateError::RsaKeyTooSmall { bits });
        }
        Ok(PublicKey { kind, bytes: self.key.bits.into() })
    }

    /// Whether the certificate may issue others, by what it says itself.
    pub(super) fn check_authority(&self) -> Result<(), CertificateError> {
        // RFC 5280, section 4.2.1.3: without keyUsage, any use is allowed.
        if self.is_authority && self.key_usage.is_none_or(KeyUsage::cert_sign) {
            Ok(())
        } else {
            Err(CertificateError::NotAnAuthority { position: self.position })
        }
    }
}

impl<'a> SubjectKey<'a> {
    /// Takes the contents of the SEQUENCE.
    pub(super) fn parse(contents: &'a [u8]) -> Option<Self> {
        let mut info = Reader::new(contents);
        let algorithm = info.expect(tag::SEQUENCE)?;
        let bits = info.whole_bytes()?;
        info.end()?;
        Some(Self { algorithm, bits })
    }

    fn is_rsa(self) -> bool {
        let name = Reader::new(self.algorithm).expect(tag::OID);
        name.is_some_and(|name| name.starts_with(oid::PKCS1))
    }

    /// The size of an RSA key's modulus.
    fn rsa_bits(self) -> Option<usize> {
        let mut key = Reader::new(self.bits).sequence()?;
        let modulus = key.expect(tag::INTEGER)?;
        let zeros = modulus.iter().take_while(|&&byte| byte == 0).count();
        let top = modulus.get(zeros)?;
        Some((modulus.len() - zeros) * 8 - top.leading_zeros() as usize)
    }
}

impl<'a> Extensions<'a> {
    /// Takes the contents of `[3]`.
    fn parse(tagged: &'a [u8]) -> Option<Self> {
        let mut tagged = Reader::new(tagged);
        let mut list = tagged.sequence()?;
        tagged.end()?;
        let mut found = Self::default();
        while !list.is_empty() {
            let mut extension = list.sequence()?;
            let name = extension.expect(tag::OID)?;
            // "critical" is webpki's business.
            if extension.next_is(tag::BOOLEAN) {
                boolean(extension.expect(tag::BOOLEAN)?)?;
            }
            let value = extension.expect(tag::OCTET_STRING)?;
            extension.end()?;
            let place = match name {
                oid::BASIC_CONSTRAINTS => &mut found.basic_constraints,
                oid::KEY_USAGE => &mut found.key_usage,
                oid::SUBJECT_ALT_NAME => &mut found.subject_alt_name,
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

fn is_authority(value: &[u8]) -> Option<bool> {
    let mut outer = Reader::new(value);
    let mut fields = outer.sequence()?;
    outer.end()?;
    let mut is_authority = false;
    if fields.next_is(tag::BOOLEAN) {
        is_authority = boolean(fields.expect(tag::BOOLEAN)?)?;
    }
    // pathLenConstraint, which webpki obeys.
    if fields.next_is(tag::INTEGER) {
        fields.element()?;
    }
    fields.end()?;
    Some(is_authority)
}

fn key_usage(value: &[u8]) -> Option<KeyUsage> {
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

/// How many URIs there are, readable or not, and the first.
fn uris(value: &[u8]) -> Option<(usize, &[u8])> {
    const URI: u8 = tag::context(6);
    let mut outer = Reader::new(value);
    let mut names = outer.sequence()?;
    outer.end()?;
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
    Some((count, first))
}

/// What a development authority needs to know of its own certificate.
#[cfg(feature = "dev-ca")]
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Authority<'a> {
    pub(crate) domain: TrustDomain,
    /// DER, without its header.
    pub(crate) subject: Vec<u8>,
    /// subjectPublicKey.
    pub(crate) key: &'a [u8],
    pub(crate) not_before: std::time::SystemTime,
    pub(crate) not_after: std::time::SystemTime,
}

/// Reads an authority's certificate whose one URI names its trust domain: `spiffe://<trust domain>`.
#[cfg(feature = "dev-ca")]
pub(crate) fn authority_of(der: &[u8]) -> Result<Authority<'_>, CertificateError> {
    let certificate = Certificate::parse(der, 0)?;
    certificate.check_authority()?;
    let uri = std::str::from_utf8(certificate.uri).unwrap_or_default();
    let (domain, path) = split(uri).map_err(CertificateError::SpiffeId)?;
    if certificate.uris != 1 || path.is_some() {
        return Err(CertificateError::NoUri);
    }
    Ok(Authority {
        domain: domain.parse().map_err(CertificateError::SpiffeId)?,
        subject: certificate.subject.to_vec(),
        key: certificate.key.bits,
        not_before: certificate.validity.start(),
        not_after: certificate.validity.end(),
    })
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
