//! Answers that cannot be used. The identity that there is stays.

use alts_handshaker::identity::{IdentityError, IdentitySource};

use crate::agent::{Agent, eventually, identity_when};
use crate::authority::{Authority, CART, STOCK, answer};
use crate::messages::{X509Svid, X509SvidResponse};

/// An answer with what `spoil` has left of a good SVID.
fn spoilt(home: &Authority, spoil: impl FnOnce(&mut X509Svid)) -> X509SvidResponse {
    let mut svid = home.svid(CART);
    spoil(&mut svid);
    answer([svid])
}

/// More than 4 MiB.
fn huge(home: &Authority) -> X509SvidResponse {
    X509SvidResponse { crl: vec![vec![0x30; 5 << 20]], ..answer([home.svid(CART)]) }
}

#[test]
fn what_cannot_be_used_changes_nothing() {
    let (agent, home) = (Agent::new(), Authority::new("home"));
    agent.say(answer([home.svid(CART)]));
    let source = agent.source();
    let other_key = home.svid(CART).key.clone();
    let strange = Authority::new("strange");
    let cases = [
        ("no SVID", answer([])),
        ("no spiffe_id", spoilt(&home, |svid| svid.spiffe_id.clear())),
        ("no x509_svid", spoilt(&home, |svid| svid.chain.clear())),
        ("no x509_svid_key", spoilt(&home, |svid| svid.key.clear())),
        ("no bundle", spoilt(&home, |svid| svid.bundle.clear())),
        ("has no path", spoilt(&home, |svid| svid.spiffe_id = "spiffe://example.org".to_owned())),
        (
            "65 revocation lists",
            X509SvidResponse { crl: vec![vec![]; 65], ..answer([home.svid(CART)]) },
        ),
        ("does not belong", spoilt(&home, |svid| svid.key.clone_from(&other_key))),
        ("private key cannot be used", spoilt(&home, |svid| svid.key = vec![0x30, 0])),
        ("malformed", spoilt(&home, |svid| svid.chain = vec![0x30, 0])),
        ("malformed", spoilt(&home, |svid| svid.chain.push(7))),
        ("16 certificates", spoilt(&home, |svid| svid.chain = [0x30, 0].repeat(1 << 20))),
        ("expired", answer([home.svid_of(CART, 1, -60)])),
        ("certificate is spiffe://example.org/stock's", {
            let mut svid = home.svid(STOCK);
            svid.spiffe_id = CART.to_owned();
            answer([svid])
        }),
        ("not signed by an authority", {
            let mut svid = strange.svid(CART);
            svid.bundle.clone_from(&home.der);
            answer([svid])
        }),
    ];
    for (text, bad) in cases {
        let (before, failures) = (source.snapshot().unwrap(), source.failures());
        agent.say(bad);
        eventually(|| source.failures() > failures);
        let fault = source.last_error().unwrap().to_string();
        assert!(fault.contains(text), "{text}: {fault}");
        let after = source.snapshot().unwrap();
        assert_eq!(before.epoch(), after.epoch(), "{text}");
        agent.say(answer([home.svid(CART)]));
        identity_when(&source, |identity| identity.epoch() != before.epoch());
        assert_eq!(source.last_error(), None, "{text}");
    }
    assert_eq!(source.lost_since(), None);
}

/// Nothing of it is read.
#[test]
fn an_answer_that_is_too_large_is_as_none() {
    let (agent, home) = (Agent::new(), Authority::new("home"));
    agent.say(huge(&home));
    let source = agent.builder().start().unwrap();
    eventually(|| source.lost_since().is_some());
    let fault = source.snapshot().unwrap_err().to_string();
    assert!(fault.contains("too large"), "{fault}");
    agent.say(answer([home.svid(CART)]));
    let before = identity_when(&source, |_| true);
    agent.say(huge(&home));
    eventually(|| source.lost_since().is_some());
    assert_eq!(source.snapshot().unwrap().epoch(), before.epoch());
}

/// Nothing was good yet: handshakes say what is wrong.
#[test]
fn a_first_answer_that_is_bad_says_why_there_is_no_identity() {
    let (agent, home) = (Agent::new(), Authority::new("home"));
    agent.say(answer([home.svid_of(CART, 1, -60)]));
    let source = agent.source();
    let fault = source.snapshot().unwrap_err();
    assert!(matches!(fault.fault(), IdentityError::Chain(_)), "{fault}");
    agent.say(answer([]));
    eventually(|| matches!(source.snapshot(), Err(IdentityError::Answer(_))));
    agent.say(answer([home.svid(CART)]));
    identity_when(&source, |_| true);
    assert_eq!(source.last_error(), None);
}

#[test]
fn development_certificates_need_permission() {
    let (agent, home) = (Agent::new(), Authority::new("home"));
    agent.say(answer([home.svid("spiffe://dev.local/cart")]));
    let refused = agent.source().snapshot().unwrap_err();
    assert!(matches!(refused.fault(), IdentityError::DevelopmentDomain(_)), "{refused}");
    let source = agent.builder().allow_development_domain().start().unwrap();
    identity_when(&source, |_| true);
}
