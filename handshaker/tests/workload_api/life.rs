//! No identity yet, agents that come and go.

use std::sync::Arc;
use std::time::Duration;

use alts_handshaker::identity::{
    Identity, IdentityError, IdentitySource, PrivateKey, TrustBundles,
};
use alts_handshaker::{AlertCode, Error, LocalHandshaker};
use tonic::Code;

use crate::agent::{Agent, Say, eventually, identity_when, now};
use crate::authority::{Authority, CART, STOCK, answer, handshake, handshaker};

/// An identity that needs no agent.
fn fixed(home: &Authority, id: &str) -> Arc<Identity> {
    let svid = home.svid(id);
    let mut trust = TrustBundles::new();
    trust.insert_authority(&"example.org".parse().unwrap(), &home.der).unwrap();
    let key = Arc::new(PrivateKey::from_der(&svid.key).unwrap());
    Identity::new(vec![svid.chain.clone().into()], key, trust, now()).unwrap()
}

/// Not an end: the program goes on, tells clients why, and works once there is an identity.
#[test]
fn a_server_without_identity_says_so_until_it_has_one() {
    let (agent, home) = (Agent::new(), Authority::new("home"));
    agent.fail(Code::PermissionDenied);
    let source = agent.source();
    let reason = source.snapshot().unwrap_err();
    assert!(reason.to_string().contains("PermissionDenied"), "{reason}");
    assert_eq!(source.lost_since(), None, "it answers");
    let policy = alts_handshaker::identity::Policy::own_trust_domain();
    let client = LocalHandshaker::builder(fixed(&home, STOCK)).server_policy(policy).build();
    let server = handshaker(&source);
    let told = || {
        let options = alts_handshaker::HandshakeOptions::default();
        let mut client = client.handshake(alts_handshaker::Role::Client, &options).unwrap();
        let mut server = server.handshake(alts_handshaker::Role::Server, &options).unwrap();
        let (mut offer, mut answer) = (Vec::new(), Vec::new());
        client.step(&[], now(), &mut offer).unwrap();
        let fault = server.step(&offer, now(), &mut answer).unwrap_err();
        assert!(matches!(fault, Error::Identity(IdentityError::Unavailable(_))), "{fault}");
        client.step(&answer, now(), &mut Vec::new()).unwrap_err()
    };
    let no_identity =
        |told: Error| matches!(told, Error::Alert { code: AlertCode::NoIdentity, .. });
    assert!(no_identity(told()));

    agent.say(answer([home.svid(CART)]));
    identity_when(&source, |_| true);
    assert_eq!(handshake(&client, &server).unwrap().1, CART);
    // All SVIDs are taken back.
    agent.fail(Code::PermissionDenied);
    eventually(|| source.snapshot().is_err());
    assert!(no_identity(told()));
}

#[test]
fn an_agent_that_restarts_is_found_again() {
    let (agent, home) = (Agent::new(), Authority::new("home"));
    agent.say(answer([home.svid(CART)]));
    let source = agent.source();
    let first = source.snapshot().unwrap();
    let heard = source.last_answer().unwrap();
    let stopped = agent.stop();
    eventually(|| source.lost_since().is_some());
    assert_eq!(source.last_answer(), Some(heard));
    assert_eq!(source.snapshot().unwrap().epoch(), first.epoch(), "the last good one stays");
    handshake(&handshaker(&source), &handshaker(&source)).unwrap();

    let agent = stopped.start();
    agent.say(answer([home.svid(CART)]));
    identity_when(&source, |identity| identity.epoch() != first.epoch());
    eventually(|| source.lost_since().is_none());
    assert!(source.last_answer().unwrap() > heard);
    assert_eq!(source.failures(), 0);
}

#[test]
fn an_agent_that_is_not_there_yet_is_found_when_it_is() {
    let agent = Agent::new();
    let address = agent.address();
    let stopped = agent.stop();
    let source =
        alts_handshaker::identity::WorkloadApi::builder(&address).unwrap().start().unwrap();
    eventually(|| source.lost_since().is_some());
    let reason = source.snapshot().unwrap_err().to_string();
    assert!(reason.contains(&address) && reason.contains("No such file"), "{reason}");
    let agent = stopped.start();
    agent.say(answer([Authority::new("home").svid(CART)]));
    identity_when(&source, |_| true);
}

#[test]
fn an_agent_that_says_nothing_is_asked_again() {
    let (agent, home) = (Agent::new(), Authority::new("home"));
    agent.say_bundles(Say::Nothing);
    let source = agent.builder().answer_timeout(Duration::from_millis(20)).start().unwrap();
    // Both calls, and both once more.
    eventually(|| agent.calls() >= 4);
    eventually(|| source.snapshot().is_err_and(|fault| fault.to_string().contains("silent")));
    assert!(source.lost_since().is_some());
    drop(source);
    let source = agent.builder().start().unwrap();
    agent.say(answer([home.svid(CART)]));
    identity_when(&source, |_| true);
}

/// After the first answer an agent may be silent for as long as nothing changes.
#[test]
fn silence_after_an_answer_is_normal() {
    let (agent, home) = (Agent::new(), Authority::new("home"));
    agent.say(answer([home.svid(CART)]));
    let source = agent.builder().answer_timeout(Duration::from_secs(10)).start().unwrap();
    source.wait_for_answer(Duration::MAX);
    let calls = agent.calls();
    agent.say(answer([home.svid(STOCK)]));
    identity_when(&source, |identity| identity.id().as_str() == STOCK);
    assert_eq!(agent.calls(), calls, "on the same stream");
}

#[test]
fn the_streams_end_with_the_last_handle() {
    let (agent, home) = (Agent::new(), Authority::new("home"));
    agent.say(answer([home.svid(CART)]));
    agent.say_bundles(Say::Nothing);
    let source = agent.source();
    let other = source.clone();
    eventually(|| agent.open() == 2);
    drop(source);
    agent.say(answer([home.svid(STOCK)]));
    identity_when(&other, |identity| identity.id().as_str() == STOCK);
    drop(other);
    eventually(|| agent.open() == 0);
}
