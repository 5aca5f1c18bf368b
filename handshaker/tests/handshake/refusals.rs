//! One end refuses the other: for what it cannot do, told in plaintext, or for who it is, told sealed.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use alts_handshaker::identity::{IdentityError, Policy, PrivateKey, SignatureScheme, Signer};
use alts_handshaker::{
    AlertCode, Error, LocalHandshaker, RecordProtocol, RpcVersion, RpcVersions, Suite,
};

use crate::peers::{
    self, Outcome, Pair, Side, assert_agreed, builder, frames, identity, identity_trusting,
};

#[track_caller]
fn incompatible(pair: &Pair, code: AlertCode) {
    let Outcome { client, server } = pair.run();
    match server.error() {
        Error::Incompatible { code: own, .. } => assert_eq!(*own, code),
        other => panic!("{other:?}"),
    }
    let told = Error::Alert { code, reason: String::new(), sealed: false };
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
    let told = Error::Alert { code, reason: String::new(), sealed: false };
    assert_eq!(*client.error(), told);
}

/// The client judges first; the server is told sealed.
#[track_caller]
fn client_refuses(pair: &Pair, code: AlertCode) -> Error {
    refused_by_client(pair.client(), pair.server(), code)
}

#[track_caller]
fn refused_by_client(client: Side, server: Side, code: AlertCode) -> Error {
    let Outcome { client, server } = Outcome::of(client, server);
    assert_eq!(client.error().alert(), Some(code));
    let told = Error::Alert { code, reason: String::new(), sealed: true };
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
    let key = client.result().late_alert.as_ref().expect("clients get a key");
    assert_eq!(key.frame_len(header), Some(late.len()));
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

/// Each end lives in the hour of its own identity.
#[test]
fn certificates_that_are_out_of_date() {
    let at = |mut side: Side, hours: i64| {
        let minutes = u64::try_from((100 + hours) * 60 + 30).expect("not so long ago");
        side.time =
            peers::now() - Duration::from_secs(100 * 3_600) + Duration::from_secs(minutes * 60);
        side
    };
    let code = AlertCode::CertificateExpired;
    for (client_hour, server_hour) in [(0, -1), (0, 1)] {
        let [client, server] =
            peers::of_one_hour([("client", client_hour), ("server", server_hour)]);
        let pair = Pair::of(builder(&client).build(), builder(&server).build());
        let (client, server) = (at(pair.client(), client_hour), at(pair.server(), server_hour));
        let error = refused_by_client(client, server, code);
        let text = error.to_string();
        // Who refuses tells its log whom, by what nobody has proved.
        assert!(text.contains("it claims, unverified: spiffe://hour.example/server"), "{text}");
        assert!(text.contains("valid until 2027-01-"), "{text}");
        assert!(text.contains("issued by \""), "{text}");
    }
    // A server whose clock is that of the client, until it has shown its certificate.
    let [client, server] = peers::of_one_hour([("client", 0), ("server", 1)]);
    let pair = Pair::of(builder(&client).build(), builder(&server).build());
    let (mut client, mut server) = (at(pair.client(), 0), at(pair.server(), 1));
    let offer = client.feed(&[]);
    let answer = server.feed(&offer);
    client.time = at(pair.client(), 1).time;
    let last = client.feed(&answer);
    let late = server.feed(&last);
    assert_eq!(server.error().alert(), Some(code));
    let key = client.result().late_alert.as_ref().expect("clients get a key");
    assert_eq!(key.open(&late), Ok((code, String::new())));
    let text = server.error().to_string();
    assert!(text.contains("it claims, unverified: spiffe://hour.example/client"), "{text}");
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

    // The client has no keys yet, so it is told in plaintext.
    let pair = Pair::of(usual.client.clone(), failing("server", Err(gone.clone())));
    let Outcome { client, server } = pair.run();
    assert_eq!(*server.error(), Error::Identity(gone));
    let told = Error::Alert { code, reason: String::new(), sealed: false };
    assert_eq!(*client.error(), told);

    // A signature that is none: the fault shows at the peer.
    let pair = Pair::of(failing("client", Ok(vec![0; 64])), usual.server.clone());
    server_refuses(&pair, AlertCode::DecryptError);
    let pair = Pair::of(failing("client", Ok(vec![0; 2_000])), usual.server);
    assert!(matches!(client_refuses(&pair, code), Error::Unavailable(_)));
}
