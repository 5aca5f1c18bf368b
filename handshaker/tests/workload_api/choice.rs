//! Which SVID is this side's.

use std::time::Duration;

use alts_handshaker::identity::{IdentityError, IdentitySource};

use crate::agent::{Agent, eventually, identity_when};
use crate::authority::{Authority, CART, STOCK, answer};

#[test]
fn the_first_one_or_that_of_a_hint_or_of_a_name() {
    let (agent, home) = (Agent::new(), Authority::new("home"));
    let mut stock = home.svid(STOCK);
    stock.hint = "internal".to_owned();
    let mut other = home.svid("spiffe://example.org/other");
    other.hint = "internal".to_owned();
    agent.say(answer([home.svid(CART), stock, other]));
    assert_eq!(agent.source().snapshot().unwrap().id().as_str(), CART);
    for (builder, id) in [
        (agent.builder().hint("internal"), STOCK),
        (agent.builder().spiffe_id(STOCK.parse().unwrap()), STOCK),
    ] {
        let source = builder.start().unwrap();
        source.wait_for_answer(Duration::MAX);
        assert_eq!(source.snapshot().unwrap().id().as_str(), id);
        assert_eq!((source.failures(), source.last_error()), (0, None));
    }
}

/// What the agent does not give any more is not used any more.
#[test]
fn one_that_is_not_given_is_no_identity() {
    let (agent, home) = (Agent::new(), Authority::new("home"));
    agent.say(answer([home.svid(CART)]));
    let source = agent.builder().hint("internal").start().unwrap();
    source.wait_for_answer(Duration::MAX);
    let fault = source.snapshot().unwrap_err();
    assert!(matches!(fault, IdentityError::Unavailable(_)));
    assert!(fault.to_string().contains(CART) && fault.to_string().contains("internal"), "{fault}");

    let mut stock = home.svid(STOCK);
    stock.hint = "internal".to_owned();
    agent.say(answer([home.svid(CART), stock]));
    identity_when(&source, |identity| identity.id().as_str() == STOCK);
    agent.say(answer([home.svid(CART)]));
    eventually(|| source.snapshot().is_err());
}

/// The default identity may become another.
#[test]
fn the_first_may_change() {
    let (agent, home) = (Agent::new(), Authority::new("home"));
    agent.say(answer([home.svid(CART), home.svid(STOCK)]));
    let source = agent.source();
    agent.say(answer([home.svid(STOCK), home.svid(CART)]));
    identity_when(&source, |identity| identity.id().as_str() == STOCK);
}
