//! What a caller must not ask for.

use std::sync::Arc;

use alts_handshaker::identity::{CertificateError, Identity, IdentityError, IdentitySource};
use alts_handshaker::{
    AlertCode, Error, HandshakeOptions, Handshaker, LocalHandshaker, RecordProtocol, Role,
    RpcVersion, RpcVersions, Suite,
};

use crate::peers::{self, Outcome, Pair, assert_agreed, builder, identity};

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

/// A client is told by its own side. A server has to tell the client, which waits for an answer.
#[test]
fn without_an_identity_a_client_does_not_start_and_a_server_says_so() {
    let unavailable = Error::Identity(IdentityError::Unavailable("not yet".to_owned()));
    let options = HandshakeOptions::default();
    let nobody = LocalHandshaker::builder(Arc::new(Nobody))
        .server_policy(alts_handshaker::identity::Policy::own_trust_domain())
        .build();
    assert_eq!(nobody.start(Role::Client, &options).map(|_| ()), Err(unavailable.clone()));

    let pair = Pair::of(builder(&identity("client")).build(), nobody);
    let Outcome { client, server } = pair.run();
    assert_eq!(*server.error(), unavailable);
    assert_eq!(*client.error(), no_identity());

    // What is no offer is treated as everywhere.
    let mut server = pair.server();
    assert_eq!(server.feed(b"PRI * HTTP/2.0\r\n\r\n"), []);
    assert!(matches!(server.error(), Error::Foreign(_)));
    let mut server = pair.server();
    let offer = pair.client().feed(&[]);
    assert_eq!(server.feed(&offer[..offer.len() - 1]), []);
    assert_eq!(server.feed(&offer[offer.len() - 1..]), peers::clear_alert(20));
}

fn no_identity() -> Error {
    Error::Alert { code: AlertCode::NoIdentity, reason: String::new(), sealed: false }
}

/// With an identity that has expired, or is not valid yet.
#[test]
fn a_side_does_not_show_an_identity_outside_its_validity() {
    for (time, fault) in [
        (peers::too_late(), CertificateError::Expired),
        (std::time::SystemTime::UNIX_EPOCH, CertificateError::NotYetValid),
    ] {
        let expected = Error::Identity(IdentityError::Chain(fault));
        let (client, mut server) = (Pair::usual().client(), Pair::usual().server());
        server.time = time;
        let outcome = Outcome::of(client, server);
        assert_eq!(*outcome.server.error(), expected);
        assert_eq!(*outcome.client.error(), no_identity());

        let (mut client, server) = (Pair::usual().client(), Pair::usual().server());
        client.time = time;
        let outcome = Outcome::of(client, server);
        assert_eq!(*outcome.client.error(), expected);
        assert_eq!(*outcome.server.error(), no_identity());
    }
}
