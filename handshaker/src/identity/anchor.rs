//! A trusted authority.

use std::ops::Range;

use pki_types::CertificateDer;

use super::certificate::Certificate;
use super::error::CertificateError;

/// The certificate of an authority. Only its name, key, name constraints and validity count (RFC 5280, section 6.1.1).
#[derive(Clone, Debug)]
pub(super) struct Anchor {
    der: Box<[u8]>,
    subject: Range<usize>,
}

impl Anchor {
    /// Reads the certificate at `position` of a bundle, if it can be used as an authority's.
    pub(super) fn parse(der: &[u8], position: usize) -> Result<Self, CertificateError> {
        let certificate = Certificate::parse(der, position)?;
        certificate.check_authority()?;
        if !certificate.key.is_supported() {
            return Err(CertificateError::UnsupportedKey { position });
        }
        webpki::anchor_from_trusted_cert(&CertificateDer::from(der))
            .map_err(|_| CertificateError::Malformed { position, part: "extensions or names" })?;
        let start = certificate.subject.as_ptr().addr() - der.as_ptr().addr();
        let subject = start..start + certificate.subject.len();
        Ok(Self { der: der.into(), subject })
    }

    /// The contents of the name.
    pub(super) fn subject(&self) -> &[u8] {
        &self.der[self.subject.clone()]
    }

    pub(super) fn certificate(&self) -> Result<Certificate<'_>, CertificateError> {
        Certificate::parse(&self.der, 0)
    }
}
