//! The cache of good chains.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use alts_handshaker::Role;
use alts_handshaker::identity::{
    BadSignature, CacheStats, CertificateError, ChainVerifier, Identity, SignatureScheme,
    TrustBundles, VerifiedPeer,
};
use rcgen::SerialNumber;

use super::authority::{
    Authority, HOUR, Leaf, NOW, Setup, at, date, domain, leaf_params, now, trust, us,
};

fn stats(hits: u64, misses: u64) -> CacheStats {
    let mut stats = CacheStats::default();
    (stats.hits, stats.misses) = (hits, misses);
    stats
}

#[test]
fn a_chain_is_verified_once() {
    let setup = Setup::new();
    let leaf = setup.home.leaf("spiffe://example.org/peer");
    let first = leaf.prove(&setup.verify(&[&leaf.der]).unwrap());
    let second = leaf.prove(&setup.verify(&[&leaf.der]).unwrap());
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(setup.verifier.cache_stats(), stats(1, 1));
}

/// The certificates of others are public: who only shows them leaves no trace.
#[test]
fn only_who_proves_to_have_the_key_is_remembered() {
    let setup = Setup::new();
    let leaf = setup.home.leaf("spiffe://example.org/peer");
    for _ in 0..3 {
        let claimed = setup.verify(&[&leaf.der]).unwrap();
        let forged =
            claimed.verify_signature(SignatureScheme::ECDSA_P256_SHA256, b"handshake", &[1; 70]);
        assert_eq!(forged, Err(BadSignature));
    }
    assert_eq!(setup.verifier.cache_stats(), stats(0, 3));
    leaf.prove(&setup.verify(&[&leaf.der]).unwrap());
    setup.verify(&[&leaf.der]).unwrap();
    assert_eq!(setup.verifier.cache_stats(), stats(1, 4));
}

/// One leaf with a thousand different certificates behind it is one entry, and puts nobody else out.
#[test]
fn certificates_that_are_not_needed_make_no_difference() {
    let Setup { home, us, .. } = Setup::new();
    let verifier = ChainVerifier::with_cache(2, Duration::from_secs(5 * 60));
    let verify = |chain: &[&[u8]]| verifier.verify(&us, chain, Role::Client, now()).unwrap();
    let middle = home.intermediate("middle");
    let (leaf, other) =
        (middle.leaf("spiffe://example.org/peer"), home.leaf("spiffe://example.org/other"));
    other.prove(&verify(&[&other.der]));
    for place in 0..20 {
        let junk = Authority::root(&format!("junk {place}")).der;
        leaf.prove(&verify(&[&leaf.der, &junk, &middle.der]));
    }
    assert_eq!(verifier.cache_stats(), stats(19, 2));
    verify(&[&other.der]);
    assert_eq!(verifier.cache_stats(), stats(20, 2));
    // But what the path took has to be there.
    let refused = verifier.verify(&us, &[&leaf.der], Role::Client, now());
    assert_eq!(refused.unwrap_err(), CertificateError::Untrusted);
}

#[test]
fn chains_are_told_apart_by_all_their_bytes() {
    let setup = Setup::new();
    let middle = setup.home.intermediate("middle");
    let leaf = middle.leaf("spiffe://example.org/peer");
    leaf.prove(&setup.verify(&[&leaf.der, &middle.der]).unwrap());
    // The same bytes, divided otherwise.
    let glued = [&leaf.der[..], &middle.der].concat();
    assert!(setup.verify(&[&glued]).is_err());
    assert!(setup.verify(&[&leaf.der]).is_err());
    assert_eq!(setup.verifier.cache_stats().hits, 0);
    // Another leaf for the same key.
    let key = rcgen::KeyPair::from_pem(&leaf.key_pem).unwrap();
    let again = middle.issue_for(&leaf_params("spiffe://example.org/peer"), &key);
    again.prove(&setup.verify(&[&again.der, &middle.der]).unwrap());
    assert_eq!(setup.verifier.cache_stats().hits, 0);
}

#[test]
fn a_role_is_verified_on_its_own_and_shares_the_identity() {
    let setup = Setup::new();
    let mut params = leaf_params("spiffe://example.org/peer");
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let server_only = setup.home.issue(&params);
    assert!(setup.verify_at(&[&server_only.der], Role::Server, now()).is_ok());
    assert_eq!(
        setup.verify_at(&[&server_only.der], Role::Client, now()),
        Err(CertificateError::WrongExtendedKeyUsage)
    );

    let both = setup.home.leaf("spiffe://example.org/both");
    let client = both.prove(&setup.verify_at(&[&both.der], Role::Client, now()).unwrap());
    let server = both.prove(&setup.verify_at(&[&both.der], Role::Server, now()).unwrap());
    assert_eq!(setup.verifier.cache_stats(), stats(0, 4));
    assert!(Arc::ptr_eq(client.peer(), server.peer()));
}

#[test]
fn an_entry_lasts_five_minutes_and_its_identity_longer() {
    let setup = Setup::new();
    let leaf = setup.home.leaf("spiffe://example.org/peer");
    let verify = |time| leaf.prove(&setup.verify_at(&[&leaf.der], Role::Client, time).unwrap());
    let first = verify(at(NOW));
    verify(at(NOW + 299));
    assert_eq!(setup.verifier.cache_stats(), stats(1, 1));
    let later = verify(at(NOW + 300));
    assert_eq!(setup.verifier.cache_stats(), stats(1, 2));
    assert!(Arc::ptr_eq(&first, &later), "equal results are shared");
    verify(at(NOW + 599));
    assert_eq!(setup.verifier.cache_stats(), stats(2, 2));
    // A clock set back makes nothing fresh.
    verify(at(NOW + 100));
    assert_eq!(setup.verifier.cache_stats(), stats(2, 3));
}

#[test]
fn nobody_can_ask_for_more_than_five_minutes() {
    let Setup { home, us, .. } = Setup::new();
    let leaf = home.leaf("spiffe://example.org/peer");
    let verifier = ChainVerifier::with_cache(10, Duration::from_secs(60 * 60));
    for time in [NOW, NOW + 300] {
        leaf.prove(&verifier.verify(&us, &[&leaf.der], Role::Client, at(time)).unwrap());
    }
    assert_eq!(verifier.cache_stats(), stats(0, 2));
}

#[test]
fn a_hit_is_still_subject_to_validity() {
    let setup = Setup::new();
    let mut params = leaf_params("spiffe://example.org/peer");
    params.not_before = date(NOW - 10);
    params.not_after = date(NOW + 10);
    let leaf = setup.home.issue(&params);
    let verify = |time| {
        let claimed = setup.verify_at(&[&leaf.der], Role::Client, time)?;
        leaf.prove(&claimed);
        Ok(())
    };
    assert_eq!(verify(at(NOW)), Ok(()));
    assert_eq!(verify(at(NOW + 10)), Ok(()));
    assert_eq!(verify(at(NOW + 11)), Err(CertificateError::Expired));
    assert_eq!(setup.verifier.cache_stats(), stats(2, 1));
    assert_eq!(verify(at(NOW - 11)), Err(CertificateError::NotYetValid));
    assert_eq!(verify(at(NOW)), Ok(()));
}

#[test]
fn failures_are_not_remembered() {
    let setup = Setup::new();
    let leaf = setup.home.leaf("spiffe://example.org/peer");
    let verify = |time| {
        let claimed = setup.verify_at(&[&leaf.der], Role::Client, time)?;
        leaf.prove(&claimed);
        Ok(())
    };
    assert_eq!(verify(at(NOW - HOUR - 1)), Err(CertificateError::NotYetValid));
    assert_eq!(verify(at(NOW - HOUR)), Ok(()));
    assert_eq!(setup.verifier.cache_stats(), stats(0, 2));
}

/// A reload: the same name, with these bundles.
fn reloaded(home: &Authority, change: impl FnOnce(&mut TrustBundles)) -> Arc<Identity> {
    let mut bundles = trust(&[("example.org", home)]);
    change(&mut bundles);
    us(home, bundles)
}

fn verify(
    verifier: &ChainVerifier,
    us: &Identity,
    leaf: &Leaf,
    now: SystemTime,
) -> Result<Arc<VerifiedPeer>, CertificateError> {
    Ok(leaf.prove(&verifier.verify(us, &[&leaf.der], Role::Client, now)?))
}

#[test]
fn a_new_revocation_list_takes_effect_at_once() {
    let home = Authority::root("home");
    let mut params = leaf_params("spiffe://example.org/peer");
    params.serial_number = Some(SerialNumber::from(9_u64));
    let leaf = home.issue(&params);
    let verifier = ChainVerifier::new();
    let before = reloaded(&home, |_| {});
    assert!(verify(&verifier, &before, &leaf, now()).is_ok());
    let after = reloaded(&home, |bundles| {
        let list = home.crl(&[9], NOW + HOUR);
        bundles.insert_crl_pem(&domain("example.org"), list.as_bytes()).unwrap();
    });
    assert_eq!(verify(&verifier, &after, &leaf, now()), Err(CertificateError::Revoked));
    // A handshake that began before the reload ends as it began.
    assert!(verify(&verifier, &before, &leaf, now()).is_ok());
}

#[test]
fn a_removed_authority_is_gone_at_once() {
    let (old, new) = (Authority::root("old"), Authority::root("new"));
    let leaf = old.leaf("spiffe://example.org/peer");
    let verifier = ChainVerifier::new();
    let before = reloaded(&new, |bundles| {
        bundles.insert_pem(&domain("example.org"), old.pem.as_bytes()).unwrap();
    });
    assert!(verify(&verifier, &before, &leaf, now()).is_ok());
    let after = reloaded(&new, |_| {});
    assert_eq!(verify(&verifier, &after, &leaf, now()), Err(CertificateError::Untrusted));
}

#[test]
fn identities_are_shared_across_reloads() {
    let home = Authority::root("home");
    let leaf = home.leaf("spiffe://example.org/peer");
    let verifier = ChainVerifier::new();
    let first = verify(&verifier, &reloaded(&home, |_| {}), &leaf, now()).unwrap();
    // A new own certificate under the same bundles leaves the cache as it is.
    let second = verify(&verifier, &reloaded(&home, |_| {}), &leaf, now()).unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(verifier.cache_stats(), stats(1, 1));
    // New bundles do not, but the result is the same.
    let partner = Authority::root("partner");
    let more = reloaded(&home, |bundles| {
        bundles.insert_pem(&domain("partner.org"), partner.pem.as_bytes()).unwrap();
    });
    let third = verify(&verifier, &more, &leaf, now()).unwrap();
    assert!(Arc::ptr_eq(&first, &third));
    assert_eq!(verifier.cache_stats(), stats(1, 2));
}

#[test]
fn an_identity_is_shared_even_if_its_authority_was_renewed() {
    let Setup { home, us: before, verifier } = Setup::new();
    let leaf = home.leaf("spiffe://example.org/peer");
    let first = verify(&verifier, &before, &leaf, now()).unwrap();
    // The same key, valid from a later time on: the results differ, what the application sees does not.
    let mut params = super::authority::authority_params("home");
    params.not_before = date(NOW - 60);
    let renewed = params.self_signed(home.issuer.key()).unwrap().pem();
    let mut bundles = TrustBundles::new();
    bundles.insert_pem(&domain("example.org"), renewed.as_bytes()).unwrap();
    let second = verify(&verifier, &us(&home, bundles), &leaf, now()).unwrap();
    assert_ne!(first, second);
    assert!(Arc::ptr_eq(first.peer(), second.peer()));
}

#[test]
fn the_oldest_entry_makes_room() {
    let Setup { home, us, .. } = Setup::new();
    let leaves: Vec<_> =
        (0..3).map(|place| home.leaf(&format!("spiffe://example.org/{place}"))).collect();
    let verifier = ChainVerifier::with_cache(2, Duration::from_secs(5 * 60));
    for (age, leaf) in leaves.iter().enumerate() {
        verify(&verifier, &us, leaf, at(NOW + age as u64)).unwrap();
    }
    let hits = |leaf: usize| {
        let before = verifier.cache_stats().hits;
        verify(&verifier, &us, &leaves[leaf], at(NOW + 10)).unwrap();
        verifier.cache_stats().hits > before
    };
    assert!(hits(1));
    assert!(hits(2));
    assert!(!hits(0));
    assert!(hits(2));
    assert!(!hits(1));
}

#[test]
fn a_cache_may_be_empty() {
    let Setup { home, us, .. } = Setup::new();
    let leaf = home.leaf("spiffe://example.org/peer");
    let verifier = ChainVerifier::with_cache(0, Duration::from_secs(5 * 60));
    let first = verify(&verifier, &us, &leaf, now()).unwrap();
    let second = verify(&verifier, &us, &leaf, now()).unwrap();
    assert_eq!(first, second);
    assert_eq!(verifier.cache_stats(), stats(0, 2));
}

#[test]
fn threads_share_one_cache() {
    let setup = Setup::new();
    let leaf = setup.home.leaf("spiffe://example.org/peer");
    let first = leaf.prove(&setup.verify(&[&leaf.der]).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    let again = leaf.prove(&setup.verify(&[&leaf.der]).unwrap());
                    assert!(Arc::ptr_eq(&first, &again));
                }
            });
        }
    });
    assert_eq!(setup.verifier.cache_stats(), stats(80, 1));
}
