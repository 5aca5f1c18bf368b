//! Both ends finish, and with the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use alts_handshaker::identity::{Identity, IdentityError, IdentitySource, Policy};
use alts_handshaker::{
    AlertCode, Error, HandshakeOptions, HandshakeSession, Handshaker, LocalHandshaker,
    RecordProtocol, Role, RpcVersion, RpcVersions, Suite,
};

use crate::peers::{
    self, Outcome, Pair, Side, assert_agreed, builder, frame, frames, identity, now,
};

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
    assert!(shown.contains("KeyData(44 bytes)") && shown.contains("Some(FirstFrame {"), "{shown}");
    assert!(!format!("{:?}", pair.client).contains("PRIVATE KEY"));
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

/// Both ends' logs name the connection by what both know.
#[test]
fn the_name_of_a_connection_is_logged_by_both() {
    let mut outcome = None;
    let log = crate::log::logged(|| outcome = Some(Pair::usual().run()));
    let outcome = outcome.expect("it ran");
    let id = u128::from_be_bytes(outcome.client.result().log_id);
    assert_eq!(log.matches(&format!("log_id={id:032x}")).count(), 2, "{log}");
}
