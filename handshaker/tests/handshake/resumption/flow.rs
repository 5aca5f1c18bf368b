//! The ways in which it works.

use std::time::Duration;

use alts_handshaker::identity::Policy;
use alts_handshaker::resumption::TicketCache;
use alts_handshaker::{RecordProtocol, Role, Suite};

use super::{HOUR, Resumption, assert_full, assert_resumed, named, run, run_at, with_name};
use crate::peers::{Outcome, Pair, Side, assert_agreed, builder, frames, identity, now};

#[test]
fn a_full_handshake_then_resumed_ones() {
    let resumption = Resumption::new();
    let pair = resumption.pair();
    let full = run(&pair);
    assert_full(&full);
    assert_eq!(resumption.cache.len(), 1);
    let mut log_ids = vec![full.client.result().log_id];
    // The time of the proof is passed on, whoever issued the ticket.
    for minutes in [0, 10, 20, 58] {
        let resumed = run_at(&pair, now() + Duration::from_secs(60 * minutes));
        assert_resumed(&resumed, now());
        let (client, server) = (resumed.client.result(), resumed.server.result());
        assert_eq!(client.peer.name(), "spiffe://test.example/server");
        assert_eq!(server.peer.name(), "spiffe://test.example/client");
        assert_eq!(client.peer.not_after(), full.client.result().peer.not_after());
        assert_eq!(server.peer.not_after(), full.server.result().peer.not_after());
        assert!(!log_ids.contains(&client.log_id));
        log_ids.push(client.log_id);
        assert_eq!(resumption.cache.len(), 1, "the next ticket");
    }
    let (server, client) = (resumption.keys.stats(), resumption.cache.stats());
    assert_eq!((server.offered, server.accepted, server.issued), (4, 4, 5));
    assert_eq!((client.offered, client.accepted, client.issued), (4, 4, 5));
    assert_eq!(resumption.refused(), []);

    // An hour after the proof it is over, on either side.
    assert_full(&run_at(&pair, now() + HOUR));
    assert_eq!(resumption.keys.stats().offered, 4, "the client does not offer it");
}

#[test]
fn what_is_sent() {
    let resumption = Resumption::new();
    let pair = resumption.pair();
    let (mut client, mut server) = (pair.client(), pair.server());
    let offer = client.feed(&[]);
    let answer = server.feed(&offer);
    let finish = client.feed(&answer);
    let ticket = server.feed(&finish);
    let kinds = |flight: &[u8]| frames(flight).iter().map(|frame| frame[4]).collect::<Vec<_>>();
    assert_eq!(kinds(&answer), [0x42, 0x43]);
    assert_eq!((kinds(&finish), kinds(&ticket)), (vec![0x44], vec![0x45]));
    client.feed(&ticket);
    let mut outcome = Outcome { client, server };
    super::take_ticket(&mut outcome);

    let (mut client, mut server) = (pair.client(), pair.server());
    let offer = client.feed(&[]);
    let answer = server.feed(&offer);
    let finish = client.feed(&answer);
    assert!(server.feed(&finish).is_empty());
    assert_eq!((kinds(&answer), kinds(&finish)), (vec![0x42, 0x43], vec![0x44]));
    let bytes = offer.len() + answer.len() + finish.len();
    println!(
        "a resumed handshake has {} + {} + {} = {bytes} bytes",
        offer.len(),
        answer.len(),
        finish.len()
    );
    assert!(bytes <= 1_700, "{bytes}");
    assert!(client.succeeded() && server.succeeded());
}

#[test]
fn in_pieces_of_one_byte() {
    let resumption = Resumption::new();
    let pair = resumption.pair();
    run(&pair);
    let (mut client, mut server) = (pair.client(), pair.server());
    let bytewise = |side: &mut Side, flight: &[u8]| {
        flight.iter().flat_map(|byte| side.feed(std::slice::from_ref(byte))).collect::<Vec<u8>>()
    };
    let offer = client.feed(&[]);
    let answer = bytewise(&mut server, &offer);
    let finish = bytewise(&mut client, &answer);
    assert!(bytewise(&mut server, &finish).is_empty());
    assert_resumed(&Outcome { client, server }, now());
}

#[test]
fn without_tickets_nothing_is_different() {
    let off = Pair::usual();
    let resumption = Resumption::new();
    let only_client = named(Pair::of(
        resumption.client(&identity("client")).build(),
        builder(&identity("server")).build(),
    ));
    let only_server = Pair::of(
        builder(&identity("client")).build(),
        resumption.server(&identity("server")).build(),
    );
    let off_flights = off.flights();
    let extension = 2 + 2 + 4;
    for (pair, offered) in [(&only_client, extension), (&only_server, 0)] {
        for _ in 0..2 {
            let flights = pair.flights();
            assert_eq!(flights.offer.len(), off_flights.offer.len() + offered);
            assert_eq!(flights.answer.len(), off_flights.answer.len());
            assert_eq!(flights.finish.len(), off_flights.finish.len());
            let outcome = pair.run();
            assert_agreed(&outcome);
            assert!(outcome.client.records.is_empty());
            assert!(!outcome.client.result().late_alert.as_ref().unwrap().awaits_ticket());
        }
    }
    assert!(resumption.cache.is_empty());
    assert_eq!(resumption.keys.stats().issued, 0);
}

/// A client that cannot tell its servers apart keeps no tickets of them.
#[test]
fn a_server_without_a_name() {
    let resumption = Resumption::new();
    let mut pair = resumption.pair();
    pair.client_options.target_name = None;
    run(&pair);
    assert!(resumption.cache.is_empty());
    pair.client_options.target_identities =
        ["server", "p256"].map(|name| format!("spiffe://test.example/{name}")).into();
    run(&pair);
    assert!(resumption.cache.is_empty());
    pair.client_options.target_identities.pop();
    run(&pair);
    assert_resumed(&run(&pair), now());
}

#[test]
fn a_ticket_is_of_one_target_one_identity_and_one_partition() {
    let resumption = Resumption::new();
    let pair = resumption.pair();
    let fresh = |pair: &Pair| {
        let offered = resumption.keys.stats().offered;
        assert_full(&run(pair));
        assert_eq!(resumption.keys.stats().offered, offered);
    };
    run(&pair);
    let mut elsewhere = pair.clone();
    elsewhere.client_options = with_name("server.test:444");
    fresh(&elsewhere);
    let mut other = pair.clone();
    other.client = resumption.client(&identity("deep")).build();
    fresh(&other);
    let mut parted = pair.clone();
    parted.client = resumption.client(&identity("client")).ticket_partition(1).build();
    fresh(&parted);
    assert_eq!(resumption.cache.len(), 4);
    assert_resumed(&run(&pair), now());
}

#[test]
fn everything_is_negotiated_anew() {
    let resumption = Resumption::new();
    let mut pair = resumption.pair();
    run(&pair);
    pair.client_options.close_notify = true;
    pair.server_options.close_notify = true;
    pair.client_options.application_protocols = vec!["h2".to_owned()];
    pair.server_options.application_protocols = vec!["h2".to_owned()];
    pair.client_options.record_protocols = vec![RecordProtocol::Aes128Gcm];
    pair.server_options.record_protocols = vec![RecordProtocol::Aes128Gcm];
    pair.server_options.max_frame_size = 65_536;
    let resumed = run(&pair);
    assert_resumed(&resumed, now());
    let client = resumed.client.result();
    assert!(client.close_notify);
    assert_eq!(client.application_protocol, "h2");
    assert_eq!(client.record_protocol, RecordProtocol::Aes128Gcm);
    assert_eq!(client.peer_max_frame_size, 65_536);
}

/// Neither side's certificate is looked at, and neither key signs.
#[test]
fn every_kind_of_key_and_every_suite() {
    for suite in [Suite::X25519, Suite::P256] {
        for (client, server) in [("p256", "rsa"), ("deep", "p384"), ("client", "client")] {
            let resumption = Resumption::new();
            let pair = named(Pair::of(
                resumption.client(&identity(client)).suites([suite]).build(),
                resumption.server(&identity(server)).suites([suite]).build(),
            ));
            assert_full(&run(&pair));
            assert_resumed(&run(&pair), now());
            assert_resumed(&run(&pair), now());
        }
    }
}

#[test]
fn sessions_survive_the_server() {
    let resumption = Resumption::new();
    let pair = resumption.pair();
    run(&pair);
    // Another acceptor, perhaps in another process, under the same identity and keys.
    let mut restarted = pair.clone();
    restarted.server =
        resumption.server(&identity("server")).client_policy(Policy::own_trust_domain()).build();
    assert_resumed(&run(&restarted), now());
}

/// Each connection offers a ticket of its own, and gets one.
#[test]
fn several_connections_at_once() {
    let resumption = Resumption::new();
    let pair = resumption.pair();
    let mut clients: Vec<Side> = (0..10).map(|_| pair.client()).collect();
    let offers: Vec<_> = clients.iter_mut().map(|client| client.feed(&[])).collect();
    for (mut client, offer) in clients.into_iter().zip(offers) {
        let mut server = pair.server();
        let finish = client.feed(&server.feed(&offer));
        let ticket = server.feed(&finish);
        client.feed(&ticket);
        super::take_ticket(&mut Outcome { client, server });
    }
    assert_eq!(resumption.cache.len(), 8, "the most for one target");
    let mut clients: Vec<Side> = (0..10).map(|_| pair.client()).collect();
    let lens: Vec<_> = clients.iter_mut().map(|client| client.feed(&[]).len()).collect();
    assert_eq!(lens.iter().filter(|&&len| len > 300).count(), 8, "{lens:?}");
}

/// A client without a use for tickets resumes all the same with what it has.
#[test]
fn the_ticket_of_an_unread_connection_is_lost() {
    let resumption = Resumption::new();
    let pair = resumption.pair();
    let outcome = pair.run();
    assert!(outcome.client.result().late_alert.as_ref().unwrap().awaits_ticket());
    assert!(resumption.cache.is_empty());
    drop(outcome);
    assert_full(&run(&pair));
}

/// The server's alert may come in place of the ticket, and in place of the first record of a resumed handshake.
#[test]
fn a_late_alert_in_place_of_the_ticket() {
    let resumption = Resumption::new();
    let mut pair = resumption.pair();
    pair.server = resumption.server(&identity("server")).client_policy(Policy::nobody()).build();
    let outcome = pair.run();
    let late = outcome.client.result().late_alert.as_ref().unwrap();
    assert!(late.awaits_ticket());
    let told = late.open(&outcome.client.records).unwrap();
    assert_eq!(told.0, alts_handshaker::AlertCode::AccessDenied);
    assert_eq!(late.ticket_len(*outcome.client.records.first_chunk().unwrap()), None);
}

#[test]
fn the_client_may_have_no_keys_for_the_caches_age() {
    let mut resumption = Resumption::new();
    resumption.cache = TicketCache::with_max_age(Duration::from_secs(60)).unwrap();
    let pair = resumption.pair();
    run(&pair);
    assert_resumed(&run_at(&pair, now() + Duration::from_secs(59)), now());
    assert_full(&run_at(&pair, now() + Duration::from_secs(60)));
}

#[test]
fn roles_are_apart() {
    // One handshaker for both roles, with keys and a cache.
    let resumption = Resumption::new();
    let both = resumption.client(&identity("client")).ticket_keys(resumption.keys.clone()).build();
    let pair = named(Pair::of(both.clone(), both));
    assert_full(&run(&pair));
    assert_resumed(&run(&pair), now());
    let mut offer = Vec::new();
    pair.server
        .handshake(Role::Server, &Pair::usual().server_options)
        .unwrap()
        .step(&[], now(), &mut offer)
        .unwrap();
    assert!(offer.is_empty());
}
