//! The rule, row by row, on the server and on the client: when.

use super::super::authority::Leaf;
use super::*;
use crate::resumption::key_set::TicketKey;
use crate::resumption::ticket;

#[test]
fn not_longer_than_max_age_after_the_full_handshake() {
    let mut pair = Pair::new();
    let ten_minutes = Duration::from_secs(600);
    pair.keys = TicketKeys::generate_at(ten_minutes, at(NOW)).unwrap();
    pair.cache = TicketCache::with_max_age(ten_minutes).unwrap();
    assert_eq!(pair.at(NOW + 599), BOTH);
    assert_eq!(pair.at(NOW + 600), refused(Refused::Expired));
}

#[test]
fn not_after_the_end_that_the_ticket_has() {
    let pair = Pair::new();
    let server = |now| {
        let state =
            TicketState { not_after: NOW + 300, ..proved(&pair.server, &pair.home, CLIENT, NOW) };
        pair.server_judges_state(&state, &side(&pair.server, now)).map(drop)
    };
    assert_eq!((server(NOW + 299), server(NOW + 300)), (Ok(()), Err(Refused::Expired)));
    let client = |now| {
        let state = || TicketState {
            not_after: NOW + 300,
            ..proved(&pair.client, &pair.home, SERVER, NOW)
        };
        pair.client_judges_state(state, &side(&pair.client, now)).map(drop)
    };
    assert_eq!((client(NOW + 299), client(NOW + 300)), (Ok(()), Err(Refused::Expired)));
}

fn proved_by(us: &Identity, leaf: &Leaf) -> TicketState {
    let verifier = ChainVerifier::new();
    let claimed = verifier.verify(us, &[&leaf.der], Role::Client, at(NOW)).unwrap();
    let peer = leaf.prove(&claimed);
    TicketState::proved(psk(1), &peer, us, [2; 16], DEFAULT_MAX_AGE, at(NOW)).unwrap()
}

#[test]
fn not_after_the_end_of_the_peers_chain() {
    let pair = Pair::new();
    let (end, judge) = (NOW + 600, |us: &Identity, name| {
        proved_by(us, &pair.home.issue(&ends_at(name, NOW + 600)))
    });
    let server =
        |now| pair.server_judges_state(&judge(&pair.server, CLIENT), &side(&pair.server, now));
    let client =
        |now| pair.client_judges_state(|| judge(&pair.client, SERVER), &side(&pair.client, now));
    assert!(server(end - 1).is_ok() && client(end - 1).is_ok());
    assert_eq!(server(end).map(drop), Err(Refused::Expired));
    assert_eq!(client(end).map(drop), Err(Refused::Expired));

    // Whatever end the ticket itself claims.
    let forged = |us: &Identity, name| TicketState { not_after: NOW + HOUR, ..judge(us, name) };
    let server =
        |now| pair.server_judges_state(&forged(&pair.server, CLIENT), &side(&pair.server, now));
    let client =
        |now| pair.client_judges_state(|| forged(&pair.client, SERVER), &side(&pair.client, now));
    assert!(server(end).is_ok() && client(end).is_ok(), "a chain's last second counts");
    assert_eq!(server(end + 1).map(drop), Err(Refused::Expired));
    assert_eq!(client(end + 1).map(drop), Err(Refused::Expired));
}

#[test]
fn not_after_the_end_of_the_own_chain() {
    let mut pair = Pair::new();
    pair.server = short(&pair.home, SERVER, NOW + 600);
    pair.client = short(&pair.home, CLIENT, NOW + 600);
    assert_eq!(pair.at(NOW + 599), BOTH);
    assert_eq!(pair.at(NOW + 600), refused(Refused::Expired));
    // The end comes from the certificate that this side has now, too: one that was renewed backwards.
    let pair = Pair::new();
    let server = short(&pair.home, SERVER, NOW + 600);
    let client = short(&pair.home, CLIENT, NOW + 600);
    let now = NOW + 601;
    let verdicts = [
        pair.server_judges(&side(&server, now)).map(drop),
        pair.client_judges(&side(&client, now)).map(drop),
    ];
    assert_eq!(verdicts, refused(Refused::Expired));
}

#[test]
fn not_before_the_own_chain_is_valid() {
    let pair = Pair::new();
    // A clock that was set back by two hours: no ticket is of the future either, but this comes first.
    assert_eq!(pair.at(NOW - 2 * HOUR), refused(Refused::Expired));
}

#[test]
fn not_after_the_end_of_the_revocation_lists() {
    let pair = Pair::new();
    let mut bundles = trust(&[("example.org", &pair.home)]);
    let list = pair.home.crl(&[1], NOW + 600);
    bundles.insert_crl_pem(&domain("example.org"), list.as_bytes()).unwrap();
    let pair = pair.with_trust(&bundles);
    assert_eq!(pair.at(NOW + 599), BOTH);
    assert_eq!(pair.at(NOW + 600), refused(Refused::Expired));
}

#[test]
fn the_first_of_several_revocation_lists_decides() {
    let home = Authority::root("home");
    let middle = home.intermediate("middle");
    let mut bundles = trust(&[("example.org", &home)]);
    for list in [home.crl(&[1], NOW + 900), middle.crl(&[1], NOW + 300), home.crl(&[2], NOW + 600)]
    {
        bundles.insert_crl_pem(&domain("example.org"), list.as_bytes()).unwrap();
    }
    let us = identity(&home, SERVER, bundles);
    let end = |chain: &[&[u8]], leaf: &Leaf| {
        let verifier = ChainVerifier::new();
        let claimed = verifier.verify(&us, chain, Role::Client, at(NOW)).unwrap();
        let peer = leaf.prove(&claimed);
        // The cache of chains knows it, too.
        let again = verifier.verify(&us, chain, Role::Client, at(NOW)).unwrap();
        assert_eq!(leaf.prove(&again).good_until(), peer.good_until());
        assert_eq!(verifier.cache_stats().hits, 1);
        peer.good_until()
    };
    let direct = home.leaf(CLIENT);
    assert_eq!(end(&[&direct.der], &direct), NOW + 600);
    let below = middle.leaf(CLIENT);
    assert_eq!(end(&[&below.der, &middle.der], &below), NOW + 300);
}

#[test]
fn a_clock_that_is_set_back_takes_no_ticket_from_the_future() {
    let pair = Pair::new();
    // A minute is what clocks of a fleet may differ by.
    assert_eq!(pair.at(NOW - 60), BOTH);
    assert_eq!(pair.at(NOW - 61), refused(Refused::Expired));
}

#[test]
fn a_clock_that_jumps_both_ways_takes_what_is_good_when_it_is_right_again() {
    let pair = Pair::new();
    let expected = refused(Refused::Expired);
    assert_eq!(pair.at(NOW + 3 * HOUR), expected);
    assert_eq!(pair.at(NOW - 600), expected);
    assert_eq!(pair.at(NOW + 600), BOTH);
}

#[test]
fn a_ticket_is_of_no_time_after_its_key_stopped_sealing() {
    let pair = Pair::new();
    let scope = Scope { server: pair.server.id(), realm: b"" };
    let key = || TicketKey::written([6; 8], |bytes| bytes.fill(7));
    // Its owner stopped using it at NOW, and somebody stole it.
    let file = tempfile::tempdir().unwrap();
    let path = file.path().join("keys");
    let line = |name: &str, secret: &str, from: u64| {
        format!("{} {} {from}\n", name.repeat(8), secret.repeat(32))
    };
    let lines = line("08", "09", NOW) + &line("06", "07", NOW - HOUR);
    write_owner_only(&path, &lines);
    let keys = TicketKeys::load(&path, DEFAULT_MAX_AGE, at(NOW)).unwrap();
    let verdict = |auth_time: u64| {
        let state = TicketState { auth_time, ..proved(&pair.server, &pair.home, CLIENT, NOW) };
        let ticket = ticket::seal(&key(), &scope, &[0; 16], &state).unwrap();
        let opened = keys.open(&scope, &ticket, at(NOW + 600)).unwrap();
        opened.accept(&side(&pair.server, NOW + 600)).map(drop)
    };
    assert_eq!(verdict(NOW - 1), Ok(()));
    assert_eq!(verdict(NOW + 60), Ok(()));
    assert_eq!(verdict(NOW + 61), Err(Refused::Expired));
    assert_eq!(verdict(NOW + 600), Err(Refused::Expired));
}

fn write_owner_only(path: &std::path::Path, text: &str) {
    std::fs::write(path, text).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
}

#[test]
fn a_proof_that_is_older_than_a_side_wants() {
    let pair = Pair::new();
    let fresh = |seconds: u64, now: u64| {
        let require_fresh = Some(Duration::from_secs(seconds));
        let server = Side { require_fresh, ..side(&pair.server, now) };
        let client = Side { require_fresh, ..side(&pair.client, now) };
        [pair.server_judges(&server).map(drop), pair.client_judges(&client).map(drop)]
    };
    assert_eq!(fresh(120, NOW + 119), BOTH);
    assert_eq!(fresh(120, NOW + 120), refused(Refused::Expired));
    assert_eq!(fresh(0, NOW), refused(Refused::Expired));
    // It makes nothing last longer.
    assert_eq!(fresh(u64::MAX, NOW + HOUR), refused(Refused::Expired));
}
