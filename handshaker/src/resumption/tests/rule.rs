//! The rule, row by row, on the server and on the client.

use std::time::Duration;

use rcgen::CertificateParams;

use super::authority::{Leaf, date, leaf_params};
use super::*;
use crate::resumption::cache::{CacheKey, TicketCache};
use crate::resumption::decision::Accepted;
use crate::resumption::key_set::TicketKey;
use crate::resumption::{DEFAULT_MAX_AGE, ticket};

/// Two sides that did a full handshake at `NOW`.
struct Pair {
    home: Authority,
    server: Arc<Identity>,
    client: Arc<Identity>,
    keys: Arc<TicketKeys>,
    cache: Arc<TicketCache>,
}

impl Pair {
    fn new() -> Self {
        let home = Authority::root("home");
        let bundle = || trust(&[("example.org", &home)]);
        Self {
            server: identity(&home, SERVER, bundle()),
            client: identity(&home, CLIENT, bundle()),
            keys: TicketKeys::generate_at(DEFAULT_MAX_AGE, at(NOW)).unwrap(),
            cache: TicketCache::new(),
            home,
        }
    }

    /// With other bundles on both sides.
    fn with_trust(self, bundles: &TrustBundles) -> Self {
        let server = self.server.with_trust(bundles.clone(), at(NOW));
        let client = self.client.with_trust(bundles.clone(), at(NOW));
        Self { server, client, ..self }
    }

    /// How the server judges a ticket for what it learnt at `NOW`.
    fn server_judges(&self, side: &Side<'_>) -> Result<Accepted, Refused> {
        self.server_judges_state(&proved(&self.server, &self.home, CLIENT, NOW), side)
    }

    fn server_judges_state(
        &self,
        state: &TicketState,
        side: &Side<'_>,
    ) -> Result<Accepted, Refused> {
        let scope = Scope { server: self.server.id(), realm: b"" };
        let ticket = self.keys.seal(&scope, state, at(NOW)).unwrap().ticket;
        // The key opens for as long as any of its tickets lives: the rule itself has to refuse.
        self.keys.open(&scope, &ticket, at(NOW)).unwrap().accept(side)
    }

    /// How the client judges it, when it offers and when the server has answered: the same each time.
    fn client_judges(&self, side: &Side<'_>) -> Result<Accepted, Refused> {
        self.client_judges_state(|| proved(&self.client, &self.home, SERVER, NOW), side)
    }

    fn client_judges_state(
        &self,
        state: impl Fn() -> TicketState,
        side: &Side<'_>,
    ) -> Result<Accepted, Refused> {
        let key = CacheKey { own: self.client.id().clone(), target: SERVER.into(), partition: 0 };
        let insert = || self.cache.insert(&key, b"ticket", 86_400, state(), at(NOW));
        insert();
        let offered = self.cache.take(&key, side).is_some();
        assert!(self.cache.is_empty(), "taken or dropped");
        insert();
        let offer = self.cache.take(&key, &self::side(&self.client, NOW)).unwrap();
        let verdict = self.cache.accept(offer, side);
        assert_eq!(verdict.is_ok(), offered);
        verdict
    }

    /// The verdicts of the server and of the client at a time, if nothing else has changed.
    fn at(&self, now: u64) -> [Result<(), Refused>; 2] {
        let server = self.server_judges(&side(&self.server, now)).map(drop);
        [server, self.client_judges(&side(&self.client, now)).map(drop)]
    }

    /// The verdicts at `NOW` when trust has changed to this.
    fn under(&self, bundles: &TrustBundles) -> [Result<(), Refused>; 2] {
        let server = self.server.with_trust(bundles.clone(), at(NOW));
        let client = self.client.with_trust(bundles.clone(), at(NOW));
        let server = self.server_judges(&side(&server, NOW)).map(drop);
        [server, self.client_judges(&side(&client, NOW)).map(drop)]
    }
}

const BOTH: [Result<(), Refused>; 2] = [Ok(()), Ok(())];

const fn refused(reason: Refused) -> [Result<(), Refused>; 2] {
    [Err(reason), Err(reason)]
}

#[test]
fn accepted_where_nothing_has_changed() {
    let pair = Pair::new();
    let accepted = pair.server_judges(&side(&pair.server, NOW + 5)).unwrap();
    assert_eq!(accepted.peer().name(), CLIENT);
    assert_eq!(accepted.auth_time(), NOW);
    assert_eq!(accepted.log_id(), [2; 16]);
    assert_eq!(accepted.peer().not_after(), Some(at(NOW + HOUR)));
    let accepted = pair.client_judges(&side(&pair.client, NOW + 5)).unwrap();
    assert_eq!(accepted.peer().name(), SERVER);
}

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

fn ends_at(name: &str, end: u64) -> CertificateParams {
    let mut params = leaf_params(name);
    params.not_after = date(end);
    params
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

/// An identity whose chain ends earlier.
fn short(home: &Authority, name: &str, end: u64) -> Arc<Identity> {
    let leaf = home.issue(&ends_at(name, end));
    let trust = trust(&[("example.org", home)]);
    Identity::from_pem(leaf.pem.as_bytes(), leaf.key_pem.as_bytes(), trust, at(NOW)).unwrap()
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
    let (name, secret) = ([6; 8], [7; 32]);
    let key = || TicketKey::written(name, |bytes| *bytes = secret);
    // Its owner stopped using it at NOW, and somebody stole it.
    let file = tempfile::tempdir().unwrap();
    let path = file.path().join("keys");
    let hex = |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
    let lines = format!(
        "{} {} {NOW}\n{} {} {}\n",
        hex(&[8; 8]),
        hex(&[9; 32]),
        hex(&name),
        hex(&secret),
        NOW - HOUR
    );
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

#[test]
fn another_bundle_or_other_lists_make_tickets_void() {
    let pair = Pair::new();
    let own = domain("example.org");
    let bundle = || trust(&[("example.org", &pair.home)]);
    assert_eq!(pair.under(&bundle()), BOTH);

    let mut more = bundle();
    more.insert_pem(&own, Authority::root("more").pem.as_bytes()).unwrap();
    assert_eq!(pair.under(&more), refused(Refused::TrustChanged), "an authority more");
    let other = trust(&[("example.org", &Authority::root("home"))]);
    assert_eq!(pair.under(&other), refused(Refused::TrustChanged), "another authority");
    assert_eq!(pair.under(&TrustBundles::new()), refused(Refused::TrustChanged), "none");
    let elsewhere = trust(&[("other.example", &pair.home)]);
    assert_eq!(pair.under(&elsewhere), refused(Refused::TrustChanged), "no such domain");
    let mut list = bundle();
    let crl = pair.home.crl(&[1], NOW + HOUR);
    list.insert_crl_pem(&own, crl.as_bytes()).unwrap();
    assert_eq!(pair.under(&list), refused(Refused::TrustChanged), "a list more");

    // The same when tickets were made with the list.
    let pair = pair.with_trust(&list);
    assert_eq!(pair.under(&list), BOTH);
    let bundle = trust(&[("example.org", &pair.home)]);
    assert_eq!(pair.under(&bundle), refused(Refused::TrustChanged), "a list removed");
    let mut refreshed = bundle.clone();
    let crl = pair.home.crl(&[1], NOW + HOUR + 1);
    refreshed.insert_crl_pem(&own, crl.as_bytes()).unwrap();
    assert_eq!(pair.under(&refreshed), refused(Refused::TrustChanged), "a list refreshed");
    // Other domains are none of its business.
    let mut federated = list.clone();
    let partner = Authority::root("partner");
    federated.insert_pem(&domain("partner.example"), partner.pem.as_bytes()).unwrap();
    assert_eq!(pair.under(&federated), BOTH);
}

#[test]
fn who_is_not_allowed_any_more_is_not_resumed() {
    let pair = Pair::new();
    let nobody = |_: &SpiffeId| false;
    let others = |peer: &SpiffeId| peer.as_str() != CLIENT && peer.as_str() != SERVER;
    let these = |peer: &SpiffeId| !others(peer);
    let under = |permits: &dyn Fn(&SpiffeId) -> bool| {
        let server = Side { permits, ..side(&pair.server, NOW) };
        let client = Side { permits, ..side(&pair.client, NOW) };
        [pair.server_judges(&server).map(drop), pair.client_judges(&client).map(drop)]
    };
    assert_eq!(under(&these), BOTH);
    assert_eq!(under(&nobody), refused(Refused::Policy));
    assert_eq!(under(&others), refused(Refused::Policy));
}

#[test]
fn a_side_with_another_name_has_no_tickets() {
    let pair = Pair::new();
    let scope = Scope { server: pair.server.id(), realm: b"" };
    let state = proved(&pair.server, &pair.home, CLIENT, NOW);
    let ticket = pair.keys.seal(&scope, &state, at(NOW)).unwrap().ticket;
    let renamed = id("spiffe://example.org/renamed");
    let scope = Scope { server: &renamed, realm: b"" };
    assert!(matches!(pair.keys.open(&scope, &ticket, at(NOW)), Err(Refused::Unreadable)));

    let key = CacheKey { own: pair.client.id().clone(), target: SERVER.into(), partition: 0 };
    let state = proved(&pair.client, &pair.home, SERVER, NOW);
    pair.cache.insert(&key, b"ticket", 3_600, state, at(NOW));
    let renamed = CacheKey { own: renamed, ..key.clone() };
    assert!(pair.cache.take(&renamed, &side(&pair.client, NOW)).is_none());
    assert!(pair.cache.take(&key, &side(&pair.client, NOW)).is_some());
}

#[test]
fn a_ticket_after_a_ticket_makes_nothing_last_longer() {
    let mut pair = Pair::new();
    let state =
        || TicketState { not_after: NOW + 900, ..proved(&pair.server, &pair.home, CLIENT, NOW) };
    let next = |identity: &Identity| {
        let accepted = pair.server_judges_state(&state(), &side(&pair.server, NOW + 100)).unwrap();
        accepted.renewed(psk(7), identity)
    };
    let renewed = next(&pair.server);
    assert_eq!((renewed.auth_time, renewed.not_after), (NOW, NOW + 900));
    assert_eq!((renewed.peer_not_after(), renewed.log_id), (NOW + HOUR, [2; 16]));
    assert_eq!((renewed.trust, renewed.id().as_str()), (state().trust, CLIENT));
    assert_eq!(renewed.psk.as_bytes(), &[7; 32]);
    // A chain of this side that ends sooner counts; one that ends later does not.
    let sooner = short(&pair.home, SERVER, NOW + 300);
    assert_eq!(next(&sooner).not_after, NOW + 300);
    // However many there are.
    let mut chain = renewed;
    for step in 1..9 {
        let now = NOW + step * 100;
        chain = pair
            .server_judges_state(&chain, &side(&pair.server, now))
            .unwrap()
            .renewed(psk(7), &pair.server);
    }
    assert_eq!((chain.auth_time, chain.not_after), (NOW, NOW + 900));
    pair.keys = TicketKeys::generate_at(Duration::from_secs(60), at(NOW)).unwrap();
    let verdict = pair.server_judges_state(&chain, &side(&pair.server, NOW + 60)).map(drop);
    assert_eq!(verdict, Err(Refused::Expired), "a shorter max_age");
}

#[test]
fn resumed_connections_of_a_peer_share_its_identity() {
    let pair = Pair::new();
    let state = proved(&pair.server, &pair.home, CLIENT, NOW);
    let one = pair.server_judges_state(&state, &side(&pair.server, NOW)).unwrap();
    let other = pair.server_judges_state(&state, &side(&pair.server, NOW)).unwrap();
    assert!(Arc::ptr_eq(one.peer(), &state.peer) && Arc::ptr_eq(one.peer(), other.peer()));
}
