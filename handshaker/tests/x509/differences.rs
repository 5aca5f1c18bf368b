//! Why verdicts may differ.

use std::path::Path;

use alts_handshaker::identity::{CertificateError, IdentityError};

use super::chains::Chain;
use super::judges::{Refusal, openssl, webpki};

/// This package accepts, and openssl does not. There are no other reasons. (openssl wants a list for an anchor's own certificate,
/// too; so the lists of roots here cover everything.)
const FIRST_ISSUER: &str =
    "accepted; it takes the first issuer or list that has the right name, and looks for no other";
const FUTURE_LIST: &str = "accepted; a list counts before its thisUpdate, since clocks differ; what it revokes is revoked";
const KEY_IDS: &str = "accepted; key identifiers are hints here, and the signature decides";
const CRITICAL_IN_ANCHOR: &str = "accepted; unknown critical extensions of an anchor do not count";
const ANCHORS_LIST: &str = "accepted; whether an anchor has cRLSign does not count, since its lists were given along with it";
const SELF_ISSUED_CA: &str =
    "accepted; it takes a certificate that has its issuer's name for self-signed";

/// This package refuses, and the others do not.
const SVID: &str = "refused; SPIFFE's rules about leaves: one URI, digitalSignature, no authority";
const DER: &str =
    "refused; certificates and lists are DER, and have no other fields than they need";
const AUTHORITY: &str = "refused; an authority says in basicConstraints that it is one";
const NAMES: &str = "refused; names of issuers are compared byte for byte";
const FORMS: &str = "refused; constraints on a form of name that is not compared";
const ANY_LIST: &str =
    "refused; a certificate is revoked that is on any current list of its issuer";
const KEYS_LIST: &str =
    "refused; a list is about the certificates of the key that signed it, and not of a namesake's";

/// Differences from rustls-webpki alone.
const ON_URIS: &str = "accepted; it refuses all constraints on URIs";
const SELF_ISSUED: &str = "accepted; it counts self-issued certificates as intermediates";
const OTHER_WAY: &str =
    "accepted; it names the fault of another path, and not why it does not take this one";
const ANCHOR: &str = "refused; it does not look at an anchor's validity, path length and purposes";
const KEY_USAGE: &str = "refused; it does not look at keyUsage";

/// What this package alone demands of a chain.
fn stricter(refusal: &Refusal) -> Option<&'static str> {
    use CertificateError as Fault;
    let fault = match refusal {
        Refusal::Load(IdentityError::Anchor(Fault::NotAnAuthority { .. }))
        | Refusal::UnusableAnchor(_) => return Some(AUTHORITY),
        Refusal::Load(IdentityError::Anchor(_) | IdentityError::RevocationList(_)) => {
            return Some(DER);
        }
        Refusal::Load(_) => return None,
        Refusal::Chain(fault) => fault,
    };
    Some(match fault {
        Fault::NotAnAuthority { .. } => AUTHORITY,
        Fault::Malformed { .. } | Fault::UnsupportedKey { .. } | Fault::Invalid(BROKEN) => DER,
        Fault::AuthorityAsLeaf
        | Fault::LeafMaySign
        | Fault::NoDigitalSignature
        | Fault::NoUri
        | Fault::SeveralUris(_)
        | Fault::SpiffeId(_)
        | Fault::UnknownTrustDomain(_) => SVID,
        Fault::NameConstraints(text) if text.contains("not supported") => FORMS,
        _ => return None,
    })
}

const BROKEN: &str = "it breaks the rules of X.509";

pub(crate) fn from_webpki(
    chain: &Chain,
    ours: &Result<(), Refusal>,
    theirs: &Result<(), String>,
) -> Option<&'static str> {
    use CertificateError as Fault;
    match (ours, theirs) {
        (Ok(()), Err(fault)) => match fault.as_str() {
            "NameConstraintViolation" => Some(ON_URIS),
            "PathLenConstraintViolated" => Some(SELF_ISSUED),
            // A namesake above, which no part is without.
            "InvalidSignatureForPublicKey" if chain.has_self_issued => Some(OTHER_WAY),
            _ => parts(chain).any(|part| fails_on_uris(&part)).then_some(OTHER_WAY),
        },
        (Err(refusal), Ok(())) => stricter(refusal).or(match refusal {
            Refusal::Chain(
                Fault::Expired
                | Fault::NotYetValid
                | Fault::WrongExtendedKeyUsage
                | Fault::Invalid(_),
            ) => Some(ANCHOR),
            Refusal::Chain(Fault::Untrusted) => Some(KEY_USAGE),
            _ => None,
        }),
        _ => None,
    }
}

pub(crate) fn from_openssl(
    chain: &Chain,
    ours: &Result<(), Refusal>,
    theirs: &Result<(), String>,
    folder: &Path,
) -> Option<&'static str> {
    use CertificateError as Fault;
    match (ours, theirs) {
        (Ok(()), Err(fault)) if fault.starts_with("11 ") => Some(FUTURE_LIST),
        // An intermediate without it has no lists here, and is refused.
        (Ok(()), Err(fault)) if fault.starts_with("35 ") => Some(ANCHORS_LIST),
        (Ok(()), Err(fault)) if fault.starts_with("34 ") && chain.anchor_is_odd => {
            Some(CRITICAL_IN_ANCHOR)
        }
        (Ok(()), Err(fault))
            if (fault.starts_with("18 ") || fault.starts_with("19 ")) && chain.has_self_issued =>
        {
            Some(SELF_ISSUED_CA)
        }
        (Ok(()), Err(_)) if parts(chain).any(|part| openssl(&part, folder).is_ok()) => {
            Some(FIRST_ISSUER)
        }
        // No part helps where a namesake is an anchor.
        (Ok(()), Err(fault))
            if fault.starts_with("7 ") && (chain.has_self_issued || webpki(chain).is_ok()) =>
        {
            Some(FIRST_ISSUER)
        }
        (Ok(()), Err(_)) if chain.has_odd_key_ids => Some(KEY_IDS),
        (Err(Refusal::Chain(Fault::Untrusted)), Ok(())) if chain.is_damaged => Some(NAMES),
        (Err(Refusal::Chain(Fault::Revoked)), Ok(())) if chain.lists.len() > 1 => Some(ANY_LIST),
        (Err(Refusal::Chain(Fault::RevocationUnknown)), Ok(())) if chain.has_self_issued => {
            Some(KEYS_LIST)
        }
        (Err(refusal), Ok(())) => stricter(refusal),
        _ => None,
    }
}

/// Whether rustls-webpki finds a path in which it likes everything but the constraints on names.
fn fails_on_uris(part: &Chain) -> bool {
    matches!(webpki(part), Err(webpki::Error::NameConstraintViolation))
}

/// The chain with one of its anchors, and without some of the certificates and lists.
fn parts(chain: &Chain) -> impl Iterator<Item = Chain> {
    let some = |all: &[Vec<u8>], set: usize| -> Vec<Vec<u8>> {
        let chosen = all.iter().enumerate().filter(|(place, _)| set >> place & 1 == 1);
        chosen.map(|(_, der)| der.clone()).collect()
    };
    let sets = |all: &[Vec<u8>]| 0..1_usize << all.len();
    let with_lists = usize::from(!chain.lists.is_empty());
    (chain.anchors.iter()).flat_map(move |anchor| {
        let lists = sets(&chain.lists).filter(move |&set| set >= with_lists);
        lists.flat_map(move |listed| {
            sets(&chain.others).map(move |set| Chain {
                leaf: chain.leaf.clone(),
                others: some(&chain.others, set),
                anchors: vec![anchor.clone()],
                lists: some(&chain.lists, listed),
                ..*chain
            })
        })
    })
}
