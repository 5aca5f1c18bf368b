//! Chains that are no straight line, and how much looking for a path may cost.

use alts_handshaker::Role;
use alts_handshaker::identity::{CertificateError, ChainVerifier, Identity};
use rcgen::{CertificateParams, Issuer, KeyPair};

use super::authority::{
    Authority, HOUR, Leaf, NOW, Setup, at, authority_params, date, domain, leaf_params, now, trust,
    us,
};

/// Another certificate for the authority's key and name, issued by `by`.
fn cross(authority: &Authority, params: &CertificateParams, by: &Authority) -> Authority {
    let certificate = params.signed_by(authority.issuer.key(), &by.issuer).unwrap();
    let key = KeyPair::from_pem(&authority.issuer.key().serialize_pem()).unwrap();
    Authority {
        der: certificate.der().to_vec(),
        pem: certificate.pem(),
        issuer: Issuer::new(params.clone(), key),
    }
}

/// Every order of the certificates behind the leaf.
fn orders<'a>(others: &[&'a [u8]]) -> Vec<Vec<&'a [u8]>> {
    if others.is_empty() {
        return vec![vec![]];
    }
    let mut all = Vec::new();
    for first in 0..others.len() {
        let mut rest = others.to_vec();
        let first = rest.remove(first);
        all.extend(orders(&rest).into_iter().map(|order| [vec![first], order].concat()));
    }
    all
}

#[test]
fn behind_the_leaf_any_order_will_do() {
    let setup = Setup::new();
    let upper = setup.home.intermediate("upper");
    let middle = upper.intermediate("middle");
    let lower = middle.intermediate("lower");
    let leaf = lower.leaf("spiffe://example.org/peer");
    let unrelated = Authority::root("unrelated");
    for order in orders(&[&lower.der, &middle.der, &upper.der, &unrelated.der]) {
        let chain = [vec![&leaf.der[..]], order].concat();
        assert!(setup.verify(&chain).is_ok());
    }
    // But the leaf comes first.
    assert_eq!(
        setup.verify(&[&lower.der, &leaf.der, &middle.der, &upper.der]).unwrap_err(),
        CertificateError::AuthorityAsLeaf
    );
    // And none may be missing.
    for chain in [
        vec![&leaf.der[..]],
        vec![&leaf.der, &lower.der],
        vec![&leaf.der, &lower.der, &upper.der],
        vec![&leaf.der, &middle.der, &upper.der],
    ] {
        assert_eq!(setup.verify(&chain).unwrap_err(), CertificateError::Untrusted);
    }
}

#[test]
fn certificates_that_come_twice_or_for_nothing_do_no_harm() {
    let setup = Setup::new();
    let middle = setup.home.intermediate("middle");
    let leaf = middle.leaf("spiffe://example.org/peer");
    let other = setup.home.leaf("spiffe://example.org/other");
    let mut params = authority_params("middle");
    params.not_after = date(NOW - 1);
    let expired = setup.home.intermediate_with(params);
    for others in [
        [&middle.der, &middle.der],
        [&leaf.der, &middle.der],
        [&middle.der, &leaf.der],
        [&other.der, &middle.der],
        [&expired.der, &middle.der],
        [&middle.der, &setup.home.der],
        [&setup.home.der, &middle.der],
    ] {
        let verified = setup.verify(&[&leaf.der, others[0], others[1]]).unwrap();
        assert_eq!(verified.not_after(), at(NOW + HOUR));
    }
    // What cannot be read is refused all the same.
    assert!(matches!(
        setup.verify(&[&leaf.der, &middle.der, b"junk"]).unwrap_err(),
        CertificateError::Malformed { position: 2, .. }
    ));
}

/// As Vault's documented rotation makes them: the new intermediate under the new root, and under the old one.
#[test]
fn both_halves_of_a_cross_signed_intermediate_may_come() {
    let (old, new) = (Authority::root("old root"), Authority::root("new root"));
    let middle = new.intermediate("middle");
    let by_old = cross(&middle, &authority_params("middle"), &old);
    let leaf = middle.leaf("spiffe://example.org/peer");
    for root in [&old, &new] {
        let us = us(root, trust(&[("example.org", root)]));
        for order in orders(&[&middle.der, &by_old.der]) {
            let chain = [vec![&leaf.der[..]], order].concat();
            assert!(ChainVerifier::new().verify(&us, &chain, Role::Client, now()).is_ok());
        }
    }
    // The new root under the old one.
    let root_by_old = cross(&new, &authority_params("new root"), &old);
    let us = us(&old, trust(&[("example.org", &old)]));
    for order in orders(&[&middle.der, &root_by_old.der, &new.der]) {
        let chain = [vec![&leaf.der[..]], order].concat();
        assert!(ChainVerifier::new().verify(&us, &chain, Role::Client, now()).is_ok());
    }
}

/// The way over one half is refused, and the other is taken.
#[test]
fn a_path_that_breaks_a_rule_is_not_the_last() {
    let home = Authority::root("home");
    let middle = home.intermediate("middle");
    let leaf = middle.leaf("spiffe://example.org/peer");
    let other = home.intermediate("other");
    let mut short = authority_params("other");
    short.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Constrained(0));
    let too_short = home.intermediate_with(short);
    let over_other = cross(&middle, &authority_params("middle"), &other);
    let setup = Setup {
        us: us(&home, trust(&[("example.org", &home)])),
        home,
        verifier: ChainVerifier::new(),
    };
    for order in orders(&[&over_other.der, &other.der, &too_short.der]) {
        assert!(setup.verify(&[vec![&leaf.der[..]], order].concat()).is_ok());
    }
    let over_short = cross(&middle, &authority_params("middle"), &too_short);
    assert_eq!(
        setup.verify(&[&leaf.der, &over_short.der, &too_short.der]).unwrap_err().to_string(),
        "an issuer's path length constraint is exceeded"
    );
}

/// Whichever was read first: a certificate that lasts longer has not been renewed for nothing.
#[test]
fn of_two_certificates_of_one_authority_the_longer_counts() {
    let home = Authority::root("home");
    let mut params = authority_params("home");
    params.not_after = date(NOW + 60);
    let older = params.self_signed(home.issuer.key()).unwrap().pem();
    let leaf = home.leaf("spiffe://example.org/peer");
    for pem in [format!("{older}{}", home.pem), format!("{}{older}", home.pem)] {
        let mut trust = alts_handshaker::identity::TrustBundles::new();
        trust.insert_pem(&domain("example.org"), pem.as_bytes()).unwrap();
        let us = us(&home, trust);
        assert_eq!(us.not_after(), at(NOW + HOUR));
        let verifier = ChainVerifier::new();
        let verified = verifier.verify(&us, &[&leaf.der], Role::Client, now()).unwrap();
        assert_eq!(verified.not_after(), at(NOW + HOUR));
    }
}

/// The path ends where an authority is trusted, although its certificate by another one is there, too.
#[test]
fn an_authority_that_is_trusted_is_the_end_of_the_path() {
    let (old, new) = (Authority::root("old root"), Authority::root("new root"));
    let mut params = authority_params("new root");
    params.not_after = date(NOW + 60);
    let by_old = cross(&new, &params, &old);
    let leaf = new.leaf("spiffe://example.org/peer");
    for bundle in [format!("{}{}", old.pem, new.pem), format!("{}{}", new.pem, old.pem)] {
        let mut trust = alts_handshaker::identity::TrustBundles::new();
        trust.insert_pem(&domain("example.org"), bundle.as_bytes()).unwrap();
        let us = us(&new, trust);
        let verifier = ChainVerifier::new();
        let chain = [&leaf.der[..], &by_old.der];
        let verified = verifier.verify(&us, &chain, Role::Client, now()).unwrap();
        assert_eq!(verified.not_after(), at(NOW + HOUR));
    }
}

#[test]
fn issuers_of_one_name_are_sorted_out_by_their_keys() {
    let setup = Setup::new();
    let upper = setup.home.intermediate("the same");
    let middle = upper.intermediate("the same");
    let lower = middle.intermediate("the same");
    let leaf = lower.leaf("spiffe://example.org/peer");
    assert!(setup.verify(&[&leaf.der, &lower.der, &middle.der, &upper.der]).is_ok());
    assert!(setup.verify(&[&leaf.der, &middle.der, &lower.der, &upper.der]).is_ok());
    assert_eq!(
        setup.verify(&[&leaf.der, &middle.der, &upper.der]).unwrap_err(),
        CertificateError::Untrusted
    );
}

/// Roots that all have one name, as an authority has them that changes its key each month.
fn roots_of_one_name(count: usize) -> Vec<Authority> {
    (0..count).map(|_| Authority::root("home")).collect()
}

fn trusting(roots: &[Authority]) -> std::sync::Arc<Identity> {
    let mut trust = alts_handshaker::identity::TrustBundles::new();
    let bundle: String = roots.iter().map(|root| root.pem.as_str()).collect();
    trust.insert_pem(&domain("example.org"), bundle.as_bytes()).unwrap();
    us_identified(&roots[0], trust)
}

fn us_identified(
    home: &Authority,
    trust: alts_handshaker::identity::TrustBundles,
) -> std::sync::Arc<Identity> {
    let leaf = identified(home);
    Identity::from_pem(leaf.pem.as_bytes(), leaf.key_pem.as_bytes(), trust, now()).unwrap()
}

/// A leaf that says by key identifier who issued it.
fn identified(issuer: &Authority) -> Leaf {
    let mut params = leaf_params("spiffe://example.org/peer");
    params.use_authority_key_identifier_extension = true;
    issuer.issue(&params)
}

#[test]
fn signatures_are_spent_on_the_stated_key_first() {
    let roots = roots_of_one_name(40);
    let us = trusting(&roots);
    let verify =
        |leaf: &Leaf| ChainVerifier::new().verify(&us, &[&leaf.der], Role::Client, now()).map(drop);
    for issuer in [&roots[0], &roots[20], &roots[39]] {
        assert_eq!(verify(&identified(issuer)), Ok(()));
    }
    // Without an identifier it is 1 of 40, and 16 are tried.
    let fault = verify(&roots[39].leaf("spiffe://example.org/peer")).unwrap_err();
    assert_eq!(fault, CertificateError::TooManySignatures);
    assert!(fault.to_string().contains("16 signatures"), "{fault}");
    let stranger = Authority::root("home").leaf("spiffe://example.org/peer");
    assert_eq!(verify(&stranger), Err(CertificateError::TooManySignatures));
}

/// Anybody can make up issuers that are all called as the authority is.
#[test]
fn a_made_up_chain_costs_few_signatures() {
    let setup = Setup::new();
    let params = authority_params("home");
    let key = KeyPair::generate().unwrap();
    let mut chain = vec![];
    let mut issuer = Issuer::new(params.clone(), KeyPair::generate().unwrap());
    for _ in 0..4 {
        let key = KeyPair::generate().unwrap();
        chain.push(params.signed_by(&key, &issuer).unwrap().der().to_vec());
        issuer = Issuer::new(params.clone(), key);
    }
    let leaf = leaf_params("spiffe://example.org/peer").signed_by(&key, &issuer).unwrap();
    for order in orders(&chain.iter().map(|der| &der[..]).collect::<Vec<_>>()) {
        let refused = setup.verify(&[vec![&leaf.der()[..]], order].concat()).unwrap_err();
        assert!(
            matches!(refused, CertificateError::Untrusted | CertificateError::TooManySignatures),
            "{refused}"
        );
    }
}

/// This side's chain is put in order, with what other peers may need behind it.
#[test]
fn the_chain_of_this_side_may_be_in_any_order_too() {
    let (old, new) = (Authority::root("old root"), Authority::root("new root"));
    let middle = new.intermediate("middle");
    let by_old = cross(&middle, &authority_params("middle"), &old);
    let leaf = middle.leaf("spiffe://example.org/us");
    let identity = |root: &Authority, others: &[&str]| {
        let chain = format!("{}{}", leaf.pem, others.concat());
        let trust = trust(&[("example.org", root)]);
        Identity::from_pem(chain.as_bytes(), leaf.key_pem.as_bytes(), trust, now()).unwrap()
    };
    let chain_of = |identity: &Identity| -> Vec<Vec<u8>> {
        identity.chain().iter().map(|der| der.to_vec()).collect()
    };
    for others in [
        [&middle.pem, &by_old.pem, &new.pem, &leaf.pem],
        [&new.pem, &leaf.pem, &by_old.pem, &middle.pem],
        [&by_old.pem, &middle.pem, &leaf.pem, &new.pem],
    ] {
        let others = others.map(String::as_str);
        let of_new = chain_of(&identity(&new, &others));
        assert_eq!(of_new, [&leaf.der, &middle.der, &by_old.der].map(Clone::clone));
        let of_old = chain_of(&identity(&old, &others));
        assert_eq!(of_old[..2], [&leaf.der, &by_old.der].map(Clone::clone));
        // The new root is none of this side's authorities, and stays for others.
        assert_eq!(of_old.len(), 4);
        assert!(of_old.contains(&middle.der) && of_old.contains(&new.der));
    }
}

/// It is said at the start, for an issuer's sake as well as for the leaf's.
#[test]
fn a_path_for_one_role_is_warned_of() {
    use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
    for (of_issuer, of_leaf, roles) in [
        (vec![], vec![], &[][..]),
        (vec![ServerAuth], vec![], &["client"]),
        (vec![ServerAuth, ClientAuth], vec![ClientAuth], &["server"]),
        (vec![ServerAuth], vec![ClientAuth], &["client", "server"]),
    ] {
        let home = Authority::root("home");
        let mut params = authority_params("middle");
        params.extended_key_usages = of_issuer;
        let middle = home.intermediate_with(params);
        let mut params = leaf_params("spiffe://example.org/us");
        params.extended_key_usages = of_leaf;
        let leaf = middle.issue(&params);
        let chain = format!("{}{}", leaf.pem, middle.pem);
        let log = super::log::logged(|| {
            let trust = trust(&[("example.org", &home)]);
            Identity::from_pem(chain.as_bytes(), leaf.key_pem.as_bytes(), trust, now()).unwrap();
        });
        for role in ["client", "server"] {
            let is_warned_of = log.contains(&format!("role=\"{role}\""));
            assert_eq!(is_warned_of, roles.contains(&role), "{role}: {log}");
        }
    }
}
