//! Chains: sizes, order, validity, signatures, trust domains.

use alts_handshaker::identity::{CertificateError, ChainVerifier, Identity, SpiffeIdError};
use alts_handshaker::{AlertCode, Role};
use rcgen::{BasicConstraints, CustomExtension, IsCa, KeyUsagePurpose};

use super::authority::{
    Authority, HOUR, NOW, Setup, at, authority_params, date, domain, leaf_params, now, trust, us,
};

#[test]
fn a_good_leaf_is_accepted_in_both_roles() {
    let setup = Setup::new();
    let leaf = setup.home.leaf("spiffe://example.org/peer");
    for role in [Role::Client, Role::Server] {
        let claimed = setup.verify_at(&[&leaf.der], role, now()).unwrap();
        assert_eq!(claimed.id().as_str(), "spiffe://example.org/peer");
        let peer = leaf.prove(&claimed);
        assert_eq!(peer.id().as_str(), "spiffe://example.org/peer");
        assert_eq!(peer.peer().name(), "spiffe://example.org/peer");
        assert_eq!(peer.peer().spiffe_id(), Some(peer.id()));
        assert_eq!(peer.peer().not_after(), Some(at(NOW + HOUR)));
        assert!(peer.peer().attributes().is_empty());
    }
}

#[test]
fn four_intermediates_are_accepted_and_five_are_not() {
    let setup = Setup::new();
    let mut chain = Vec::new();
    let mut issuer = setup.home.intermediate("level 1");
    for level in 2..=6 {
        let next = issuer.intermediate(&format!("level {level}"));
        chain.insert(0, issuer.der.clone());
        let leaf = issuer.leaf("spiffe://example.org/peer");
        let mut whole = vec![&leaf.der[..]];
        whole.extend(chain.iter().map(|der| &der[..]));
        let verified = setup.verify(&whole);
        if whole.len() <= 5 {
            assert!(verified.is_ok(), "{} certificates", whole.len());
        } else {
            assert_eq!(verified, Err(CertificateError::TooMany(6)));
        }
        issuer = next;
    }
}

#[test]
fn the_root_may_come_along() {
    let setup = Setup::new();
    let middle = setup.home.intermediate("middle");
    let leaf = middle.leaf("spiffe://example.org/peer");
    assert!(setup.verify(&[&leaf.der, &middle.der, &setup.home.der]).is_ok());
}

#[test]
fn a_certificate_beyond_the_path_need_not_be_valid() {
    let setup = Setup::new();
    let leaf = setup.home.leaf("spiffe://example.org/peer");
    let mut params = authority_params("home");
    params.not_after = date(NOW - 1);
    let old_root = params.self_signed(setup.home.issuer.key()).unwrap();
    let verified = setup.verify(&[&leaf.der, old_root.der()]).unwrap();
    assert_eq!(verified.not_after(), at(NOW + HOUR));
}

#[test]
fn no_certificate_is_no_chain() {
    assert_eq!(Setup::new().verify(&[]), Err(CertificateError::Empty));
}

#[test]
fn validity_ends_with_the_second_of_not_after() {
    let setup = Setup::new();
    let leaf = setup.home.leaf("spiffe://example.org/peer");
    // Without a cache, lest that one answers.
    let verifier = ChainVerifier::with_cache(0, std::time::Duration::ZERO);
    let verify = |now| verifier.verify(&setup.us, &[&leaf.der], Role::Client, now).map(drop);
    let almost_a_second = std::time::Duration::from_millis(999);

    assert_eq!(verify(at(NOW - HOUR)), Ok(()));
    assert_eq!(verify(at(NOW - HOUR - 1)), Err(CertificateError::NotYetValid));
    assert_eq!(verify(at(NOW - HOUR - 1) + almost_a_second), Err(CertificateError::NotYetValid));
    assert_eq!(verify(at(NOW + HOUR)), Ok(()));
    assert_eq!(verify(at(NOW + HOUR) + almost_a_second), Ok(()));
    assert_eq!(verify(at(NOW + HOUR + 1)), Err(CertificateError::Expired));
    assert_eq!(verify(at(0)), Err(CertificateError::NotYetValid));
    let before_1970 = at(0) - std::time::Duration::from_secs(1);
    assert_eq!(verify(before_1970), Err(CertificateError::NotYetValid));

    assert_eq!(CertificateError::Expired.code(), AlertCode::CertificateExpired);
    assert_eq!(CertificateError::NotYetValid.code(), AlertCode::CertificateExpired);
}

#[test]
fn an_issuer_can_be_expired_or_too_young_too() {
    let setup = Setup::new();
    for (not_before, not_after, expected) in [
        (NOW - 10, NOW - 1, CertificateError::Expired),
        (NOW + 1, NOW + 10, CertificateError::NotYetValid),
    ] {
        let mut params = authority_params("middle");
        params.not_before = date(not_before);
        params.not_after = date(not_after);
        let middle = setup.home.intermediate_with(params);
        let leaf = middle.leaf("spiffe://example.org/peer");
        assert_eq!(setup.verify(&[&leaf.der, &middle.der]), Err(expected));
    }
}

#[test]
fn an_authority_is_not_used_outside_its_validity() {
    let mut params = authority_params("home");
    params.not_after = date(NOW + 60);
    let home = Authority::root_with(params);
    let us = us(&home, trust(&[("example.org", &home)]));
    assert_eq!(us.not_after(), at(NOW + 60));
    let leaf = home.leaf("spiffe://example.org/peer");
    let verifier = ChainVerifier::new();
    let peer = verifier.verify(&us, &[&leaf.der], Role::Client, now()).unwrap();
    assert_eq!(peer.not_after(), at(NOW + 60));
    let late = ChainVerifier::new().verify(&us, &[&leaf.der], Role::Client, at(NOW + 61)).map(drop);
    assert_eq!(late, Err(CertificateError::Expired));
}

#[test]
fn not_after_is_that_of_the_first_to_expire() {
    let setup = Setup::new();
    let mut params = authority_params("middle");
    params.not_after = date(NOW + 7);
    let middle = setup.home.intermediate_with(params);
    let leaf = middle.leaf("spiffe://example.org/peer");
    let peer = leaf.prove(&setup.verify(&[&leaf.der, &middle.der]).unwrap());
    assert_eq!(peer.peer().not_after(), Some(at(NOW + 7)));
}

#[test]
fn an_unknown_trust_domain_is_named() {
    let setup = Setup::new();
    let stranger = Authority::root("stranger").leaf("spiffe://stranger.org/peer");
    let fault = setup.verify(&[&stranger.der]).unwrap_err();
    assert_eq!(fault, CertificateError::UnknownTrustDomain(domain("stranger.org")));
    assert_eq!(fault.code(), AlertCode::UnknownTrustDomain);
    // It does not help that a known authority issued it.
    let leaf = setup.home.leaf("spiffe://stranger.org/peer");
    assert_eq!(setup.verify(&[&leaf.der]), Err(fault));
}

#[test]
fn an_authority_speaks_for_its_own_trust_domain_only() {
    let home = Authority::root("home");
    let partner = Authority::root("partner");
    let us = us(&home, trust(&[("example.org", &home), ("partner.org", &partner)]));
    let verify = |issuer: &Authority, id: &str| {
        let leaf = issuer.leaf(id);
        ChainVerifier::new().verify(&us, &[&leaf.der], Role::Client, now()).map(drop)
    };
    assert_eq!(verify(&home, "spiffe://example.org/peer"), Ok(()));
    assert_eq!(verify(&partner, "spiffe://partner.org/peer"), Ok(()));
    // The federated authority issues for the home domain, and the other way round.
    assert_eq!(verify(&partner, "spiffe://example.org/peer"), Err(CertificateError::Untrusted));
    assert_eq!(verify(&home, "spiffe://partner.org/peer"), Err(CertificateError::Untrusted));
    assert_eq!(CertificateError::Untrusted.code(), AlertCode::BadCertificate);

    // Nor may an intermediate of it.
    let middle = partner.intermediate("middle");
    let leaf = middle.leaf("spiffe://example.org/peer");
    let verified =
        ChainVerifier::new().verify(&us, &[&leaf.der, &middle.der], Role::Client, now()).map(drop);
    assert_eq!(verified, Err(CertificateError::Untrusted));
}

#[test]
fn a_namesake_of_the_authority_is_not_trusted() {
    let setup = Setup::new();
    let leaf = Authority::root("home").leaf("spiffe://example.org/peer");
    assert_eq!(setup.verify(&[&leaf.der]), Err(CertificateError::Untrusted));
}

#[test]
fn issuers_must_be_authorities() {
    let setup = Setup::new();
    let refused = Err(CertificateError::NotAnAuthority { position: 1 });
    let verify = |spoil: &dyn Fn(&mut rcgen::CertificateParams)| {
        let mut params = authority_params("middle");
        spoil(&mut params);
        let middle = setup.home.intermediate_with(params);
        let leaf = middle.leaf("spiffe://example.org/peer");
        setup.verify(&[&leaf.der, &middle.der]).map(drop)
    };
    assert_eq!(verify(&|_| {}), Ok(()));
    assert_eq!(verify(&|params| params.is_ca = IsCa::NoCa), refused);
    assert_eq!(verify(&|params| params.is_ca = IsCa::ExplicitNoCa), refused);
    assert_eq!(verify(&|params| params.key_usages = vec![KeyUsagePurpose::CrlSign]), refused);
    // RFC 5280: without keyUsage, a key may be used for anything.
    assert_eq!(verify(&|params| params.key_usages.clear()), Ok(()));
}

#[test]
fn an_issuer_with_an_unknown_critical_extension_is_not_used() {
    let setup = Setup::new();
    for critical in [false, true] {
        let mut extension =
            CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![5, 0]);
        extension.set_criticality(critical);
        let mut params = authority_params("middle");
        params.custom_extensions = vec![extension];
        let middle = setup.home.intermediate_with(params);
        let leaf = middle.leaf("spiffe://example.org/peer");
        assert_eq!(setup.verify(&[&leaf.der, &middle.der]).is_ok(), !critical);
    }
}

#[test]
fn path_length_constraints_hold() {
    let setup = Setup::new();
    let mut params = authority_params("upper");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let upper = setup.home.intermediate_with(params);
    let leaf = upper.leaf("spiffe://example.org/peer");
    assert!(setup.verify(&[&leaf.der, &upper.der]).is_ok());
    let lower = upper.intermediate("lower");
    let leaf = lower.leaf("spiffe://example.org/peer");
    let fault = setup.verify(&[&leaf.der, &lower.der, &upper.der]).unwrap_err();
    assert_eq!(fault.to_string(), "an issuer's path length constraint is exceeded");
}

/// RFC 5280, section 6.1.4 (l): an authority that certifies its own next key does not count.
#[test]
fn a_self_issued_certificate_takes_no_path_length() {
    let setup = Setup::new();
    let limited = |name: &str| {
        let mut params = authority_params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params
    };
    let old = setup.home.intermediate_with(limited("upper"));
    let new = old.intermediate_with(limited("upper"));
    let leaf = new.leaf("spiffe://example.org/peer");
    assert!(setup.verify(&[&leaf.der, &new.der, &old.der]).is_ok());
    let lower = new.intermediate("lower");
    let leaf = lower.leaf("spiffe://example.org/peer");
    let fault = setup.verify(&[&leaf.der, &lower.der, &new.der, &old.der]).unwrap_err();
    assert_eq!(fault.to_string(), "an issuer's path length constraint is exceeded");
}

#[test]
fn what_an_anchor_says_about_its_paths_binds_it() {
    let mut short = authority_params("home");
    short.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let mut servers = authority_params("home");
    servers.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    for (params, direct, deep) in [
        (short, Ok(()), Err("an issuer's path length constraint is exceeded".to_owned())),
        (
            servers,
            Err(CertificateError::WrongExtendedKeyUsage.to_string()),
            Err(CertificateError::WrongExtendedKeyUsage.to_string()),
        ),
    ] {
        let other = Authority::root("other");
        let home = Authority::root_with(params);
        let us = us(&other, trust(&[("example.org", &other), ("home.example", &home)]));
        let verify = |chain: &[&[u8]]| {
            let verified = ChainVerifier::new().verify(&us, chain, Role::Client, now()).map(drop);
            verified.map_err(|fault| fault.to_string())
        };
        let leaf = home.leaf("spiffe://home.example/peer");
        assert_eq!(verify(&[&leaf.der]), direct);
        let middle = home.intermediate("middle");
        let leaf = middle.leaf("spiffe://home.example/peer");
        assert_eq!(verify(&[&leaf.der, &middle.der]), deep);
    }
}

/// A length that is not DER is no length, and not one without bounds.
#[test]
fn a_path_length_has_one_encoding() {
    let setup = Setup::new();
    for (length, allowed) in [(&[2, 1, 0][..], true), (&[2, 2, 0, 0], false), (&[2, 0], false)] {
        let mut params = authority_params("middle");
        params.is_ca = IsCa::NoCa;
        let fields = [&[1, 1, 0xFF], length].concat();
        let value = [&[0x30, fields.len() as u8], &fields[..]].concat();
        params.custom_extensions = vec![CustomExtension::from_oid_content(&[2, 5, 29, 19], value)];
        let middle = setup.home.intermediate_with(params);
        let leaf = middle.leaf("spiffe://example.org/peer");
        assert_eq!(setup.verify(&[&leaf.der, &middle.der]).is_ok(), allowed, "{length:02x?}");
    }
}

/// A certificate that is `bytes` too large to be reasonable.
fn stuffed(id: &str, bytes: usize) -> rcgen::CertificateParams {
    let mut params = leaf_params(id);
    params.custom_extensions =
        vec![CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![0; bytes])];
    params
}

#[test]
fn a_certificate_has_at_most_8_kib() {
    let setup = Setup::new();
    let der = setup.home.issue(&stuffed("spiffe://example.org/peer", 7 * 1024)).der;
    assert!(der.len() < 8 * 1024);
    assert!(setup.verify(&[&der]).is_ok());
    let der = setup.home.issue(&stuffed("spiffe://example.org/peer", 8 * 1024)).der;
    let fault = CertificateError::TooLarge { position: 0, bytes: der.len() };
    assert_eq!(setup.verify(&[&der]), Err(fault));
}

#[test]
fn sizes_are_checked_before_anything_is_read() {
    let setup = Setup::new();
    let most = vec![0; 8 * 1024];
    let too_large = vec![0; 8 * 1024 + 1];
    let fault = CertificateError::TooLarge { position: 1, bytes: too_large.len() };
    assert_eq!(setup.verify(&[&most, &too_large]), Err(fault));
    assert_eq!(
        setup.verify(&[&most, &most, &most, &[0]]),
        Err(CertificateError::ChainTooLarge(24 * 1024 + 1))
    );
    assert!(matches!(
        setup.verify(&[&most, &most, &most]),
        Err(CertificateError::Malformed { position: 0, .. })
    ));
    assert_eq!(setup.verify(&[&[0][..]; 6]), Err(CertificateError::TooMany(6)));
}

#[test]
fn bytes_after_a_certificate_are_refused() {
    let setup = Setup::new();
    let middle = setup.home.intermediate("middle");
    let leaf = middle.leaf("spiffe://example.org/peer");
    let part = "bytes after the certificate";
    let mut garbage = leaf.der.clone();
    garbage.push(0);
    assert_eq!(
        setup.verify(&[&garbage, &middle.der]),
        Err(CertificateError::Malformed { position: 0, part })
    );
    let mut garbage = middle.der.clone();
    garbage.extend(&leaf.der);
    assert_eq!(
        setup.verify(&[&leaf.der, &garbage]),
        Err(CertificateError::Malformed { position: 1, part })
    );
}

#[test]
fn no_part_of_a_certificate_is_a_certificate() {
    let setup = Setup::new();
    let leaf = setup.home.leaf("spiffe://example.org/peer");
    for length in 0..leaf.der.len() {
        let fault = setup.verify(&[&leaf.der[..length]]).unwrap_err();
        assert!(matches!(fault, CertificateError::Malformed { .. }), "{length}: {fault}");
    }
}

#[test]
fn no_byte_of_a_certificate_can_be_changed() {
    let setup = Setup::new();
    let leaf = setup.home.leaf("spiffe://example.org/peer");
    for place in 0..leaf.der.len() {
        for flip in [0x01, 0x02, 0x20, 0x80, 0xFF] {
            let mut changed = leaf.der.clone();
            changed[place] ^= flip;
            assert!(setup.verify(&[&changed]).is_err(), "byte {place}, {flip:02x}");
        }
    }
}

#[test]
fn the_own_chain_must_be_good_as_well() {
    use alts_handshaker::identity::IdentityError;

    let home = Authority::root("home");
    let trusting = || trust(&[("example.org", &home)]);
    let identity = |leaf: &super::authority::Leaf, trust, now| {
        Identity::from_pem(leaf.pem.as_bytes(), leaf.key_pem.as_bytes(), trust, now).map(drop)
    };
    let leaf = home.leaf("spiffe://example.org/us");
    assert_eq!(identity(&leaf, trusting(), now()), Ok(()));
    assert_eq!(
        identity(&leaf, trusting(), at(NOW + HOUR + 1)),
        Err(IdentityError::Chain(CertificateError::Expired))
    );
    assert_eq!(
        identity(&leaf, trusting(), at(NOW - HOUR - 1)),
        Err(IdentityError::Chain(CertificateError::NotYetValid))
    );
    assert_eq!(
        identity(&leaf, trust(&[("partner.org", &home)]), now()),
        Err(IdentityError::NoOwnBundle(domain("example.org")))
    );
    let leaf = Authority::root("other").leaf("spiffe://example.org/us");
    assert_eq!(
        identity(&leaf, trusting(), now()),
        Err(IdentityError::Chain(CertificateError::Untrusted))
    );
    let leaf = home.leaf("spiffe://example.org");
    assert_eq!(
        identity(&leaf, trusting(), now()),
        Err(IdentityError::Chain(CertificateError::SpiffeId(SpiffeIdError::NoPath)))
    );
}
