//! Whole handshakes through the public interface, undisturbed and in every way that the two ends may fail to agree.

mod peers;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use alts_handshaker::identity::{
    Identity, IdentityError, IdentitySource, Policy, PrivateKey, SignatureScheme, Signer,
};
use alts_handshaker::{
    AlertCode, Error, ForeignProtocol, HandshakeOptions, HandshakeSession, Handshaker,
    LocalHandshaker, RecordProtocol, Role, RpcVersion, RpcVersions, SealedAlertKey, Suite,
};
use peers::{Outcome, Pair, Side, builder, frame, frames, identity, identity_trusting, now};

#[track_caller]
fn assert_agreed(outcome: &Outcome) {
    let (client, server) = (outcome.client.result(), outcome.server.result());
    assert_eq!(client.key_data, server.key_data);
    assert_eq!(client.key_data.as_bytes().len(), client.record_protocol.key_len());
    assert_eq!(client.log_id, server.log_id);
    assert_eq!(client.record_protocol, server.record_protocol);
    assert_eq!(client.application_protocol, server.application_protocol);
    assert_eq!(client.close_notify, server.close_notify);
    assert_eq!(client.peer.name(), server.local);
    assert_eq!(server.peer.name(), client.local);
    assert!(client.late_alert.is_some());
    assert!(server.late_alert.is_none());
}

#[test]
fn both_sides_agree() {
    let outcome = Pair::usual().run();
    assert_agreed(&outcome);
    let client = outcome.client.result();
    assert_eq!(client.record_protocol, RecordProtocol::Aes128GcmRekey);
    assert_eq!(client.application_protocol, "grpc");
    assert_eq!(client.peer.name(), "spiffe://test.example/server");
    assert_eq!(client.local, "spiffe://test.example/client");
    assert_eq!(client.peer_rpc_versions, RpcVersions::GRPC);
    assert_eq!(client.peer_max_frame_size, 16_384);
    assert!(!client.close_notify);
    assert!(client.peer.not_after().unwrap() > now());
    assert!(outcome.client.records.is_empty() && outcome.server.records.is_empty());
}

#[test]
fn no_two_handshakes_have_the_same_keys() {
    let pair = Pair::usual();
    let (one, other) = (pair.run(), pair.run());
    assert_ne!(one.client.result().key_data, other.client.result().key_data);
    assert_ne!(one.client.result().log_id, other.client.result().log_id);
}

#[test]
fn every_kind_of_key_in_every_role_with_every_suite() {
    let keys = ["client", "p256", "p384", "rsa", "deep"];
    for suite in [Suite::X25519, Suite::P256] {
        for client in keys {
            for server in keys {
                let pair = Pair::of(
                    builder(&identity(client)).suites([suite]).build(),
                    builder(&identity(server)).suites([suite]).build(),
                );
                assert_agreed(&pair.run());
            }
        }
    }
}

#[test]
fn one_identity_on_both_sides() {
    assert_agreed(&Pair::named("client", "client").run());
}

#[test]
fn the_server_prefers_among_the_shares() {
    let offer_len = |suites: &[Suite]| {
        let client = builder(&identity("client")).suites(suites).build();
        let mut side =
            Side::new(client.handshake(Role::Client, &HandshakeOptions::default()).unwrap());
        side.feed(&[]).len()
    };
    let both = [Suite::X25519, Suite::P256];
    assert_eq!(offer_len(&both), offer_len(&both[..1]) + 2 + 2 + 2 + 65);

    // Where ServerInit names the suite.
    let chosen = |client: &[Suite], server: &[Suite]| {
        let pair = Pair::of(
            builder(&identity("client")).suites(client).build(),
            builder(&identity("server")).suites(server).build(),
        );
        assert_agreed(&pair.run());
        pair.flights().answer[8 + 2 + 32 + 1]
    };
    assert_eq!(chosen(&both, &both), 1);
    assert_eq!(chosen(&both, &[Suite::P256, Suite::X25519]), 2);
    assert_eq!(chosen(&[Suite::P256], &both), 2);
    assert_eq!(chosen(&both, &[Suite::P256]), 2);
}

#[test]
fn options_reach_the_other_side() {
    let mut pair = Pair::usual();
    let versions = |major| RpcVersions {
        max: RpcVersion { major, minor: 7 },
        min: RpcVersion { major: 2, minor: 0 },
    };
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    pair.client_options.application_protocols = names(&["x", "h2", "grpc"]);
    pair.server_options.application_protocols = names(&["grpc", "h2"]);
    pair.client_options.record_protocols =
        vec![RecordProtocol::Aes128Gcm, RecordProtocol::Aes128GcmRekey];
    pair.server_options.record_protocols =
        vec![RecordProtocol::Aes128GcmRekey, RecordProtocol::Aes128Gcm];
    pair.client_options.rpc_versions = versions(3);
    pair.server_options.rpc_versions = versions(2);
    pair.client_options.max_frame_size = 0;
    pair.server_options.max_frame_size = 65_536;
    pair.client_options.target_name = Some("anything".to_owned());
    let outcome = pair.run();
    assert_agreed(&outcome);
    let (client, server) = (outcome.client.result(), outcome.server.result());
    assert_eq!(client.application_protocol, "h2", "the client's first that the server has");
    assert_eq!(client.record_protocol, RecordProtocol::Aes128Gcm);
    assert_eq!(client.key_data.as_bytes().len(), 16);
    assert_eq!(client.peer_rpc_versions, versions(2));
    assert_eq!(server.peer_rpc_versions, versions(3));
    assert_eq!(client.peer_max_frame_size, 65_536);
    assert_eq!(server.peer_max_frame_size, 0);
}

#[test]
fn close_notify_needs_both() {
    for (client, server) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut pair = Pair::usual();
        pair.client_options.close_notify = client;
        pair.server_options.close_notify = server;
        let outcome = pair.run();
        assert_agreed(&outcome);
        assert_eq!(outcome.client.result().close_notify, client && server);
    }
}

#[test]
fn byte_by_byte() {
    let pair = Pair::named("deep", "rsa");
    let (mut client, mut server) = (pair.client(), pair.server());
    let mut to_server = client.feed(&[]);
    for _ in 0..2 {
        let to_client: Vec<u8> = to_server.iter().flat_map(|&byte| server.feed(&[byte])).collect();
        to_server = to_client.iter().flat_map(|&byte| client.feed(&[byte])).collect();
    }
    assert_agreed(&Outcome { client, server });
}

#[test]
fn cut_at_every_point() {
    let pair = Pair::usual();
    let lengths = pair.flights();
    let feed = |side: &mut Side, flight: &[u8], at: usize| {
        let (first, second) = flight.split_at(at.min(flight.len()));
        let mut out = side.feed(first);
        out.extend(side.feed(&[]));
        out.extend(side.feed(second));
        out
    };
    // One cut in all three flights at a time; the lengths are the same in every run.
    for at in 0..=lengths.answer.len() {
        let (mut client, mut server) = (pair.client(), pair.server());
        let offer = client.feed(&[]);
        assert_eq!(offer.len(), lengths.offer.len());
        let answer = feed(&mut server, &offer, at);
        assert_eq!(answer.len(), lengths.answer.len());
        let finish = feed(&mut client, &answer, at);
        feed(&mut server, &finish, at);
        assert_agreed(&Outcome { client, server });
    }
}

#[test]
fn records_behind_the_handshake_are_left() {
    let record = frame(6, &[7; 50]);
    for cut in 0..record.len() {
        let pair = Pair::usual();
        let (mut client, mut server) = (pair.client(), pair.server());
        let offer = client.feed(&[]);
        let mut answer = server.feed(&offer);
        answer.extend_from_slice(&record[..cut]);
        let mut finish = client.feed(&answer);
        finish.extend_from_slice(&record[..cut]);
        // The last byte of the message comes together with the record.
        let at = finish.len() - cut - 1;
        server.feed(&finish[..at]);
        assert!(server.end.is_none());
        server.feed(&finish[at..]);
        assert_eq!(client.records, &record[..cut]);
        assert_eq!(server.records, &record[..cut]);
        assert_agreed(&Outcome { client, server });
    }
}

#[test]
fn after_the_result_nothing_more() {
    let Outcome { mut client, mut server } = Pair::usual().run();
    for side in [&mut client, &mut server] {
        let mut out = Vec::new();
        let again = side.handshake().step(b"x", now(), &mut out);
        assert_eq!(again.map(|_| ()), Err(Error::Misuse("the handshake is over".into())));
        side.handshake().fail(AlertCode::Timeout, &mut out);
        assert_eq!(out, []);
    }
}

#[test]
fn sessions_behind_the_trait() {
    let pair = Pair::usual();
    let mut client = pair.client.start(Role::Client, &pair.client_options).unwrap();
    let mut server = pair.server.start(Role::Server, &pair.server_options).unwrap();
    let cx = &mut Context::from_waker(Waker::noop());
    let mut step = |session: &mut Box<dyn HandshakeSession>, received: &[u8]| {
        let mut out = Vec::new();
        match session.poll_step(cx, received, now(), &mut out) {
            Poll::Ready(step) => (out, step.unwrap().result),
            Poll::Pending => panic!("the engine waits for nothing"),
        }
    };
    let (offer, _) = step(&mut client, &[]);
    let (answer, _) = step(&mut server, &offer);
    let (finish, client) = step(&mut client, &answer);
    let (_, server) = step(&mut server, &finish);
    assert_eq!(client.unwrap().key_data, server.unwrap().key_data);

    let mut given_up = pair.server.start(Role::Server, &pair.server_options).unwrap();
    let mut out = Vec::new();
    given_up.fail(AlertCode::Overloaded, &mut out);
    assert_eq!(out, peers::clear_alert(15));
}

#[test]
fn debug_tells_the_state_and_no_secret() {
    let pair = Pair::usual();
    let (mut client, mut server) = (pair.client(), pair.server());
    let state = |side: &mut Side| format!("{:?}", side.handshake());
    assert_eq!(state(&mut client), "Handshake { role: Client, state: \"Start\", .. }");
    let offer = client.feed(&[]);
    assert_eq!(state(&mut client), "Handshake { role: Client, state: \"AwaitServerInit\", .. }");
    assert_eq!(state(&mut server), "Handshake { role: Server, state: \"AwaitClientInit\", .. }");
    let answer = server.feed(&offer);
    assert_eq!(
        state(&mut server),
        "Handshake { role: Server, state: \"AwaitClientFinished\", .. }"
    );
    client.feed(frames(&answer)[0]);
    assert_eq!(
        state(&mut client),
        "Handshake { role: Client, state: \"AwaitServerFinished\", .. }"
    );
    client.feed(frames(&answer)[1]);
    assert_eq!(state(&mut client), "Handshake { role: Client, state: \"Over\", .. }");
    let result = client.result();
    let shown = format!("{result:?}");
    assert!(
        shown.contains("KeyData(44 bytes)") && shown.contains("Some(SealedAlertKey)"),
        "{shown}"
    );
    assert!(!format!("{:?}", pair.client).contains("PRIVATE KEY"));
}

// ---- What a caller must not ask for ----

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

// ---- What the two sides do not have in common: told in clear, by the server ----

#[track_caller]
fn incompatible(pair: &Pair, code: AlertCode) {
    let Outcome { client, server } = pair.run();
    match server.error() {
        Error::Incompatible { code: own, .. } => assert_eq!(*own, code),
        other => panic!("{other:?}"),
    }
    let told = Error::Alert { code, reason: String::new(), authenticated: false };
    assert_eq!(*client.error(), told);
}

#[test]
fn no_common_suite() {
    let pair = |client, server| {
        Pair::of(
            builder(&identity("client")).suites([client]).build(),
            builder(&identity("server")).suites([server]).build(),
        )
    };
    incompatible(&pair(Suite::P256, Suite::X25519), AlertCode::NoCommonSuite);
    incompatible(&pair(Suite::X25519, Suite::P256), AlertCode::NoCommonSuite);
}

#[test]
fn no_common_record_protocol() {
    let mut pair = Pair::usual();
    pair.client_options.record_protocols = vec![RecordProtocol::Aes128Gcm];
    incompatible(&pair, AlertCode::NoCommonRecordProtocol);
    let mut pair = Pair::usual();
    pair.server_options.record_protocols = vec![RecordProtocol::Aes128Gcm];
    incompatible(&pair, AlertCode::NoCommonRecordProtocol);
}

#[test]
fn no_common_application_protocol() {
    let mut pair = Pair::usual();
    pair.client_options.application_protocols = vec!["h2".to_owned(), "h3".to_owned()];
    incompatible(&pair, AlertCode::NoCommonAppProtocol);
}

#[test]
fn rpc_versions_that_do_not_meet() {
    for (max, min) in [((1, 9), (1, 0)), ((2, 0), (2, 0)), ((3, 0), (2, 2))] {
        let version = |(major, minor)| RpcVersion { major, minor };
        let mut pair = Pair::usual();
        pair.client_options.rpc_versions = RpcVersions { max: version(max), min: version(min) };
        incompatible(&pair, AlertCode::RpcVersionMismatch);
    }
}

#[test]
fn no_common_version() {
    let pair = Pair::usual();
    let (mut client, mut server) = (pair.client(), pair.server());
    let mut offer = client.feed(&[]);
    assert_eq!(offer[8..11], [2, 0, 1], "versions");
    offer[10] = 2;
    let answer = server.feed(&offer);
    client.feed(&answer);
    let code = AlertCode::UnsupportedVersion;
    assert!(matches!(server.error(), Error::Incompatible { code: own, .. } if *own == code));
    let told = Error::Alert { code, reason: String::new(), authenticated: false };
    assert_eq!(*client.error(), told);
}

// ---- Who the other side is: told sealed ----

/// The client judges first; the server is told sealed.
#[track_caller]
fn client_refuses(pair: &Pair, code: AlertCode) -> Error {
    refused_by_client(pair.client(), pair.server(), code)
}

#[track_caller]
fn refused_by_client(client: Side, server: Side, code: AlertCode) -> Error {
    let Outcome { client, server } = Outcome::of(client, server);
    assert_eq!(client.error().alert(), Some(code));
    let told = Error::Alert { code, reason: String::new(), authenticated: true };
    assert_eq!(*server.error(), told);
    client.error().clone()
}

/// The client has its result already; it learns from a late alert.
#[track_caller]
fn server_refuses(pair: &Pair, code: AlertCode) -> Error {
    refused_by_server(pair.client(), pair.server(), code)
}

#[track_caller]
fn refused_by_server(client: Side, server: Side, code: AlertCode) -> Error {
    let Outcome { client, server } = Outcome::of(client, server);
    assert_eq!(server.error().alert(), Some(code));
    let late = &client.records;
    let header = *late.first_chunk().expect("an alert arrived");
    assert_eq!(SealedAlertKey::frame_len(header), Some(late.len()));
    let key = client.result().late_alert.as_ref().expect("clients get a key");
    assert_eq!(key.open(late), Ok((code, String::new())));
    server.error().clone()
}

#[test]
fn policies_decide() {
    let policy = |rule| Policy::from_rules([rule]).unwrap();
    let client = builder(&identity("client"));
    let server = builder(&identity("server"));
    for (client_policy, server_policy) in [
        ("spiffe://test.example/client", "spiffe://test.example/server"),
        ("spiffe://test.example", "spiffe://test.example/*"),
    ] {
        let pair = Pair::of(
            client.clone().server_policy(policy(server_policy)).build(),
            server.clone().client_policy(policy(client_policy)).build(),
        );
        assert_agreed(&pair.run());
    }

    let other = policy("spiffe://test.example/other");
    let pair =
        Pair::of(client.clone().server_policy(other.clone()).build(), server.clone().build());
    let error = client_refuses(&pair, AlertCode::AccessDenied);
    assert!(matches!(error, Error::Denied { peer, .. } if peer == "spiffe://test.example/server"));

    let pair = Pair::of(client.clone().build(), server.clone().client_policy(other).build());
    let error = server_refuses(&pair, AlertCode::AccessDenied);
    assert!(matches!(error, Error::Denied { peer, .. } if peer == "spiffe://test.example/client"));
}

#[test]
fn target_identities_and_policy_must_both_agree() {
    let server = "spiffe://test.example/server";
    let denied = |policy: Option<&str>, targets: &[&str]| {
        let builder = LocalHandshaker::builder(Arc::new(identity("client")));
        let builder = match policy {
            Some(rule) => builder.server_policy(Policy::from_rules([rule]).unwrap()),
            None => builder,
        };
        let mut pair = Pair::of(builder.build(), peers::builder(&identity("server")).build());
        pair.client_options.target_identities =
            targets.iter().map(|&name| name.to_owned()).collect();
        let outcome = pair.run();
        if outcome.client.succeeded() {
            assert_agreed(&outcome);
            return false;
        }
        client_refuses(&pair, AlertCode::AccessDenied);
        true
    };
    let other = "spiffe://test.example/other";
    assert!(!denied(None, &[server]));
    assert!(!denied(None, &[other, server]));
    assert!(denied(None, &[other]));
    assert!(denied(None, &["spiffe://test.example/*"]), "targets are names, not rules");
    assert!(denied(None, &["spiffe://test.example/Server"]), "compared exactly");
    assert!(denied(None, &["server@test.example"]));
    assert!(!denied(Some("spiffe://test.example"), &[server]));
    assert!(denied(Some("spiffe://test.example"), &[other]));
    assert!(denied(Some(other), &[server]));
}

#[test]
fn a_refused_server_does_not_see_who_the_client_is() {
    let client = builder(&identity("client"))
        .server_policy(Policy::from_rules(["spiffe://test.example/other"]).unwrap())
        .build();
    let pair = Pair::of(client, builder(&identity("server")).build());
    let (mut client, mut server) = (pair.client(), pair.server());
    let offer = client.feed(&[]);
    let answer = server.feed(&offer);
    let last = client.feed(&answer);
    assert_eq!(frames(&last).len(), 1);
    assert_eq!(last[4], 0x4e);
    assert_eq!(last.len(), 27, "a code and no more");
}

#[test]
fn certificates_that_are_out_of_date() {
    let pair = Pair::usual();
    let late = |mut side: Side| {
        side.time = peers::too_late();
        side
    };
    let code = AlertCode::CertificateExpired;
    refused_by_client(late(pair.client()), pair.server(), code);
    refused_by_server(pair.client(), late(pair.server()), code);
}

#[test]
fn certificates_of_strangers() {
    let home = builder(&identity("server")).build();
    let stranger = identity_trusting("stranger", &["other.example", "test.example"]);
    let stranger = builder(&stranger)
        .server_policy(Policy::from_rules(["spiffe://test.example"]).unwrap())
        .client_policy(Policy::from_rules(["spiffe://test.example"]).unwrap())
        .build();
    let code = AlertCode::UnknownTrustDomain;
    server_refuses(&Pair::of(stranger.clone(), home.clone()), code);
    client_refuses(&Pair::of(home, stranger.clone()), code);

    // Known is not yet allowed: federated domains only when named.
    let knowing = identity_trusting("server", &["test.example", "other.example"]);
    server_refuses(&Pair::of(stranger.clone(), builder(&knowing).build()), AlertCode::AccessDenied);
    let naming = Policy::from_rules(["spiffe://other.example/stranger"]).unwrap();
    let naming = builder(&knowing).client_policy(naming).build();
    assert_agreed(&Pair::of(stranger, naming).run());
}

#[test]
fn a_name_from_the_wrong_authority() {
    let knowing = identity_trusting("server", &["test.example", "other.example"]);
    let server = builder(&knowing).build();
    let impostor = builder(&peers::impostor()).build();
    let code = AlertCode::BadCertificate;
    server_refuses(&Pair::of(impostor.clone(), server.clone()), code);
    // The impostor trusts other.example's authority for test.example, so it is the client that refuses.
    client_refuses(&Pair::of(server, impostor), code);
}

#[test]
fn certificates_that_were_revoked() {
    let careful = builder(&peers::identity_with_revocations("server")).build();
    assert_agreed(&Pair::of(builder(&identity("client")).build(), careful.clone()).run());
    let revoked = builder(&identity("revoked")).build();
    let code = AlertCode::CertificateRevoked;
    server_refuses(&Pair::of(revoked.clone(), careful.clone()), code);
    client_refuses(&Pair::of(careful, revoked), code);
}

/// Shows that it has the key, and then fails.
#[derive(Debug)]
struct FailingSigner {
    key: PrivateKey,
    signed: AtomicUsize,
    then: Result<Vec<u8>, IdentityError>,
}

impl Signer for FailingSigner {
    fn schemes(&self) -> &[SignatureScheme] {
        self.key.schemes()
    }

    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, IdentityError> {
        if self.signed.fetch_add(1, Ordering::Relaxed) == 0 {
            return self.key.sign(scheme, message);
        }
        self.then.clone()
    }
}

#[test]
fn a_signer_that_fails() {
    let gone = IdentityError::Sign("the agent is gone".to_owned());
    let failing = |name: &str, then| {
        let key = PrivateKey::from_pem(&peers::data(&format!("{name}.key.pem"))).unwrap();
        let signer = FailingSigner { key, signed: AtomicUsize::new(0), then };
        builder(&peers::identity_signing(name, Arc::new(signer))).build()
    };
    let usual = Pair::usual();
    let code = AlertCode::Internal;

    let pair = Pair::of(failing("client", Err(gone.clone())), usual.server.clone());
    assert_eq!(client_refuses(&pair, code), Error::Identity(gone.clone()));

    // The client has no keys yet, so it is told in clear.
    let pair = Pair::of(usual.client.clone(), failing("server", Err(gone.clone())));
    let Outcome { client, server } = pair.run();
    assert_eq!(*server.error(), Error::Identity(gone));
    let told = Error::Alert { code, reason: String::new(), authenticated: false };
    assert_eq!(*client.error(), told);

    // A signature that is none: the fault shows at the peer.
    let pair = Pair::of(failing("client", Ok(vec![0; 64])), usual.server.clone());
    server_refuses(&pair, AlertCode::DecryptError);
    let pair = Pair::of(failing("client", Ok(vec![0; 2_000])), usual.server);
    assert!(matches!(client_refuses(&pair, code), Error::Unavailable(_)));
}

// ---- Frames ----

/// A side that waits for `frame(awaited)`; the server's peer is there to open what it answers.
fn waiting_for(awaited: u32) -> Side {
    let pair = Pair::usual();
    let (mut client, mut server) = (pair.client(), pair.server());
    let offer = client.feed(&[]);
    match awaited {
        0x41 => pair.server(),
        0x42 => client,
        0x43 => {
            let answer = server.feed(&offer);
            client.feed(frames(&answer)[0]);
            client
        }
        0x44 => {
            server.feed(&offer);
            server
        }
        other => panic!("{other:#x} is not awaited"),
    }
}

#[track_caller]
fn refuses(awaited: u32, bytes: &[u8], code: AlertCode) {
    let mut side = waiting_for(awaited);
    let told = side.feed(bytes);
    assert_eq!(side.error().alert(), Some(code), "{awaited:#x}: {bytes:02x?}");
    let sealed = awaited >= 0x43;
    assert_eq!(frames(&told).len(), 1);
    assert_eq!(told[4], if sealed { 0x4e } else { 0x4f }, "{awaited:#x}: {bytes:02x?}");
    if !sealed {
        assert_eq!(told, peers::clear_alert(code.number()));
    }
}

#[test]
fn frames_of_the_wrong_kind_in_every_state() {
    for awaited in 0x41..=0x44 {
        for kind in [0, 6, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x4d, 0x4e, 0x50, 0x0100_0041, 0x141]
        {
            // Where there are keys, a sealed alert may come; this one does not open.
            let alert = kind == 0x4e && awaited >= 0x43;
            if kind == awaited || alert {
                continue;
            }
            let bytes = frame(kind, &[0; 64]);
            refuses(awaited, &bytes, AlertCode::UnexpectedMessage);
            refuses(awaited, &bytes[..8], AlertCode::UnexpectedMessage);
            assert!({
                let mut side = waiting_for(awaited);
                side.feed(&bytes[..7]).is_empty() && side.end.is_none()
            });
        }
    }
}

#[test]
fn lengths_that_cannot_be() {
    for awaited in 0x41..=0x44_u32 {
        let header = |length: u32| [length.to_le_bytes(), awaited.to_le_bytes()].concat();
        for length in 0..4 {
            refuses(awaited, &header(length), AlertCode::DecodeError);
        }
        let max = if awaited == 0x41 { 4_092 } else { 32_764 };
        for length in [max + 1, 0x7fff_ffff, 0x8000_0000, u32::MAX - 4, u32::MAX] {
            refuses(awaited, &header(length), AlertCode::TooLarge);
        }
        let mut side = waiting_for(awaited);
        side.feed(&header(max));
        assert!(side.end.is_none());
    }
}

#[test]
fn messages_of_no_length() {
    for (awaited, code) in [
        (0x41, AlertCode::DecodeError),
        (0x42, AlertCode::DecodeError),
        (0x43, AlertCode::DecryptError),
        (0x44, AlertCode::DecryptError),
    ] {
        refuses(awaited, &frame(awaited, &[]), code);
    }
}

#[test]
fn peers_that_speak_something_else() {
    for role in [Role::Client, Role::Server] {
        let foreign = |bytes: &[u8]| {
            let mut side = waiting_for(if role == Role::Client { 0x42 } else { 0x41 });
            assert_eq!(side.feed(bytes), [], "what we say would not be understood");
            side.error().clone()
        };
        let http2 = Error::Foreign(ForeignProtocol::Http2);
        assert_eq!(foreign(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), http2);
        assert_eq!(foreign(b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0\x64"), http2);
        let tls = Error::Foreign(ForeignProtocol::Tls);
        assert_eq!(foreign(&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3]), tls);
        assert_eq!(foreign(&[0x15, 3, 3, 0, 2, 2, 70]), tls);
    }
    // Later in the handshake these are just bad frames.
    refuses(0x44, b"PRI * HTTP/2.0\r\n", AlertCode::TooLarge);
    refuses(0x43, &[0x16, 3, 1, 2, 0, 1, 0, 1], AlertCode::TooLarge);
}

// ---- Alerts ----

#[test]
fn alerts_in_clear_are_accepted_until_the_end_and_believed_little() {
    for awaited in 0x41..=0x44 {
        for code in 0..=20 {
            let mut side = waiting_for(awaited);
            assert_eq!(side.feed(&peers::clear_alert(code)), [], "no alert answers an alert");
            let read = if (7..=11).contains(&code) { 0 } else { code };
            let code = AlertCode::from_number(read);
            let told = Error::Alert { code, reason: String::new(), authenticated: false };
            assert_eq!(*side.error(), told);
        }
        let mut side = waiting_for(awaited);
        let words = b"\x00\x0e\x09late \"it\"";
        let alert = frame(0x4f, words);
        for byte in &alert {
            assert_eq!(side.feed(&[*byte]), []);
        }
        assert_eq!(
            *side.error(),
            Error::Alert {
                code: AlertCode::Timeout,
                reason: "late \\\"it\\\"".to_owned(),
                authenticated: false
            }
        );
    }
}

#[test]
fn alerts_that_are_malformed_get_no_answer() {
    for awaited in 0x41..=0x44 {
        for body in [&[][..], &[0], &[0, 1], &[0, 1, 1], &[0, 1, 0, 0], &[0, 1, 1, 7]] {
            let mut side = waiting_for(awaited);
            assert_eq!(side.feed(&frame(0x4f, body)), []);
            assert_eq!(side.error().alert(), Some(AlertCode::DecodeError));
        }
        if awaited >= 0x43 {
            let mut side = waiting_for(awaited);
            assert_eq!(side.feed(&frame(0x4e, &[0; 19])), []);
            assert_eq!(side.error().alert(), Some(AlertCode::DecryptError));
        }
        refuses(awaited, &frame(0x4f, &[0; 124]), AlertCode::TooLarge);
    }
}

#[test]
fn a_driver_gives_up() {
    for code in [AlertCode::Timeout, AlertCode::Overloaded] {
        let limit = Error::Limit { code, detail: "the handshake was given up".into() };
        // Nothing was said yet; a client is told all the same.
        let mut server = Pair::usual().server();
        assert_eq!(server.fail(code), peers::clear_alert(code.number()));
        assert_eq!(server.fail(code), [], "once");
        server.feed(&[]);
        assert_eq!(*server.error(), limit);

        for awaited in [0x41, 0x42] {
            let mut side = waiting_for(awaited);
            side.feed(&[9, 0, 0]);
            assert_eq!(side.fail(code), peers::clear_alert(code.number()));
            side.feed(&frame(0x42, &[]));
            assert_eq!(*side.error(), limit);
        }

        // A server that waits for ClientFinished has keys, and its client can read it.
        let pair = Pair::usual();
        let (mut client, mut server) = (pair.client(), pair.server());
        let offer = client.feed(&[]);
        let answer = server.feed(&offer);
        let alert = server.fail(code);
        client.feed(frames(&answer)[0]);
        client.feed(&alert);
        let told = Error::Alert { code, reason: String::new(), authenticated: true };
        assert_eq!(*client.error(), told);

        // So has a client that waits for ServerFinished.
        let (mut client, mut server) = (pair.client(), pair.server());
        let offer = client.feed(&[]);
        let answer = server.feed(&offer);
        client.feed(frames(&answer)[0]);
        let alert = client.fail(code);
        server.feed(&alert);
        assert_eq!(*server.error(), told);
    }
}

#[test]
fn what_is_secret_is_not_said_in_clear_by_drivers_either() {
    let mut side = waiting_for(0x42);
    assert_eq!(side.fail(AlertCode::AccessDenied), peers::clear_alert(0));
}

// ---- Messages in the wrong hands ----

#[test]
fn an_own_offer_reflected() {
    let mut client = Pair::usual().client();
    let offer = client.feed(&[]);
    client.feed(&offer);
    assert_eq!(client.error().alert(), Some(AlertCode::UnexpectedMessage));
}

#[test]
fn an_own_answer_reflected() {
    let pair = Pair::usual();
    let (mut client, mut server) = (pair.client(), pair.server());
    let offer = client.feed(&[]);
    let answer = server.feed(&offer);
    server.feed(&answer);
    assert_eq!(server.error().alert(), Some(AlertCode::UnexpectedMessage));
}

#[test]
fn two_clients_joined() {
    let pair = Pair::usual();
    let (mut one, mut other) = (pair.client(), pair.client());
    let (first, second) = (one.feed(&[]), other.feed(&[]));
    let told = one.feed(&second);
    other.feed(&first);
    for side in [&one, &other] {
        assert_eq!(side.error().alert(), Some(AlertCode::UnexpectedMessage));
    }
    assert_eq!(told, peers::clear_alert(1));
}

#[test]
fn two_servers_joined_are_silent() {
    let pair = Pair::usual();
    let Outcome { client, server } = Outcome::of(pair.server(), pair.server());
    assert!(client.end.is_none() && server.end.is_none());
}

#[test]
fn replays_of_each_flight() {
    let pair = Pair::usual();
    let old = pair.flights();

    // The offer gets another answer, to which the old finish does not fit.
    let mut server = pair.server();
    let answer = server.feed(&old.offer);
    assert_ne!(answer, old.answer);
    server.feed(&old.finish);
    assert_eq!(server.error().alert(), Some(AlertCode::DecryptError));

    let mut server = pair.server();
    server.feed(&old.finish);
    assert_eq!(server.error().alert(), Some(AlertCode::UnexpectedMessage));

    let mut server = pair.server();
    server.feed(&old.offer);
    server.feed(&old.offer);
    assert_eq!(server.error().alert(), Some(AlertCode::UnexpectedMessage));

    let mut client = pair.client();
    client.feed(&[]);
    client.feed(&old.answer);
    assert_eq!(client.error().alert(), Some(AlertCode::DecryptError));
}

#[test]
fn messages_of_one_handshake_given_to_another() {
    let pair = Pair::usual();
    let (mut a_client, mut a_server) = (pair.client(), pair.server());
    let (mut b_client, mut b_server) = (pair.client(), pair.server());
    let a_offer = a_client.feed(&[]);
    let b_offer = b_client.feed(&[]);
    let a_answer = a_server.feed(&a_offer);
    let b_answer = b_server.feed(&b_offer);

    // B's ServerFinished behind A's ServerInit, and the whole answer of B.
    let mixed = [frames(&a_answer)[0], frames(&b_answer)[1]].concat();
    a_client.feed(&mixed);
    assert_eq!(a_client.error().alert(), Some(AlertCode::DecryptError));
    let mut c_client = pair.client();
    c_client.feed(&[]);
    c_client.feed(&b_answer);
    assert_eq!(c_client.error().alert(), Some(AlertCode::DecryptError));

    let b_finish = b_client.feed(&b_answer);
    a_server.feed(&b_finish);
    assert_eq!(a_server.error().alert(), Some(AlertCode::DecryptError));
    b_server.feed(&b_finish);
    assert_eq!(b_client.result().key_data, b_server.result().key_data);
}

#[test]
fn one_snapshot_throughout_a_handshake() {
    #[derive(Debug)]
    struct Rotating(AtomicUsize, [Arc<Identity>; 2]);
    impl IdentitySource for Rotating {
        fn snapshot(&self) -> Result<Arc<Identity>, IdentityError> {
            let turn = self.0.fetch_add(1, Ordering::Relaxed);
            Ok(Arc::clone(&self.1[turn % 2]))
        }
    }
    let rotating = || Arc::new(Rotating(AtomicUsize::new(0), [identity("p256"), identity("deep")]));
    let handshaker =
        LocalHandshaker::builder(rotating()).server_policy(Policy::own_trust_domain()).build();
    let pair = Pair::of(handshaker.clone(), handshaker);
    let names = |outcome: &Outcome| {
        [outcome.client.result().local.clone(), outcome.server.result().local.clone()]
    };
    let p256 = "spiffe://test.example/p256".to_owned();
    let deep = "spiffe://test.example/deep".to_owned();
    for _ in 0..3 {
        let outcome = pair.run();
        assert_agreed(&outcome);
        assert_eq!(names(&outcome), [p256.clone(), deep.clone()]);
    }
}
