//! What a caller must not ask for.

use std::sync::Arc;

use alts_handshaker::identity::{Identity, IdentityError, IdentitySource};
use alts_handshaker::{
    Error, HandshakeOptions, Handshaker, LocalHandshaker, RecordProtocol, Role, RpcVersion,
    RpcVersions, Suite,
};

use crate::peers::{Pair, assert_agreed, builder, identity};

#[track_caller]
fn misuse(role: Role, change: impl FnOnce(&mut HandshakeOptions)) -> String {
    let mut options = HandshakeOptions::default();
    change(&mut options);
    let handshaker = builder(&identity("client")).build();
    match handshaker.start(role, &options).map(|_| ()) {
        Err(Error::Misuse(detail)) => detail.into_owned(),
        other => panic!("not misuse but {other:?}"),
    }
}

#[test]
fn options_are_checked_first() {
    let client = Role::Client;
    let apps = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        misuse(client, |options| options.application_protocols = names)
    };
    assert!(apps(&[]).contains("application_protocols has 0 names"));
    assert!(apps(&["1", "2", "3", "4", "5"]).contains("application_protocols has 5 names"));
    assert!(apps(&["a", "a"]).contains("twice"));
    for name in ["", "a b", "ä", &"x".repeat(65)] {
        assert!(apps(&["ok", name]).contains("1 to 64 visible ASCII"));
    }
    assert_eq!(
        misuse(client, |options| options.record_protocols.clear()),
        "record_protocols is empty"
    );
    let twice = vec![RecordProtocol::Aes128Gcm; 2];
    assert!(misuse(client, |options| options.record_protocols = twice).contains("twice"));
    let upside_down = RpcVersions {
        max: RpcVersion { major: 2, minor: 0 },
        min: RpcVersion { major: 2, minor: 1 },
    };
    assert!(misuse(client, |options| options.rpc_versions = upside_down).contains("rpc_versions"));
    let targets = vec!["spiffe://test.example/client".to_owned()];
    assert!(
        misuse(Role::Server, |options| options.target_identities = targets).contains("clients")
    );
}

#[test]
fn suites_are_one_or_two() {
    for suites in [&[][..], &[Suite::P256, Suite::P256], &[Suite::X25519; 3]] {
        let handshaker = builder(&identity("client")).suites(suites).build();
        let error = handshaker.start(Role::Server, &HandshakeOptions::default()).map(|_| ());
        assert!(matches!(error, Err(Error::Misuse(_))), "{suites:?}");
    }
}

#[test]
fn a_client_must_say_who_the_server_may_be() {
    let handshaker = LocalHandshaker::builder(Arc::new(identity("client"))).build();
    let options = HandshakeOptions::default();
    match handshaker.start(Role::Client, &options).map(|_| ()) {
        Err(Error::Misuse(detail)) => assert!(detail.contains("server policy"), "{detail}"),
        other => panic!("{other:?}"),
    }
    handshaker.start(Role::Server, &options).unwrap();

    let mut pair = Pair::of(handshaker, builder(&identity("server")).build());
    pair.client_options.target_identities = vec!["spiffe://test.example/server".to_owned()];
    assert_agreed(&pair.run());
}

/// Has no identity, for the moment.
#[derive(Debug)]
struct Nobody;

impl IdentitySource for Nobody {
    fn snapshot(&self) -> Result<Arc<Identity>, IdentityError> {
        Err(IdentityError::Unavailable("not yet".to_owned()))
    }
}

#[test]
fn without_an_identity_nothing_starts() {
    let handshaker = LocalHandshaker::builder(Arc::new(Nobody)).build();
    let error = handshaker.start(Role::Server, &HandshakeOptions::default()).map(|_| ());
    assert_eq!(error, Err(Error::Identity(IdentityError::Unavailable("not yet".to_owned()))));
}
