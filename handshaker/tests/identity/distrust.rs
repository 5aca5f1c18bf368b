//! Identity files about others: what they say takes effect whatever this side's certificate looks like, and each trust domain
//! stands by itself.
#![cfg(unix)]

use std::fs;
use std::path::Path;

use alts_handshaker::Role;
use alts_handshaker::identity::{
    CertificateError, ChainVerifier, IdentityError, IdentityFiles, IdentitySource,
};

use super::authority::{
    Authority, HOUR, Leaf, NOW, at, authority_params, date, domain, leaf_params, now,
};
use super::files::{Directory, name};
use super::log::logged;

/// Whether the files' bundles accept `leaf`.
fn accepts(files: &IdentityFiles, leaf: &Leaf, now: u64) -> Result<(), CertificateError> {
    let us = files.snapshot().unwrap();
    ChainVerifier::new().verify(&us, &[&leaf.der], Role::Client, at(now)).map(drop)
}

/// An authority's key was lost, and its certificate removed from the bundle; this side's certificate is still of that authority.
#[test]
fn distrust_takes_effect_even_if_it_meets_this_side() {
    let directory = Directory::new();
    let next = Authority::root("next");
    fs::write(directory.path("ca.crt"), format!("{}{}", directory.home.pem, next.pem)).unwrap();
    let files = directory.load();
    let (old_peer, new_peer) =
        (directory.home.leaf("spiffe://example.org/old"), next.leaf("spiffe://example.org/new"));
    assert_eq!(accepts(&files, &old_peer, NOW), Ok(()));
    let epoch = files.snapshot().unwrap().epoch();

    fs::write(directory.path("ca.crt"), &next.pem).unwrap();
    let fault = files.reload_if_changed(now()).unwrap_err();
    assert_eq!(*fault.fault(), IdentityError::Chain(CertificateError::Untrusted));
    assert_eq!(accepts(&files, &old_peer, NOW), Err(CertificateError::Untrusted));
    assert_eq!(accepts(&files, &new_peer, NOW), Ok(()));
    assert_ne!(files.snapshot().unwrap().epoch(), epoch);
    // This side goes on: its peers may see it otherwise.
    assert_eq!(files.snapshot().unwrap().check(now()), Ok(()));
    assert_eq!(files.reloads(), 1);

    // The renewed certificate comes.
    let renewed = next.leaf("spiffe://example.org/us");
    fs::write(directory.path("tls.crt"), &renewed.pem).unwrap();
    fs::write(directory.path("tls.key"), &renewed.key_pem).unwrap();
    assert_eq!(files.reload_if_changed(now()), Ok(true));
    assert_eq!(files.last_error(), None);
}

/// This side has expired. What its files say about others counts all the same.
#[test]
fn an_expired_identity_still_learns_whom_to_refuse() {
    const LATER: u64 = NOW + 2 * HOUR;
    let mut params = authority_params("home");
    params.not_after = date(NOW + 10 * HOUR);
    let home = Authority::root_with(params);
    let directory = Directory::of(home);
    fs::write(directory.path("crl.pem"), directory.home.crl(&[1], NOW + 9 * HOUR)).unwrap();
    let files = directory
        .builder()
        .crl(domain("example.org"), directory.path("crl.pem"))
        .load(now())
        .unwrap();
    let mut params = leaf_params("spiffe://example.org/peer");
    params.not_after = date(NOW + 9 * HOUR);
    params.serial_number = Some(rcgen::SerialNumber::from(2_u64));
    let peer = directory.home.issue(&params);
    assert_eq!(accepts(&files, &peer, LATER), Ok(()));

    fs::write(directory.path("crl.pem"), directory.home.crl(&[1, 2], NOW + 9 * HOUR)).unwrap();
    let fault = files.reload_if_changed(at(LATER)).unwrap_err();
    assert_eq!(*fault.fault(), IdentityError::Chain(CertificateError::Expired));
    assert_eq!(accepts(&files, &peer, LATER), Err(CertificateError::Revoked));
    let expired = files.snapshot().unwrap().check(at(LATER));
    assert_eq!(expired, Err(IdentityError::Chain(CertificateError::Expired)));
}

/// Ways in which a partner's file is found.
fn broken_bundles(good: &str) -> [(&'static str, Option<String>); 6] {
    [
        ("empty", Some(String::new())),
        ("cut off", Some(good[..good.len() / 2].to_owned())),
        ("an error page", Some("<html>503 Service Unavailable</html>".to_owned())),
        ("a key", Some(Authority::root("x").leaf("spiffe://partner.org/x").key_pem)),
        ("a leaf", Some(Authority::root("x").leaf("spiffe://partner.org/x").pem)),
        ("absent", None),
    ]
}

fn write_or_remove(path: &Path, content: Option<&str>) {
    match content {
        Some(content) => fs::write(path, content).unwrap(),
        None => fs::remove_file(path).unwrap(),
    }
}

#[test]
fn a_partners_broken_file_stops_the_partner_only() {
    let directory = Directory::new();
    let (partner, third) = (Authority::root("partner"), Authority::root("third"));
    let (path, third_path) = (directory.path("partner.pem"), directory.path("third.pem"));
    fs::write(&path, &partner.pem).unwrap();
    fs::write(&third_path, &third.pem).unwrap();
    let builder = || {
        directory
            .builder()
            .bundle(domain("partner.org"), &path)
            .bundle(domain("third.org"), &third_path)
    };
    let files = builder().load(now()).unwrap();
    let of_home = directory.home.leaf("spiffe://example.org/peer");
    let of_partner = partner.leaf("spiffe://partner.org/peer");
    let of_third = third.leaf("spiffe://third.org/peer");
    let nobody = Err(CertificateError::UnknownTrustDomain(domain("partner.org")));
    for (what, content) in broken_bundles(&partner.pem) {
        assert_eq!(accepts(&files, &of_partner, NOW), Ok(()), "{what}");
        write_or_remove(&path, content.as_deref());
        let failures = files.failures();
        let fault = files.reload_if_changed(now()).unwrap_err();
        assert_eq!(fault.file(), Some(&*path), "{what}");
        assert_eq!(files.unusable_trust_domains(), [domain("partner.org")]);
        assert_eq!(accepts(&files, &of_partner, NOW), nobody, "{what}");
        assert_eq!(accepts(&files, &of_third, NOW), Ok(()), "{what}");
        assert_eq!(accepts(&files, &of_home, NOW), Ok(()), "{what}");

        // This side's renewal is not kept waiting.
        let renewed = format!("spiffe://example.org/{}", what.replace(' ', "-"));
        directory.renew(&renewed);
        assert_eq!(files.reload_if_changed(now()), Err(fault), "{what}");
        assert_eq!(name(&files), renewed);
        assert_eq!(files.failures(), failures + 2);

        // Nor is the start.
        let started = builder().load(now()).unwrap();
        assert_eq!(started.unusable_trust_domains(), [domain("partner.org")]);
        assert_eq!((started.failures(), started.reloads()), (1, 0));
        assert_eq!(accepts(&started, &of_partner, NOW), nobody, "{what}");
        assert_eq!(accepts(&started, &of_third, NOW), Ok(()), "{what}");

        fs::write(&path, &partner.pem).unwrap();
        for files in [&files, &started] {
            assert_eq!(files.reload_if_changed(now()), Ok(true), "{what}");
            assert_eq!(files.unusable_trust_domains(), []);
            assert_eq!(files.last_error(), None);
        }
    }
}

/// A domain whose revocation lists cannot be read has nobody in it either.
#[test]
fn a_broken_revocation_list_closes_its_domain() {
    let directory = Directory::new();
    let partner = Authority::root("partner");
    let (bundle, list) = (directory.path("partner.pem"), directory.path("partner.crl"));
    fs::write(&bundle, &partner.pem).unwrap();
    fs::write(&list, partner.crl(&[], NOW + HOUR)).unwrap();
    let files = directory
        .builder()
        .bundle(domain("partner.org"), &bundle)
        .crl(domain("partner.org"), &list)
        .load(now())
        .unwrap();
    let peer = partner.leaf("spiffe://partner.org/peer");
    assert_eq!(accepts(&files, &peer, NOW), Ok(()));
    for content in [Some(""), Some("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----"), None]
    {
        write_or_remove(&list, content);
        assert_eq!(files.reload_if_changed(now()).unwrap_err().file(), Some(&*list));
        let nobody = CertificateError::UnknownTrustDomain(domain("partner.org"));
        assert_eq!(accepts(&files, &peer, NOW), Err(nobody));
        fs::write(&list, partner.crl(&[], NOW + HOUR)).unwrap();
        assert_eq!(files.reload_if_changed(now()), Ok(true));
        assert_eq!(accepts(&files, &peer, NOW), Ok(()));
    }
}

/// Without this side's bundle nobody of this side's domain is accepted. The renewed certificate is taken nevertheless: the last
/// bundle that could be read vouches for it.
#[test]
fn a_broken_bundle_of_this_side_closes_its_domain_and_stops_no_renewal() {
    for (what, content) in broken_bundles(&Authority::root("home").pem) {
        let directory = Directory::new();
        let files = directory.load();
        let peer = directory.home.leaf("spiffe://example.org/peer");
        let bundle = directory.path("ca.crt");
        write_or_remove(&bundle, content.as_deref());
        assert_eq!(files.reload_if_changed(now()).unwrap_err().file(), Some(&*bundle), "{what}");
        let nobody = CertificateError::UnknownTrustDomain(domain("example.org"));
        assert_eq!(accepts(&files, &peer, NOW), Err(nobody), "{what}");
        assert_eq!(name(&files), "spiffe://example.org/us");
        assert_eq!(files.snapshot().unwrap().check(now()), Ok(()));

        directory.renew("spiffe://example.org/renewed");
        write_or_remove(&bundle, content.as_deref());
        assert!(files.reload_if_changed(now()).is_err());
        assert_eq!(name(&files), "spiffe://example.org/renewed", "{what}");
        // One that nobody vouches for is not.
        let stranger = Authority::root("stranger").leaf("spiffe://example.org/stranger");
        fs::write(directory.path("tls.crt"), &stranger.pem).unwrap();
        fs::write(directory.path("tls.key"), &stranger.key_pem).unwrap();
        assert!(files.reload_if_changed(now()).is_err());
        assert_eq!(name(&files), "spiffe://example.org/renewed", "{what}");

        // But a start needs it.
        assert_eq!(directory.fault().file(), Some(&*bundle), "{what}");
    }
}

#[test]
fn the_log_says_what_is_wrong_once_and_when_it_is_good_again() {
    let directory = Directory::new();
    let partner = Authority::root("partner");
    let path = directory.path("partner.pem");
    fs::write(&path, format!("{}{}", partner.pem, Authority::root("next").pem)).unwrap();
    let mut files = None;
    let log = logged(|| {
        let builder = directory.builder().bundle(domain("partner.org"), &path);
        files = Some(builder.load(now()).unwrap());
    });
    let files = files.unwrap();
    assert!(log.contains("trust domain loaded domain=example.org authorities=1"), "{log}");
    assert!(log.contains("trust domain loaded domain=partner.org authorities=2"), "{log}");
    let look = || logged(|| drop(files.reload_if_changed(now())));
    assert_eq!(look(), "");
    fs::write(&path, "").unwrap();
    let log = look();
    for part in
        ["ERROR", "no peer of this trust domain is accepted", "domain=partner.org", "partner.pem"]
    {
        assert!(log.contains(part), "{part}: {log}");
    }
    assert_eq!(look(), "");
    // Another content with the same fault.
    fs::write(&path, "<html>503 Service Unavailable</html>").unwrap();
    assert_eq!(look(), "");
    fs::write(&path, &partner.pem).unwrap();
    let log = look();
    assert!(log.contains("valid again domain=partner.org authorities=1"), "{log}");

    let good = fs::read(directory.path("tls.key")).unwrap();
    fs::write(directory.path("tls.key"), "").unwrap();
    let log = look();
    assert!(
        log.contains("keeps the certificate and key that it has") && log.contains("tls.key"),
        "{log}"
    );
    assert_eq!(look(), "");
    fs::write(directory.path("tls.key"), good).unwrap();
    assert!(look().contains("this side's certificate and key are valid again"));
    assert_eq!(look(), "");
}
