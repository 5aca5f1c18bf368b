//! SPIFFE IDs and policies.

use std::collections::BTreeMap;

use alts_handshaker::identity::{PeerIdentity, Policy, Rule, SpiffeId, SpiffeIdError, TrustDomain};

use super::authority::domain;

fn id(text: &str) -> SpiffeId {
    text.parse().unwrap()
}

#[test]
fn good_ids_are_kept_as_they_are() {
    for text in [
        "spiffe://example.org/a",
        "spiffe://a/b",
        "spiffe://ex-am_ple.0rg/ns/Shop/sa/cart.v1-2_3",
        "spiffe://example.org/.../a",
        "spiffe://1.2.3.4/a",
    ] {
        let id = id(text);
        assert_eq!(id.as_str(), text);
        assert_eq!(id.to_string(), text);
        assert_eq!(format!("spiffe://{}{}", id.trust_domain(), id.path()), text);
    }
}

#[test]
fn bad_ids_are_refused_with_the_reason() {
    for (text, fault) in [
        ("", SpiffeIdError::Scheme),
        ("spiffe:/example.org/a", SpiffeIdError::Scheme),
        ("SPIFFE://example.org/a", SpiffeIdError::Scheme),
        ("https://example.org/a", SpiffeIdError::Scheme),
        (" spiffe://example.org/a", SpiffeIdError::Scheme),
        ("spiffe:///a", SpiffeIdError::TrustDomain),
        ("spiffe://Example.org/a", SpiffeIdError::TrustDomain),
        ("spiffe://user@example.org/a", SpiffeIdError::TrustDomain),
        ("spiffe://example.org:80/a", SpiffeIdError::TrustDomain),
        ("spiffe://ex%61mple.org/a", SpiffeIdError::TrustDomain),
        ("spiffe://exämple.org/a", SpiffeIdError::TrustDomain),
        ("spiffe://example.org?x/a", SpiffeIdError::TrustDomain),
        ("spiffe://example.org", SpiffeIdError::NoPath),
        ("spiffe://example.org/", SpiffeIdError::PathSegment),
        ("spiffe://example.org/a/", SpiffeIdError::PathSegment),
        ("spiffe://example.org//a", SpiffeIdError::PathSegment),
        ("spiffe://example.org/a/./b", SpiffeIdError::PathSegment),
        ("spiffe://example.org/a/..", SpiffeIdError::PathSegment),
        ("spiffe://example.org/a?b", SpiffeIdError::PathSegment),
        ("spiffe://example.org/a#b", SpiffeIdError::PathSegment),
        ("spiffe://example.org/a%2Fb", SpiffeIdError::PathSegment),
        ("spiffe://example.org/a b", SpiffeIdError::PathSegment),
        ("spiffe://example.org/*", SpiffeIdError::PathSegment),
        ("spiffe://example.org/a\0", SpiffeIdError::PathSegment),
    ] {
        assert_eq!(text.parse::<SpiffeId>(), Err(fault), "{text:?}");
    }
}

#[test]
fn lengths_are_limited() {
    let domain = "d".repeat(255);
    assert!(domain.parse::<TrustDomain>().is_ok());
    assert_eq!("d".repeat(256).parse::<TrustDomain>(), Err(SpiffeIdError::TooLong));
    let longest = format!("spiffe://{domain}/{}", "p".repeat(2_048 - 9 - 255 - 1));
    assert_eq!(longest.len(), 2_048);
    assert_eq!(id(&longest).trust_domain().as_str(), domain);
    assert_eq!(format!("{longest}p").parse::<SpiffeId>(), Err(SpiffeIdError::TooLong));
    assert!("".parse::<TrustDomain>().is_err());
}

#[test]
fn rules_match_whole_segments() {
    let covers = |rule: &str, peer: &str| rule.parse::<Rule>().unwrap().covers(&id(peer));
    assert!(covers("spiffe://a.org/x/y", "spiffe://a.org/x/y"));
    assert!(!covers("spiffe://a.org/x/y", "spiffe://a.org/x/Y"));
    assert!(!covers("spiffe://a.org/x/y", "spiffe://a.org/x/y/z"));
    assert!(!covers("spiffe://a.org/x/y", "spiffe://b.org/x/y"));

    assert!(covers("spiffe://a.org/x/*", "spiffe://a.org/x/y"));
    assert!(covers("spiffe://a.org/x/*", "spiffe://a.org/x/y/z"));
    assert!(!covers("spiffe://a.org/x/*", "spiffe://a.org/x"));
    assert!(!covers("spiffe://a.org/x/*", "spiffe://a.org/xy"));
    assert!(!covers("spiffe://a.org/x/*", "spiffe://a.org/xy/z"));
    assert!(!covers("spiffe://a.org/x/*", "spiffe://b.org/x/y"));

    for whole in ["spiffe://a.org", "spiffe://a.org/*"] {
        assert!(covers(whole, "spiffe://a.org/x"));
        assert!(covers(whole, "spiffe://a.org/x/y"));
        assert!(!covers(whole, "spiffe://a.org.b/x"));
        assert!(!covers(whole, "spiffe://b.org/x"));
    }
    for bad in [
        "*",
        "spiffe://*",
        "spiffe://*/x",
        "spiffe://a.org/",
        "spiffe://a.org/x*",
        "spiffe://a.org/*/y",
        "spiffe://a.org/x/**",
        "spiffe://a.org//*",
        "spiffe://A.org/*",
        "a.org",
    ] {
        assert!(bad.parse::<Rule>().is_err(), "{bad}");
    }
    for text in ["spiffe://a.org/x", "spiffe://a.org/x/*", "spiffe://a.org/*"] {
        assert_eq!(text.parse::<Rule>().unwrap().to_string(), text);
    }
}

#[test]
fn policies_deny_by_default_and_denials_win() {
    let own = domain("own.org");
    let home = id("spiffe://own.org/a");
    let foreign = id("spiffe://other.org/a");

    assert!(Policy::nobody().allows(&home, &own).is_err());
    assert!(Policy::own_trust_domain().allows(&home, &own).is_ok());
    assert!(Policy::own_trust_domain().allows(&foreign, &own).is_err());
    assert!(Policy::own_trust_domain().allows(&home, None).is_err());
    assert!(Policy::nobody().allow(own.clone()).allows(&home, None).is_ok());

    let named = Policy::own_trust_domain().allow(domain("other.org"));
    assert!(named.allows(&home, &own).is_ok());
    assert!(named.allows(&foreign, &own).is_ok());
    let denied = named.deny(foreign.clone());
    assert_eq!(
        denied.allows(&foreign, &own).unwrap_err().reason(),
        "denied by the rule spiffe://other.org/a"
    );
    assert!(denied.allows(&home, &own).is_ok());
    assert!(denied.deny(own.clone()).allows(&home, &own).is_err());

    let listed = Policy::from_rules(["spiffe://own.org/a", "spiffe://other.org/x/*"]).unwrap();
    assert!(listed.allows(&home, &own).is_ok());
    assert_eq!(listed.allows(&foreign, &own).unwrap_err().reason(), "no rule allows it");
    assert!(Policy::from_rules(["spiffe://own.org/a", "nonsense"]).is_err());
}

#[test]
fn a_service_may_name_peers_as_it_likes() {
    let attributes = BTreeMap::from([("project".to_owned(), "p".to_owned())]);
    let peer = PeerIdentity::from_service("a@b.iam.gserviceaccount.com", attributes.clone());
    assert_eq!(peer.name(), "a@b.iam.gserviceaccount.com");
    assert_eq!(peer.spiffe_id(), None);
    assert_eq!(peer.not_after(), None);
    assert_eq!(peer.attributes(), &attributes);

    let peer = PeerIdentity::from_service("spiffe://own.org/a", BTreeMap::new());
    assert_eq!(peer.name(), "spiffe://own.org/a");
    assert_eq!(peer.spiffe_id(), Some(&id("spiffe://own.org/a")));
}
