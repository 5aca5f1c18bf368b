//! The way from a leaf to an authority, through whatever certificates came along.
//!
//! What a peer sends behind its leaf is a bag: it may be in any order, have certificates twice, both halves of a cross-signed
//! intermediate, and some that have nothing to do with the leaf. Each issuer is found by its name, those whose key
//! identifier is the one that the certificate states first. So a chain that is sent as it should be costs one signature for
//! each certificate, and chains made up by unknown peers cost at most [`MAX_SIGNATURES`].

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use super::anchor::Anchor;
use super::certificate::{Certificate, Purpose, Purposes};
use super::constraints::{self, Comparisons};
use super::error::CertificateError;
use super::revocation::{self, RevocationList};
use super::validity::{Validity, seconds};

/// How many signatures are verified for one chain. The longest path takes 5; the rest is for issuers that share a name and
/// have no key identifiers. Each costs up to 0.1 ms of computing, for a peer that is not authenticated yet.
pub(super) const MAX_SIGNATURES: u32 = 16;

/// What a path has to satisfy.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a> {
    pub(super) purpose: Purpose,
    pub(super) now: SystemTime,
    /// If there are any, they have to cover every certificate of the path.
    pub(super) revocation_lists: &'a [Arc<RevocationList>],
}

/// A path that satisfies all rules.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Path {
    /// Which of the other certificates it uses, from the leaf's issuer on.
    pub(super) intermediates: Vec<usize>,
    /// When the intermediates and the authority are all valid.
    pub(super) validity: Validity,
    /// In which roles all of its certificates may be used, the leaf's included.
    pub(super) purposes: Purposes,
    /// When the first of the revocation lists that were needed ends, in seconds since 1970.
    pub(super) lists_end: Option<u64>,
}

/// Finds a path from `leaf` to one of the authorities.
pub(super) fn find<'a>(
    leaf: &'a Certificate<'a>,
    others: &'a [Certificate<'a>],
    anchors: &'a [Anchor],
    rules: Rules<'a>,
) -> Result<Path, CertificateError> {
    let is_named =
        |name: &[u8]| std::iter::once(leaf).chain(others).any(|below| below.issuer == name);
    let anchors = anchors.iter().filter(|anchor| is_named(anchor.subject()));
    let mut search = Search {
        leaf,
        others,
        anchors: anchors.map(Anchor::certificate).collect::<Result<_, _>>()?,
        rules,
        signatures: MAX_SIGNATURES,
        verified: BTreeMap::new(),
        comparisons: Comparisons::new(),
        refused: None,
        unusable: None,
    };
    let found = search.extend(&mut Vec::new());
    if let Ok(Some(path)) = found {
        return Ok(path);
    }
    // A path that leads to an authority and breaks a rule says more than one that leads nowhere.
    Err(match (search.refused, found) {
        (Some(fault), _) | (None, Err(fault)) => fault,
        (None, Ok(_)) => search.unusable.unwrap_or(CertificateError::Untrusted),
    })
}

/// A possible issuer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Issuer {
    Anchor(usize),
    Other(usize),
}

struct Search<'a> {
    leaf: &'a Certificate<'a>,
    others: &'a [Certificate<'a>],
    anchors: Vec<Certificate<'a>>,
    rules: Rules<'a>,
    /// How many may still be verified.
    signatures: u32,
    /// Which certificate (`None`: the leaf) is signed by which issuer.
    verified: BTreeMap<(Option<usize>, Issuer), bool>,
    comparisons: Comparisons,
    /// What is wrong with the first path that leads to an authority.
    refused: Option<CertificateError>,
    /// What is wrong with the first issuer that has the right name.
    unusable: Option<CertificateError>,
}

impl<'a> Search<'a> {
    fn certificate(&self, place: Option<usize>) -> &'a Certificate<'a> {
        place.map_or(self.leaf, |place| &self.others[place])
    }

    fn issuer(&self, issuer: Issuer) -> &Certificate<'a> {
        match issuer {
            Issuer::Anchor(place) => &self.anchors[place],
            Issuer::Other(place) => &self.others[place],
        }
    }

    /// Looks for a way on from the end of `path`. An error ends the search.
    fn extend(&mut self, path: &mut Vec<usize>) -> Result<Option<Path>, CertificateError> {
        let last = path.last().copied();
        for issuer in self.candidates(self.certificate(last)) {
            if self.is_on_path(issuer, path) {
                continue;
            }
            if let Err(fault) = self.check_issuer(issuer, path) {
                self.unusable.get_or_insert(fault);
                continue;
            }
            if !self.is_signed_by(last, issuer)? {
                continue;
            }
            match issuer {
                Issuer::Anchor(anchor) => match self.complete(path, anchor) {
                    Ok(path) => return Ok(Some(path)),
                    Err(fault) => {
                        self.refused.get_or_insert(fault);
                    }
                },
                Issuer::Other(place) => {
                    path.push(place);
                    let found = self.extend(path)?;
                    if found.is_some() {
                        return Ok(found);
                    }
                    path.pop();
                }
            }
        }
        Ok(None)
    }

    /// All that have the issuer's name, the likeliest first.
    fn candidates(&self, certificate: &Certificate<'_>) -> Vec<Issuer> {
        let anchors = (0..self.anchors.len()).map(Issuer::Anchor);
        let others = (0..self.others.len()).map(Issuer::Other);
        let mut candidates: Vec<_> = anchors
            .chain(others)
            .filter(|&issuer| self.issuer(issuer).subject == certificate.issuer)
            .collect();
        candidates.sort_by_key(|&candidate| {
            let issuer = self.issuer(candidate);
            let identified = match (certificate.authority_key_id, issuer.subject_key_id) {
                (Some(stated), Some(own)) if stated == own => 0,
                (Some(_), Some(_)) => 2,
                _ => 1,
            };
            let is_anchor = matches!(candidate, Issuer::Anchor(_));
            // Of certificates of one key, the one that is valid for longest, and not the one that was read first.
            (identified, !is_anchor, Reverse(issuer.validity.not_after))
        });
        candidates
    }

    /// RFC 5280, section 6.1: no authority stands on a path twice.
    fn is_on_path(&self, issuer: Issuer, path: &[usize]) -> bool {
        let issuer = self.issuer(issuer);
        let places = std::iter::once(None).chain(path.iter().copied().map(Some));
        places
            .map(|place| self.certificate(place))
            .any(|below| below.is_same_authority(issuer.subject, issuer.key))
    }

    /// Whether the issuer may have the certificates of `path` below it, in the role that is asked for, at this time.
    fn check_issuer(&self, issuer: Issuer, path: &[usize]) -> Result<(), CertificateError> {
        let certificate = self.issuer(issuer);
        if let Issuer::Other(_) = issuer {
            certificate.check_authority()?;
        }
        // RFC 5280, section 6.1.4 (l): an authority that certifies its own next key does not count. What an anchor says about
        // its path length and purposes binds it, too (RFC 5937, section 3.2).
        let counted = path.iter().filter(|&&place| !self.others[place].is_self_issued());
        certificate.check_path_length(counted.count())?;
        certificate.check_purpose(self.rules.purpose)?;
        if let Issuer::Other(_) = issuer {
            certificate.check_strictly()?;
        }
        certificate.validity.check(self.rules.now)
    }

    fn is_signed_by(
        &mut self,
        below: Option<usize>,
        issuer: Issuer,
    ) -> Result<bool, CertificateError> {
        if let Some(&is_signed) = self.verified.get(&(below, issuer)) {
            return Ok(is_signed);
        }
        let (signed, key) = (self.certificate(below).signed, self.issuer(issuer).key);
        if !signed.is_supported() {
            let fault = CertificateError::Invalid("a signature algorithm that is not supported");
            self.unusable.get_or_insert(fault);
        }
        if !signed.may_be_by(key) {
            return Ok(false);
        }
        self.signatures =
            self.signatures.checked_sub(1).ok_or(CertificateError::TooManySignatures)?;
        let is_signed = signed.is_by(key);
        self.verified.insert((below, issuer), is_signed);
        Ok(is_signed)
    }

    /// Applies the rules about whole paths.
    fn complete(&mut self, path: &[usize], anchor: usize) -> Result<Path, CertificateError> {
        let certificates: Vec<_> =
            std::iter::once(self.leaf).chain(path.iter().map(|&at| &self.others[at])).collect();
        let anchor = &self.anchors[anchor];
        let issuers: Vec<_> =
            certificates[1..].iter().copied().chain(std::iter::once(anchor)).collect();

        for (place, issuer) in issuers.iter().enumerate() {
            let Some(constraints) = issuer.name_constraints else { continue };
            for below in &certificates[..=place] {
                let (subject, names) = (below.subject, below.names);
                constraints::check(constraints, subject, names, &mut self.comparisons)?;
            }
        }
        let lists = self.rules.revocation_lists;
        let mut lists_end = None;
        if !lists.is_empty() {
            let now = seconds(self.rules.now);
            for (place, (certificate, issuer)) in certificates.iter().zip(&issuers).enumerate() {
                // Whether an anchor has cRLSign does not count: its lists were given along with it.
                let is_anchor = place == path.len();
                let issuer = revocation::Issuer {
                    key: issuer.key,
                    may_sign_lists: is_anchor || issuer.may_sign_revocation_lists(),
                };
                let lists = lists.iter().map(|list| &**list);
                let end = revocation::check(lists, certificate, place == 0, issuer, now)?;
                lists_end = Some(lists_end.map_or(end, |first: u64| first.min(end)));
            }
        }
        let validity =
            |validity: Validity, issuer: &&Certificate<'_>| validity.intersect(issuer.validity);
        let validity = issuers.iter().fold(anchor.validity, validity);
        let both = |one: Purposes, issuer: &&Certificate<'_>| one.and(issuer.purposes());
        let purposes = issuers.iter().fold(self.leaf.purposes(), both);
        Ok(Path { intermediates: path.to_vec(), validity, purposes, lists_end })
    }
}
