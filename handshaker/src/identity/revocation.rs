//! Lists of revoked certificates (RFC 5280, section 5).
//!
//! A list counts for the certificates of the key that signed it; a matching name alone is not enough. All lists of a key that
//! are current count, in whatever order they were loaded: a certificate on any of them is revoked.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

#[cfg(feature = "workload-api")]
use super::anchor::Anchor;
use super::certificate::Certificate;
use super::der::{Reader, boolean, tag};
use super::digest::Digest;
use super::error::CertificateError;
use super::signed::{Signed, SubjectKey};
use super::validity::time;

/// For how many keys a list remembers whether it was signed with them. Verifying takes time that grows with the list, some 14 ms
/// for 16 MiB, which no peer shall cause again and again. Only keys of authorities on a verified path are tried.
const MAX_REMEMBERED_KEYS: usize = 16;

/// A list that could be read. Whose it is shows when it is used.
#[derive(Debug)]
pub(super) struct RevocationList {
    der: Box<[u8]>,
    /// The contents of the name.
    issuer: Range<usize>,
    message: Range<usize>,
    algorithm: Range<usize>,
    signature: Range<usize>,
    /// Until when the list is current, in seconds since 1970.
    next_update: u64,
    scope: Scope,
    /// Where the serial numbers are, in the order of the numbers' bytes.
    serials: Vec<(u32, u8)>,
    /// Keys, and whether they signed the list.
    signers: Mutex<VecDeque<(Digest, bool)>>,
}

/// Which of the issuer's certificates the list is about.
#[derive(Debug)]
struct Scope {
    leaves: bool,
    authorities: bool,
    /// The value of issuingDistributionPoint, if it names distribution points.
    points: Option<Range<usize>>,
}

/// The contents of the extension's object identifier.
const ISSUING_DISTRIBUTION_POINT: &[u8] = &[0x55, 0x1D, 0x1C];

impl RevocationList {
    /// Reads a list in DER. On an error the answer says what is wrong with it.
    pub(super) fn parse(der: &[u8]) -> Result<Self, String> {
        // webpki is strict about entries and extensions, and refuses kinds that are not supported: delta lists, indirect lists,
        // lists of some reasons only.
        let list = webpki::BorrowedCertRevocationList::from_der(der)
            .map_err(|fault| format!("{fault:?}"))?;
        for entry in &list {
            entry.map_err(|fault| format!("an entry: {fault:?}"))?;
        }
        Self::read(der).ok_or_else(|| "it is not DER".to_owned())
    }

    fn read(der: &[u8]) -> Option<Self> {
        let range = |part: &[u8]| {
            let start = part.as_ptr().addr() - der.as_ptr().addr();
            start..start + part.len()
        };
        let mut outer = Reader::new(der);
        let mut list = outer.sequence()?;
        outer.end()?;
        let tbs = list.element().filter(|tbs| tbs.tag == tag::SEQUENCE)?;
        let algorithm = list.expect(tag::SEQUENCE)?;
        let signature = list.whole_bytes()?;
        list.end()?;

        let mut fields = Reader::new(tbs.contents);
        fields.expect(tag::INTEGER)?;
        if fields.expect(tag::SEQUENCE)? != algorithm {
            return None;
        }
        let issuer = fields.expect(tag::SEQUENCE)?;
        // thisUpdate is not looked at: clocks differ, and a list that has just been made would not count.
        time(&mut fields)?;
        let next_update = time(&mut fields)?;
        let mut serials = Vec::new();
        if fields.next_is(tag::SEQUENCE) {
            let mut entries = fields.sequence()?;
            while !entries.is_empty() {
                let serial = entries.sequence()?.integer()?;
                let at = range(serial);
                serials.push((u32::try_from(at.start).ok()?, u8::try_from(at.len()).ok()?));
            }
        }
        serials.sort_unstable_by_key(|&serial| serial_at(der, serial));
        serials.shrink_to_fit();
        let mut scope = Scope { leaves: true, authorities: true, points: None };
        if fields.next_is(tag::context_constructed(0)) {
            let mut extensions =
                Reader::new(fields.expect(tag::context_constructed(0))?).sequence()?;
            while !extensions.is_empty() {
                let mut extension = extensions.sequence()?;
                let name = extension.expect(tag::OID)?;
                if extension.next_is(tag::BOOLEAN) {
                    extension.element()?;
                }
                let value = extension.expect(tag::OCTET_STRING)?;
                if name == ISSUING_DISTRIBUTION_POINT {
                    scope = Scope::load(value, || range(value))?;
                }
            }
        }
        fields.end()?;
        Some(Self {
            issuer: range(issuer),
            message: range(tbs.whole),
            algorithm: range(algorithm),
            signature: range(signature),
            next_update,
            scope,
            serials,
            signers: Mutex::default(),
            der: der.into(),
        })
    }

    /// The contents of the issuer's name in a list that perhaps cannot be read otherwise.
    #[cfg(feature = "workload-api")]
    pub(super) fn issuer_of(der: &[u8]) -> Option<&[u8]> {
        let mut fields = Reader::new(der).sequence()?.sequence()?;
        if fields.next_is(tag::INTEGER) {
            fields.element()?;
        }
        fields.expect(tag::SEQUENCE)?;
        fields.expect(tag::SEQUENCE)
    }

    /// Whether this authority made the list.
    #[cfg(feature = "workload-api")]
    pub(super) fn is_by(&self, authority: &Anchor) -> bool {
        self.part(&self.issuer) == authority.subject()
            && authority.certificate().is_ok_and(|certificate| self.is_signed_by(certificate.key))
    }

    /// How many certificates are on the list.
    pub(super) fn len(&self) -> usize {
        self.serials.len()
    }

    fn part(&self, range: &Range<usize>) -> &[u8] {
        &self.der[range.clone()]
    }

    fn contains(&self, serial: &[u8]) -> bool {
        self.serials
            .binary_search_by_key(&significant(serial), |&listed| serial_at(&self.der, listed))
            .is_ok()
    }

    /// Whether the list was signed with `key`. Costs a public-key operation the first time.
    fn is_signed_by(&self, key: SubjectKey<'_>) -> bool {
        let digest = key.digest();
        let lock = || self.signers.lock().unwrap_or_else(PoisonError::into_inner);
        let known = lock().iter().find(|(known, _)| *known == digest).map(|&(_, is)| is);
        known.unwrap_or_else(|| {
            let signed = Signed {
                message: self.part(&self.message),
                algorithm: self.part(&self.algorithm),
                signature: self.part(&self.signature),
            };
            let is = signed.is_by(key);
            let mut signers = lock();
            if signers.len() == MAX_REMEMBERED_KEYS {
                signers.pop_front();
            }
            signers.push_back((digest, is));
            is
        })
    }
}

/// A serial number without the zeros in front, which mean nothing.
fn significant(serial: &[u8]) -> &[u8] {
    let zeros = serial.iter().take_while(|&&byte| byte == 0).count();
    &serial[zeros..]
}

fn serial_at(der: &[u8], (start, len): (u32, u8)) -> &[u8] {
    let start = start as usize;
    significant(&der[start..start + usize::from(len)])
}

impl Scope {
    /// Takes the value of issuingDistributionPoint. webpki has refused the fields that are not read here.
    fn load(value: &[u8], range: impl FnOnce() -> Range<usize>) -> Option<Self> {
        let mut fields = Reader::new(value).sequence()?;
        let mut scope = Self { leaves: true, authorities: true, points: None };
        while !fields.is_empty() {
            let field = fields.element()?;
            match field.tag {
                0xA0 => scope.points = Some(0..0),
                0x81 if boolean(field.contents)? => scope.authorities = false,
                0x82 if boolean(field.contents)? => scope.leaves = false,
                _ => {}
            }
        }
        scope.points = scope.points.is_some().then(range);
        Some(scope)
    }

    fn includes(&self, der: &[u8], certificate: &Certificate<'_>, is_leaf: bool) -> bool {
        let of_kind = if is_leaf { self.leaves } else { self.authorities };
        let of_point = self.points.as_ref().is_none_or(|points| {
            // A certificate that does not say where its list is may be on any part of a divided list.
            let wanted = certificate.distribution_points.and_then(points_of_certificate);
            let wanted = wanted.unwrap_or_default();
            let own = points_of_list(&der[points.clone()]).unwrap_or_default();
            own.iter().any(|uri| wanted.contains(uri))
        });
        of_kind && of_point
    }
}

/// The URIs in the `[0]` of issuingDistributionPoint.
fn points_of_list(value: &[u8]) -> Option<Vec<&[u8]>> {
    let point = Reader::new(value).sequence()?.expect(tag::context_constructed(0))?;
    full_names(point)
}

/// The URIs in cRLDistributionPoints, less those that are for some reasons or of another issuer only.
fn points_of_certificate(value: &[u8]) -> Option<Vec<&[u8]>> {
    let mut points = Reader::new(value).sequence()?;
    let mut uris = Vec::new();
    while !points.is_empty() {
        let mut point = points.sequence()?;
        if point.next_is(tag::context_constructed(0)) {
            let name = point.expect(tag::context_constructed(0))?;
            if point.is_empty() {
                uris.extend(full_names(name).unwrap_or_default());
            }
        }
    }
    Some(uris)
}

/// The URIs of a `DistributionPointName` that is a fullName.
fn full_names(name: &[u8]) -> Option<Vec<&[u8]>> {
    let mut names = Reader::new(Reader::new(name).expect(tag::context_constructed(0))?);
    let mut uris = Vec::new();
    while !names.is_empty() {
        let name = names.element()?;
        if name.tag == tag::context(6) {
            uris.push(name.contents);
        }
    }
    Some(uris)
}

/// The authority that issued a certificate, as far as its lists go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Issuer<'a> {
    pub(super) key: SubjectKey<'a>,
    pub(super) may_sign_lists: bool,
}

/// Refuses a certificate that is on a current list of its issuer, and one that no current list of its issuer covers. `now` is in
/// seconds since 1970, and so is the answer: when the first of the lists that cover the certificate ends.
pub(super) fn check<'a>(
    lists: impl IntoIterator<Item = &'a RevocationList>,
    certificate: &Certificate<'_>,
    is_leaf: bool,
    issuer: Issuer<'_>,
    now: u64,
) -> Result<u64, CertificateError> {
    let mut covered_until: Option<u64> = None;
    for list in lists {
        let is_current = now < list.next_update;
        // The name is looked at because one key may serve authorities of several names. The key decides.
        if is_current
            && issuer.may_sign_lists
            && list.part(&list.issuer) == certificate.issuer
            && list.is_signed_by(issuer.key)
        {
            if list.contains(certificate.serial) {
                return Err(CertificateError::Revoked);
            }
            if list.scope.includes(&list.der, certificate, is_leaf) {
                let end = covered_until.unwrap_or(u64::MAX);
                covered_until = Some(end.min(list.next_update));
            }
        }
    }
    covered_until.ok_or(CertificateError::RevocationUnknown)
}
