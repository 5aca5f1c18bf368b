//! The rule, row by row, on the server and on the client: who the peer is, and what is believed of it.

mod times;

use std::time::Duration;

use rcgen::CertificateParams;

use super::authority::{date, leaf_params};
use super::*;
use crate::resumption::DEFAULT_MAX_AGE;
use crate::resumption::cache::{CacheKey, TicketCache};
use crate::resumption::decision::Accepted;

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

fn ends_at(name: &str, end: u64) -> CertificateParams {
    let mut params = leaf_params(name);
    params.not_after = date(end);
    params
}

/// An identity whose chain ends earlier.
fn short(home: &Authority, name: &str, end: u64) -> Arc<Identity> {
    let leaf = home.issue(&ends_at(name, end));
    let trust = trust(&[("example.org", home)]);
    Identity::from_pem(leaf.pem.as_bytes(), leaf.key_pem.as_bytes(), trust, at(NOW)).unwrap()
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
