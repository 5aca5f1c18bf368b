//! Revocation lists.

use alts_handshaker::identity::{CertificateError, ChainVerifier, IdentityError, TrustBundles};
use alts_handshaker::{AlertCode, Role};
use rcgen::{CrlDistributionPoint, CrlIssuingDistributionPoint, CrlScope, SerialNumber};

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
    for late in [60, 61] {
        assert_eq!(
            verify_at(&home, &lists, &[&leaf.der], NOW + late),
            Err(CertificateError::RevocationUnknown)
        );
    }
    assert_eq!(CertificateError::RevocationUnknown.code(), AlertCode::BadCertificate);
}

/// Not even beside one that is.
#[test]
fn a_list_counts_for_the_key_that_signed_it() {
    let home = Authority::root("home");
    let leaf = numbered(&home, 1_000);
    let namesake = Authority::root("home");
    let forged = namesake.crl(&[], NOW + HOUR);
    let unknown = Err(CertificateError::RevocationUnknown);
    assert_eq!(verify_at(&home, std::slice::from_ref(&forged), &[&leaf.der], NOW), unknown);
    // Whatever it says, and in any order.
    let (genuine, spiteful) = (home.crl(&[], NOW + HOUR), namesake.crl(&[1_000], NOW + HOUR));
    for lists in
        [[forged, genuine.clone()], [genuine.clone(), spiteful.clone()], [spiteful, genuine]]
    {
        assert_eq!(verify_at(&home, &lists, &[&leaf.der], NOW), Ok(()));
    }
}

/// An older list is current for as long as it says, whatever a newer one adds.
#[test]
fn all_current_lists_of_an_issuer_count_in_any_order() {
    let home = Authority::root("home");
    let (leaf, other) = (numbered(&home, 1_000), numbered(&home, 1_001));
    let (older, newer) = (home.crl(&[7], NOW + 60), home.crl(&[7, 1_000], NOW + HOUR));
    for lists in [[older.clone(), newer.clone()], [newer, older.clone()]] {
        let revoked = Err(CertificateError::Revoked);
        assert_eq!(verify_at(&home, &lists, &[&leaf.der], NOW), revoked);
        assert_eq!(verify_at(&home, &lists, &[&leaf.der], NOW + 61), revoked);
        assert_eq!(verify_at(&home, &lists, &[&other.der], NOW), Ok(()));
        assert_eq!(verify_at(&home, &lists, &[&other.der], NOW + 61), Ok(()));
    }
    // One that has ended takes nothing away from one that has not.
    let ended = home.crl(&[], NOW - 60);
    for lists in [[ended.clone(), older.clone()], [older, ended]] {
        assert_eq!(verify_at(&home, &lists, &[&leaf.der], NOW), Ok(()));
    }
}

/// An authority that changed its key has the old name, and a list under each key.
#[test]
fn each_key_of_an_authority_has_its_own_lists() {
    let (old, new) = (Authority::root("home"), Authority::root("home"));
    let bundle = format!("{}{}", old.pem, new.pem);
    let (of_old, of_new) = (numbered(&old, 1_000), numbered(&new, 1_000));
    let (old_list, new_list) = (old.crl(&[1_000], NOW + HOUR), new.crl(&[], NOW + HOUR));
    for texts in [
        [bundle.clone(), old_list.clone(), new_list.clone()],
        [new_list.clone(), old_list.clone(), bundle.clone()],
        [old_list.clone(), bundle.clone(), new_list],
    ] {
        let mut trust = TrustBundles::new();
        trust.insert_pem(&domain("example.org"), texts.concat().as_bytes()).unwrap();
        let us = us(&new, trust);
        let verify = |leaf: &Leaf| {
            ChainVerifier::new().verify(&us, &[&leaf.der], Role::Client, now()).map(drop)
        };
        assert_eq!(verify(&of_old), Err(CertificateError::Revoked));
        assert_eq!(verify(&of_new), Ok(()));
    }
    // A list of one key says nothing about what the other has issued.
    let mut trust = TrustBundles::new();
    trust.insert_pem(&domain("example.org"), format!("{bundle}{old_list}").as_bytes()).unwrap();
    let us = us(&new, trust);
    let verified = ChainVerifier::new().verify(&us, &[&of_new.der], Role::Client, now()).map(drop);
    assert_eq!(verified.unwrap_err(), CertificateError::RevocationUnknown);
}

/// Scopes are as RFC 5280, section 5.2.5 has them. What a list revokes is revoked whatever its scope.
#[test]
fn a_list_covers_what_is_in_its_scope() {
    let home = Authority::root("home");
    let points = || vec![CrlDistributionPoint { uris: vec!["http://lists.example/1".into()] }];
    let middle = {
        let mut params = authority_params("middle");
        params.serial_number = Some(SerialNumber::from(77_u64));
        params.crl_distribution_points = points();
        home.intermediate_with(params)
    };
    let leaf = {
        let mut params = leaf_params("spiffe://example.org/peer");
        params.crl_distribution_points = points();
        middle.issue(&params)
    };
    let chain = [&leaf.der[..], &middle.der];
    let point = |scope| CrlIssuingDistributionPoint {
        distribution_point: CrlDistributionPoint { uris: vec!["http://lists.example/1".into()] },
        scope,
    };
    let list = |issuer: &Authority, scope, serials: &[u64]| {
        issuer.crl_with(serials, NOW + HOUR, Some(point(scope)))
    };
    let (users, authorities) = (Some(CrlScope::UserCertsOnly), Some(CrlScope::CaCertsOnly));
    let verify =
        |of_home: String, of_middle: String| verify_at(&home, &[of_home, of_middle], &chain, NOW);
    let unknown = Err(CertificateError::RevocationUnknown);
    assert_eq!(verify(list(&home, authorities, &[]), list(&middle, users, &[])), Ok(()));
    assert_eq!(verify(list(&home, None, &[]), list(&middle, None, &[])), Ok(()));
    assert_eq!(verify(list(&home, users, &[]), list(&middle, users, &[])), unknown);
    assert_eq!(verify(list(&home, authorities, &[]), list(&middle, authorities, &[])), unknown);
    let revoked = Err(CertificateError::Revoked);
    assert_eq!(verify(list(&home, users, &[77]), list(&middle, users, &[])), revoked);

    // A certificate that says where its list is needs that one. One that does not say it may be on any part of a divided list.
    let unknown = Err(CertificateError::RevocationUnknown);
    for (uri, expected) in [
        (Some("http://lists.example/1"), Ok(())),
        (Some("http://lists.example/2"), unknown.clone()),
        (None, unknown),
    ] {
        let mut params = leaf_params("spiffe://example.org/peer");
        params.crl_distribution_points = uri
            .map(|uri| CrlDistributionPoint { uris: vec!["ldap://other".into(), uri.into()] })
            .into_iter()
            .collect();
        let leaf = home.issue(&params);
        let lists = [list(&home, None, &[])];
        assert_eq!(verify_at(&home, &lists, &[&leaf.der], NOW), expected, "{uri:?}");
        let whole = [home.crl(&[], NOW + HOUR)];
        assert_eq!(verify_at(&home, &whole, &[&leaf.der], NOW), Ok(()));
    }
}

#[test]
fn an_issuer_without_crl_sign_has_no_lists() {
    let home = Authority::root("home");
    let mut params = authority_params("middle");
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let middle = home.intermediate_with(params.clone());
    // rcgen makes lists only of an issuer that may.
    params.key_usages.push(rcgen::KeyUsagePurpose::CrlSign);
    let key = rcgen::KeyPair::from_pem(&middle.issuer.key().serialize_pem()).unwrap();
    let allowed =
        Authority { der: Vec::new(), pem: String::new(), issuer: rcgen::Issuer::new(params, key) };
    let leaf = numbered(&middle, 1_000);
    let lists = [home.crl(&[], NOW + HOUR), allowed.crl(&[], NOW + HOUR)];
    assert_eq!(
        verify_at(&home, &lists, &[&leaf.der, &middle.der], NOW),
        Err(CertificateError::RevocationUnknown)
    );
}

/// Of an anchor, keyUsage does not count.
#[test]
fn a_root_without_crl_sign_has_lists_all_the_same() {
    let mut params = authority_params("home");
    params.key_usages = vec![rcgen::KeyUsagePurpose::KeyCertSign];
    let home = Authority::root_with(params.clone());
    params.key_usages.push(rcgen::KeyUsagePurpose::CrlSign);
    let key = rcgen::KeyPair::from_pem(&home.issuer.key().serialize_pem()).unwrap();
    let issuer = rcgen::Issuer::new(params, key);
    let allowed = Authority { der: Vec::new(), pem: String::new(), issuer };
    let (leaf, bad) = (numbered(&home, 1_000), numbered(&home, 1_001));
    let lists = [allowed.crl(&[1_001], NOW + HOUR)];
    assert_eq!(verify_at(&home, &lists, &[&leaf.der], NOW), Ok(()));
    assert_eq!(verify_at(&home, &lists, &[&bad.der], NOW), Err(CertificateError::Revoked));
}

/// One key under two names is two issuers.
#[test]
fn a_list_counts_for_the_name_that_it_has() {
    let home = Authority::root("home");
    let key = rcgen::KeyPair::from_pem(&home.issuer.key().serialize_pem()).unwrap();
    let issuer = rcgen::Issuer::new(authority_params("other name"), key);
    let other = Authority { der: Vec::new(), pem: String::new(), issuer };
    let leaf = numbered(&home, 1_000);
    let lists = [other.crl(&[], NOW + HOUR)];
    let unknown = Err(CertificateError::RevocationUnknown);
    assert_eq!(verify_at(&home, &lists, &[&leaf.der], NOW), unknown);
}

/// A distribution point for some reasons only is none for a whole list.
#[test]
fn a_point_for_some_reasons_is_not_the_lists() {
    let home = Authority::root("home");
    let uri = "http://lists.example/1";
    let name = [&[0x86, 22], uri.as_bytes()].concat();
    let wrap = |tag: u8, content: &[u8]| [&[tag, content.len() as u8], content].concat();
    let point = |reasons: &[u8]| {
        let full_name = wrap(0xA0, &wrap(0xA0, &name));
        wrap(0x30, &wrap(0x30, &[&full_name, reasons].concat()))
    };
    let scope = CrlIssuingDistributionPoint {
        distribution_point: CrlDistributionPoint { uris: vec![uri.into()] },
        scope: None,
    };
    let lists = [home.crl_with(&[], NOW + HOUR, Some(scope))];
    // The second has keyCompromise only.
    for (reasons, expected) in
        [(&[][..], Ok(())), (&[0x81, 2, 6, 0x40], Err(CertificateError::RevocationUnknown))]
    {
        let mut params = leaf_params("spiffe://example.org/peer");
        params.custom_extensions =
            vec![rcgen::CustomExtension::from_oid_content(&[2, 5, 29, 31], point(reasons))];
        let leaf = home.issue(&params);
        assert_eq!(verify_at(&home, &lists, &[&leaf.der], NOW), expected);
    }
}

#[test]
fn many_revoked_certificates_are_all_found() {
    let home = Authority::root("home");
    let serials: Vec<_> = (0..400).map(|number| 3 * number + 100).collect();
    let lists = [home.crl(&serials, NOW + HOUR)];
    for serial in [100, 127, 128, 130, 254, 256, 1_000, 1_297] {
        let leaf = numbered(&home, serial);
        let expected =
            if serials.contains(&serial) { Err(CertificateError::Revoked) } else { Ok(()) };
        assert_eq!(verify_at(&home, &lists, &[&leaf.der], NOW), expected, "{serial}");
    }
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
        ChainVerifier::new().verify(&us, &[&leaf.der], Role::Client, now()).map(drop),
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
        ChainVerifier::new().verify(&us, &[&bad.der], Role::Client, now()).map(drop),
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
