//! What is read from a certificate.
//!
//! rustls-webpki reads the certificates of a path too, and a certificate has to be one to both. But it does not look at keyUsage,
//! passes over URIs that it cannot read, refuses every constraint on URIs, and gives access to little of what it reads.

mod extensions;

use std::fmt::Write as _;

use pki_types::CertificateDer;
use webpki::EndEntityCert;

use super::constraints::NameConstraints;
use super::der::{Reader, tag};
use super::error::CertificateError;
use super::key::{KeyKind, PublicKey};
use super::signed::{Signed, SubjectKey};
use super::spiffe::SpiffeId;
#[cfg(feature = "dev-ca")]
use super::spiffe::{TrustDomain, split};
use super::validity::Validity;
use extensions::{Extensions, KeyUsage};

pub(super) use extensions::{Purpose, Purposes};

/// The largest RSA key, in bits. Verifying takes time that grows with the square of it, and a peer chooses its keys.
const MAX_RSA_BITS: usize = 4_096;

/// The smallest RSA key of a leaf. (webpki has the same limit for issuers.)
const MIN_RSA_BITS: usize = 2_048;

/// A certificate that could be read. Nothing about it is proved.
#[derive(Debug)]
pub(super) struct Certificate<'a> {
    /// Where it stands in its chain or file, for errors.
    pub(super) position: usize,
    pub(super) der: &'a [u8],
    /// The contents of serialNumber.
    pub(super) serial: &'a [u8],
    /// The contents of the name.
    pub(super) issuer: &'a [u8],
    /// The contents of the name.
    pub(super) subject: &'a [u8],
    pub(super) validity: Validity,
    pub(super) key: SubjectKey<'a>,
    /// The size of an RSA key's modulus.
    rsa_bits: Option<usize>,
    pub(super) signed: Signed<'a>,
    is_authority: bool,
    path_length: Option<usize>,
    key_usage: Option<KeyUsage>,
    purposes: Option<Purposes>,
    pub(super) name_constraints: Option<NameConstraints<'a>>,
    /// Hints as to which issuer's key it is.
    pub(super) subject_key_id: Option<&'a [u8]>,
    pub(super) authority_key_id: Option<&'a [u8]>,
    /// The names in subjectAltName, without the sequence's header.
    pub(super) names: &'a [u8],
    uris: usize,
    /// The first of `uris`.
    uri: &'a [u8],
    /// The value of cRLDistributionPoints.
    pub(super) distribution_points: Option<&'a [u8]>,
}

/// Reads an extension that may be absent.
fn read<'a, T>(
    value: Option<&'a [u8]>,
    read: impl FnOnce(&'a [u8]) -> Option<T>,
    bad: CertificateError,
) -> Result<Option<T>, CertificateError> {
    value.map(|value| read(value).ok_or(bad)).transpose()
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
        let serial = fields.integer().ok_or(bad("serialNumber"))?;
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
        let found = Extensions::parse(extensions).ok_or(bad("extensions"))?;

        let key_usage = read(found.key_usage, extensions::key_usage, bad("keyUsage"))?;
        let purposes =
            read(found.extended_key_usage, extensions::purposes, bad("extendedKeyUsage"))?;
        let constraints =
            read(found.basic_constraints, extensions::basic_constraints, bad("basicConstraints"))?;
        let (is_authority, path_length) = constraints.unwrap_or((false, None));
        let names = read(found.subject_alt_name, extensions::uris, bad("subjectAltName"))?;
        let (names, uris, uri) = names.unwrap_or((&[], 0, &[]));
        let name_constraints =
            read(found.name_constraints, NameConstraints::load, bad("nameConstraints"))?;
        let rsa_bits = match key.is_rsa() {
            true => Some(key.rsa_bits().ok_or(bad("RSAPublicKey"))?),
            false => None,
        };
        let signed = Signed { message: tbs.whole, algorithm, signature };
        Ok(Self {
            position,
            der,
            serial,
            issuer,
            subject,
            validity,
            key,
            rsa_bits,
            signed,
            is_authority,
            path_length,
            key_usage,
            purposes,
            name_constraints,
            // Hints and nothing more: one that cannot be read is none.
            subject_key_id: found.subject_key_id.and_then(extensions::subject_key_id),
            authority_key_id: found.authority_key_id.and_then(extensions::authority_key_id),
            names,
            uris,
            uri,
            distribution_points: found.distribution_points,
        })
    }

    /// The serial number as `openssl x509 -serial` shows it.
    pub(super) fn shown_serial(&self) -> String {
        // A zero in front says only that the number is not negative.
        let digits = match self.serial {
            [0, digits @ ..] if !digits.is_empty() => digits,
            digits => digits,
        };
        digits.iter().fold(String::new(), |mut shown, byte| {
            // Writing to a string does not fail.
            let _ = write!(shown, "{byte:02X}");
            shown
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
        if let Some(bits) = self.rsa_bits
            && bits < MIN_RSA_BITS
        {
            return Err(CertificateError::RsaKeyTooSmall { bits });
        }
        self.check_key_size()?;
        Ok(PublicKey { kind, bytes: self.key.bits.into() })
    }

    /// Whether the certificate may issue others, by what it says itself.
    pub(super) fn check_authority(&self) -> Result<(), CertificateError> {
        // RFC 5280, section 4.2.1.3: without keyUsage, any use is allowed.
        if !self.is_authority || !self.key_usage.is_none_or(KeyUsage::cert_sign) {
            return Err(CertificateError::NotAnAuthority { position: self.position });
        }
        self.check_key_size()
    }

    /// Whether lists of revoked certificates may be signed with the certificate's key.
    pub(super) fn may_sign_revocation_lists(&self) -> bool {
        self.key_usage.is_none_or(KeyUsage::crl_sign)
    }

    pub(super) fn check_purpose(&self, purpose: Purpose) -> Result<(), CertificateError> {
        match self.purposes {
            Some(purposes) if !purposes.allow(purpose) => {
                Err(CertificateError::WrongExtendedKeyUsage)
            }
            _ => Ok(()),
        }
    }

    /// In which roles the certificate may be used.
    pub(super) fn purposes(&self) -> Purposes {
        self.purposes.unwrap_or(Purposes { server: true, client: true })
    }

    /// Whether the certificate may have `intermediates` others between itself and a leaf.
    pub(super) fn check_path_length(&self, intermediates: usize) -> Result<(), CertificateError> {
        match self.path_length {
            Some(most) if intermediates > most => {
                Err(CertificateError::Invalid("an issuer's path length constraint is exceeded"))
            }
            _ => Ok(()),
        }
    }

    /// Whether the certificate is one to rustls-webpki too, which is strict about encodings and refuses critical extensions that
    /// it does not know.
    pub(super) fn check_strictly(&self) -> Result<(), CertificateError> {
        let der = CertificateDer::from(self.der);
        match EndEntityCert::try_from(&der) {
            Ok(_) => Ok(()),
            Err(webpki::Error::UnsupportedCriticalExtension) => {
                Err(CertificateError::Invalid("a critical extension that is not supported"))
            }
            Err(_) => Err(CertificateError::Invalid("it breaks the rules of X.509")),
        }
    }

    fn check_key_size(&self) -> Result<(), CertificateError> {
        match self.rsa_bits {
            Some(bits) if bits > MAX_RSA_BITS => {
                Err(CertificateError::RsaKeyTooLarge { position: self.position, bits })
            }
            _ => Ok(()),
        }
    }

    /// Whether issuer and subject have one name.
    pub(super) fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }

    /// Whether both are certificates of one authority: one name and one key.
    pub(super) fn is_same_authority(&self, subject: &[u8], key: SubjectKey<'_>) -> bool {
        self.subject == subject && self.key == key
    }
}

/// What a development authority needs to know of its certificate.
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
