//! Revocation lists.

use alts_handshaker::identity::{CertificateError, ChainVerifier, IdentityError, TrustBundles};
use alts_handshaker::{AlertCode, Role};
use rcgen::SerialNumber;

use super::authority::{
    Authority, HOUR, Leaf, NOW, at, authority_params, domain, leaf_params, now, trust, us,
};

fn numbered(issuer: &Authority, serial: u64) -> Leaf {
    let mut params = leaf_params("spiffe://example.org/peer");
    params.serial_number = Some(SerialNumber::from(serial));
    issuer.issue(&params)
}

fn listing(home: &Authority, lists: &[String]) -> TrustBundles {
    let mut trust = trust(&[("example.org", home)]);
    for list in lists {
        trust.insert_crl_pem(&domain("example.org"), list.as_bytes()).unwrap();
    }
    trust
}

fn verify_at(
    home: &Authority,
    lists: &[String],
    chain: &[&[u8]],
    time: u64,
) -> Result<(), CertificateError> {
    let us = us(home, listing(home, lists));
    ChainVerifier::new().verify(&us, chain, Role::Client, at(time)).map(drop)
}

#[test]
fn a_revoked_leaf_is_refused() {
    let home = Authority::root("home");
    let (good, bad) = (numbered(&home, 1_000), numbered(&home, 1_001));
    let lists = [home.crl(&[1_001], NOW + HOUR)];
    assert_eq!(verify_at(&home, &[], &[&bad.der], NOW), Ok(()));
    assert_eq!(verify_at(&home, &lists, &[&good.der], NOW), Ok(()));
    let refused = verify_at(&home, &lists, &[&bad.der], NOW).unwrap_err();
    assert_eq!(refused, CertificateError::Revoked);
    assert_eq!(refused.code(), AlertCode::CertificateRevoked);
}

#[test]
fn a_revoked_issuer_is_refused() {
    let home = Authority::root("home");
    let mut params = authority_params("middle");
    params.serial_number = Some(SerialNumber::from(77_u64));
    let middle = home.intermediate_with(params);
    let leaf = numbered(&middle, 1_000);
    let chain = [&leaf.der[..], &middle.der];
    let lower = middle.crl(&[], NOW + HOUR);
    assert_eq!(verify_at(&home, &[home.crl(&[], NOW + HOUR), lower.clone()], &chain, NOW), Ok(()));
    assert_eq!(
        verify_at(&home, &[home.crl(&[77], NOW + HOUR), lower.clone()], &chain, NOW),
        Err(CertificateError::Revoked)
    );
    // With any list, every certificate needs one.
    let refused = Err(CertificateError::RevocationUnknown);
    assert_eq!(verify_at(&home, &[lower], &chain, NOW), refused);
    assert_eq!(verify_at(&home, &[home.crl(&[], NOW + HOUR)], &chain, NOW), refused);
}

#[test]
fn an_old_list_tells_nothing() {
    let home = Authority::root("home");
    let leaf = numbered(&home, 1_000);
    let lists = [home.crl(&[], NOW + 60)];
    assert_eq!(verify_at(&home, &lists, &[&leaf.der], NOW + 59), Ok(()));
    assert_eq!(
        verify_at(&home, &lists, &[&leaf.der], NOW + 61),
        Err(CertificateError::RevocationUnknown)
    );
    assert_eq!(CertificateError::RevocationUnknown.code(), AlertCode::BadCertificate);
}

#[test]
fn a_list_signed_by_another_is_no_list() {
    let home = Authority::root("home");
    let leaf = numbered(&home, 1_000);
    let forged = Authority::root("home").crl(&[], NOW + HOUR);
    assert_eq!(
        verify_at(&home, &[forged], &[&leaf.der], NOW).unwrap_err().to_string(),
        "the revocation list is not signed by the issuer"
    );
}

#[test]
fn lists_of_one_trust_domain_leave_the_others_alone() {
    let (home, partner) = (Authority::root("home"), Authority::root("partner"));
    let mut trust = listing(&home, &[home.crl(&[], NOW + HOUR)]);
    trust.insert_pem(&domain("partner.org"), partner.pem.as_bytes()).unwrap();
    let us = us(&home, trust);
    let leaf = partner.leaf("spiffe://partner.org/peer");
    assert!(ChainVerifier::new().verify(&us, &[&leaf.der], Role::Client, now()).is_ok());
}

#[test]
fn lists_alone_make_no_trust_domain() {
    let (home, partner) = (Authority::root("home"), Authority::root("partner"));
    let mut trust = trust(&[("example.org", &home)]);
    let list = partner.crl(&[], NOW + HOUR);
    trust.insert_crl_pem(&domain("partner.org"), list.as_bytes()).unwrap();
    let us = us(&home, trust);
    let leaf = partner.leaf("spiffe://partner.org/peer");
    assert_eq!(
        ChainVerifier::new().verify(&us, &[&leaf.der], Role::Client, now()),
        Err(CertificateError::UnknownTrustDomain(domain("partner.org")))
    );
}

#[test]
fn a_bundle_may_contain_its_lists() {
    let home = Authority::root("home");
    let bad = numbered(&home, 1_001);
    let mut trust = TrustBundles::new();
    let bundle = format!("{}{}", home.pem, home.crl(&[1_001], NOW + HOUR));
    trust.insert_pem(&domain("example.org"), bundle.as_bytes()).unwrap();
    let us = us(&home, trust);
    assert_eq!(
        ChainVerifier::new().verify(&us, &[&bad.der], Role::Client, now()),
        Err(CertificateError::Revoked)
    );
}

#[test]
fn a_malformed_list_is_refused_when_loaded() {
    let home = Authority::root("home");
    let mut trust = trust(&[("example.org", &home)]);
    let garbage = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
    assert!(matches!(
        trust.insert_crl_pem(&domain("example.org"), garbage.as_bytes()),
        Err(IdentityError::RevocationList(_))
    ));
    assert!(matches!(
        trust.insert_crl_pem(&domain("example.org"), home.pem.as_bytes()),
        Err(IdentityError::RevocationList(_))
    ));
}

#[test]
fn a_list_with_the_own_certificate_does_not_stop_this_side() {
    let home = Authority::root("home");
    let own = numbered(&home, 5);
    let trust = listing(&home, &[home.crl(&[5], NOW + HOUR)]);
    assert!(
        alts_handshaker::identity::Identity::from_pem(
            own.pem.as_bytes(),
            own.key_pem.as_bytes(),
            trust,
            now()
        )
        .is_ok()
    );
}
