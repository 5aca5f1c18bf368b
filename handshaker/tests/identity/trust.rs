//! Trust bundles, and the guard around development certificates.

use alts_handshaker::identity::{
    CertificateError, DEVELOPMENT_TRUST_DOMAIN, Identity, IdentityError, TrustBundles,
};
use rcgen::{IsCa, KeyUsagePurpose};

use super::authority::{Authority, authority_params, domain, leaf_params, now, trust, us};

#[test]
fn a_bundle_has_authorities_only() {
    let home = Authority::root("home");
    let leaf = home.leaf("spiffe://example.org/peer");
    let mut trust = TrustBundles::new();
    let mut insert = |pem: &str| trust.insert_pem(&domain("example.org"), pem.as_bytes()).map(drop);
    let no_authority = IdentityError::Anchor(CertificateError::NotAnAuthority { position: 0 });
    assert_eq!(insert(&leaf.pem), Err(no_authority.clone()));
    assert_eq!(insert(&leaf.key_pem), Err(IdentityError::NoCertificate));
    assert_eq!(insert(""), Err(IdentityError::NoCertificate));
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
    assert_eq!(insert(&home.pem), Ok(()));
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
    // As the own domain, and beside a real one.
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
