//! Trust bundles, and the guard around development certificates.

use alts_handshaker::Role;
use alts_handshaker::identity::{
    CertificateError, ChainVerifier, DEVELOPMENT_TRUST_DOMAIN, Identity, IdentityError,
    TrustBundles,
};
use rcgen::{IsCa, KeyUsagePurpose};

use super::authority::{Authority, authority_params, domain, leaf_params, now, trust, us};
use super::log::logged;

#[test]
fn a_bundle_has_authorities() {
    let home = Authority::root("home");
    let leaf = home.leaf("spiffe://example.org/peer");
    let mut trust = TrustBundles::new();
    let mut insert = |pem: &str| trust.insert_pem(&domain("example.org"), pem.as_bytes()).map(drop);
    let no_authority = IdentityError::Anchor(CertificateError::NotAnAuthority { position: 0 });
    assert_eq!(insert(&leaf.pem), Err(no_authority.clone()));
    assert_eq!(insert(&leaf.key_pem), Err(IdentityError::NoCertificate));
    assert_eq!(insert(""), Err(IdentityError::NoCertificate));
    assert_eq!(insert("<html>503 Service Unavailable</html>"), Err(IdentityError::NoCertificate));
    assert!(matches!(
        insert("-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"),
        Err(IdentityError::Pem(_))
    ));
    assert!(matches!(insert("-----BEGIN CERTIFICATE-----\nAAAA\n"), Err(IdentityError::Pem(_))));
    assert!(matches!(
        insert("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"),
        Err(IdentityError::Anchor(CertificateError::Malformed { .. }))
    ));

    for spoil in [
        |params: &mut rcgen::CertificateParams| params.is_ca = IsCa::ExplicitNoCa,
        |params: &mut rcgen::CertificateParams| params.key_usages = vec![KeyUsagePurpose::CrlSign],
    ] {
        let mut params = authority_params("home");
        spoil(&mut params);
        assert_eq!(insert(&Authority::root_with(params).pem), Err(no_authority.clone()));
    }
    // Nothing of a bundle with a fault is used, whatever stands before the fault.
    assert!(insert(&format!("{}-----BEGIN CERTIFICATE-----", home.pem)).is_err());
    assert_eq!(insert(&home.pem), Ok(()));
    assert_eq!(trust.authorities(&domain("example.org")), 1);
    assert_eq!(trust.authorities(&domain("partner.org")), 0);
    let mut nothing = TrustBundles::new();
    let cut = format!("{}-----BEGIN CERTIFICATE-----", home.pem);
    assert!(nothing.insert_pem(&domain("example.org"), cut.as_bytes()).is_err());
    assert_eq!(nothing.authorities(&domain("example.org")), 0);
}

/// Every authority in a file is trusted, wherever it stands there.
#[test]
fn all_authorities_of_a_file_are_loaded() {
    let (one, other) = (Authority::root("home"), Authority::root("home"));
    let (first, second) = (one.pem.trim_end(), other.pem.trim_end());
    assert!(first.ends_with("-----END CERTIFICATE-----"));
    let relabeled = |label: &str| format!("{first}\n{}", second.replace("CERTIFICATE", label));
    for pem in [
        format!("{first}{second}"),
        format!("{first} {second}"),
        format!("{first}\r\n{second}\r\n"),
        format!("# ours\n{first}\n# theirs\n{second}"),
        relabeled("X509 CERTIFICATE"),
        relabeled("TRUSTED CERTIFICATE"),
    ] {
        let mut trust = TrustBundles::new();
        trust.insert_pem(&domain("example.org"), pem.as_bytes()).unwrap();
        assert_eq!(trust.authorities(&domain("example.org")), 2, "{pem}");
        let us = us(&one, trust);
        let leaf = other.leaf("spiffe://example.org/peer");
        let verifier = ChainVerifier::new();
        assert!(verifier.verify(&us, &[&leaf.der], Role::Client, now()).is_ok());
    }
}

/// One authority that cannot be used does not take the others with it.
#[test]
fn an_unusable_authority_is_passed_over() {
    let home = Authority::root("home");
    let leaf = home.leaf("spiffe://example.org/peer");
    let junk = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    // RSA of 8,192 bits, which takes a minute to make.
    let large = include_str!("keys/rsa8192-root.pem");
    for unusable in [&leaf.pem, junk, large] {
        for pem in [format!("{unusable}{}", home.pem), format!("{}{unusable}", home.pem)] {
            let mut trust = TrustBundles::new();
            trust.insert_pem(&domain("example.org"), pem.as_bytes()).unwrap();
            assert_eq!(trust.authorities(&domain("example.org")), 1);
            us(&home, trust);
        }
    }
    let none = format!("{large}{}", leaf.pem);
    let fault = TrustBundles::new().insert_pem(&domain("example.org"), none.as_bytes()).map(drop);
    let expected = CertificateError::RsaKeyTooLarge { position: 0, bits: 8_192 };
    assert_eq!(fault, Err(IdentityError::Anchor(expected)));
}

/// A key that no signature can be verified with makes no authority.
#[test]
fn an_authority_has_a_key_of_a_supported_kind() {
    let params = authority_params("home");
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    let mut der = params.self_signed(&key).unwrap().der().to_vec();
    let mut trust = TrustBundles::new();
    assert!(trust.insert_authority(&domain("example.org"), &der).is_ok());
    // Ed25519's identifier is 1.3.101.112. Ed448's ends in 113. The second of three is the key's.
    let places: Vec<_> =
        (0..der.len() - 3).filter(|&at| der[at..at + 3] == [0x2B, 0x65, 0x70]).collect();
    assert_eq!(places.len(), 3);
    der[places[1] + 2] = 0x71;
    let fault = trust.insert_authority(&domain("example.org"), &der).map(drop);
    assert_eq!(fault, Err(IdentityError::Anchor(CertificateError::UnsupportedKey { position: 0 })));
}

/// The log names what is passed over by its place and its subject.
#[test]
fn what_is_passed_over_is_logged() {
    let home = Authority::root("home");
    let mut params = leaf_params("spiffe://example.org/peer");
    params.distinguished_name.push(rcgen::DnType::CommonName, "a leaf");
    let leaf = home.issue(&params);
    let pem = format!("{}{}{}", home.pem, leaf.pem, leaf.key_pem);
    let mut trust = TrustBundles::new();
    let log = logged(|| {
        trust.insert_pem(&domain("example.org"), pem.as_bytes()).unwrap();
    });
    for part in [
        "domain=example.org",
        "position=1",
        "CN=a leaf",
        "certificate 1 is not a certificate authority's",
        "label=\"PRIVATE KEY\"",
    ] {
        assert!(log.contains(part), "{part}: {log}");
    }
}

#[test]
fn several_authorities_vouch_for_one_domain() {
    let (old, new) = (Authority::root("home"), Authority::root("home"));
    let mut both = trust(&[("example.org", &old)]);
    both.insert_pem(&domain("example.org"), new.pem.as_bytes()).unwrap();
    assert_eq!(both.domains().collect::<Vec<_>>(), [&domain("example.org")]);
    assert_eq!(us(&old, both.clone()).id(), us(&new, both).id());
}

#[test]
fn the_epoch_tells_what_changed() {
    let home = Authority::root("home");
    let (leaf, other) =
        (home.leaf("spiffe://example.org/us"), home.leaf("spiffe://example.org/us"));
    let identity = |leaf: &super::authority::Leaf, trust: TrustBundles| {
        Identity::from_pem(leaf.pem.as_bytes(), leaf.key_pem.as_bytes(), trust, now())
            .unwrap()
            .epoch()
    };
    let plain = || trust(&[("example.org", &home)]);
    let epoch = identity(&leaf, plain());
    assert_eq!(identity(&leaf, plain()), epoch);
    assert_ne!(identity(&other, plain()), epoch);
    let mut twice = plain();
    twice.insert_pem(&domain("example.org"), home.pem.as_bytes()).unwrap();
    assert_eq!(identity(&leaf, twice), epoch, "the same authority again changes nothing");
    // Nor does their order.
    let next = Authority::root("next");
    let both = |first: &str, second: &str| {
        let mut trust = TrustBundles::new();
        trust.insert_pem(&domain("example.org"), format!("{first}{second}").as_bytes()).unwrap();
        identity(&leaf, trust)
    };
    assert_eq!(both(&home.pem, &next.pem), both(&next.pem, &home.pem));
    // What is added to bundles that were in use counts, too.
    let in_use = us(&home, plain());
    let mut added = in_use.trust().clone();
    let list = home.crl(&[1], super::authority::NOW + super::authority::HOUR);
    added.insert_crl_pem(&domain("example.org"), list.as_bytes()).unwrap();
    assert_ne!(identity(&leaf, added), epoch);
    let mut more = plain();
    more.insert_pem(&domain("partner.org"), home.pem.as_bytes()).unwrap();
    assert_ne!(identity(&leaf, more), epoch);
}

#[test]
fn development_certificates_are_refused_unless_allowed() {
    let dev = domain(DEVELOPMENT_TRUST_DOMAIN);
    let refused = IdentityError::DevelopmentDomain(dev.clone());
    let root = Authority::root("development");
    let leaf = root.leaf("spiffe://dev.local/us");
    let identity = |trust: TrustBundles| {
        Identity::from_pem(leaf.pem.as_bytes(), leaf.key_pem.as_bytes(), trust, now()).map(drop)
    };
    // As this side's domain, and beside a real one.
    assert_eq!(
        TrustBundles::new().insert_pem(&dev, root.pem.as_bytes()).map(drop),
        Err(refused.clone())
    );
    let mut beside = trust(&[("example.org", &root)]);
    assert_eq!(beside.insert_pem(&dev, root.pem.as_bytes()).map(drop), Err(refused.clone()));
    assert_eq!(identity(beside), Err(refused.clone()));
    assert!(refused.to_string().contains("allow_development_domain"), "{refused}");

    let mut allowed = TrustBundles::new();
    allowed.allow_development_domain().insert_pem(&dev, root.pem.as_bytes()).unwrap();
    assert_eq!(identity(allowed), Ok(()));
    // The name alone is what is guarded.
    assert!(leaf_params("spiffe://dev.local.example.org/us").subject_alt_names.len() == 1);
    let similar = trust(&[("dev.local.example.org", &root)]);
    assert_eq!(similar.domains().count(), 1);
}
