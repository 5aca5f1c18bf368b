//! Whom the agent says to trust.

use alts_handshaker::identity::{Identity, IdentitySource, TrustDomain, WorkloadApi};
use tonic::Code;

use crate::agent::{Agent, Say, eventually, identity_when};
use crate::authority::{Authority, CART, STOCK, answer, federated, handshake, handshaker};
use crate::messages::{X509BundlesResponse, X509SvidResponse};

const PARTNER: &str = "partner.example";

fn partner() -> TrustDomain {
    PARTNER.parse().unwrap()
}

fn trusts_partner(identity: &Identity) -> bool {
    identity.trust().authorities(&partner()) > 0
}

/// An agent with both sides of a federation: cart, of example.org, and a client of the other domain.
struct World {
    agent: Agent,
    home: Authority,
    other: Authority,
    source: WorkloadApi,
}

impl World {
    fn new() -> Self {
        let (agent, home, other) = (Agent::new(), Authority::new("home"), Authority::new("other"));
        agent.say(federated(home.svid(CART), PARTNER, &other.der));
        let source = agent.source();
        assert!(trusts_partner(&source.snapshot().unwrap()));
        Self { agent, home, other, source }
    }

    /// Whether a client of the other domain gets in.
    fn admits_partner(&self) -> bool {
        let agent = Agent::new();
        let svid = self.other.svid("spiffe://partner.example/client");
        agent.say(federated(svid, "example.org", &self.home.der));
        handshake(&handshaker(&agent.source()), &handshaker(&self.source)).is_ok()
    }
}

#[test]
fn a_domain_that_is_taken_away_is_not_trusted_any_more() {
    let world = World::new();
    assert!(world.admits_partner());
    world.agent.say(answer([world.home.svid(CART)]));
    identity_when(&world.source, |identity| !trusts_partner(identity));
    assert!(!world.admits_partner());
    world.agent.say(federated(world.home.svid(CART), PARTNER, &world.other.der));
    identity_when(&world.source, trusts_partner);
    assert!(world.admits_partner());
}

#[test]
fn a_broken_bundle_closes_its_domain_and_no_other() {
    let world = World::new();
    for broken in [&[][..], b"nonsense", &world.other.der[..100], &[0x30, 0]] {
        let svid = world.home.svid(CART);
        let leaf = svid.chain.clone();
        world.agent.say(federated(svid, PARTNER, broken));
        // The renewal takes effect all the same.
        identity_when(&world.source, |identity| *identity.chain()[0] == *leaf);
        assert_eq!(world.source.unusable_trust_domains(), [partner()]);
        assert!(world.source.last_error().unwrap().to_string().contains(PARTNER));
        assert!(!world.admits_partner());
        world.agent.say(federated(world.home.svid(CART), PARTNER, &world.other.der));
        identity_when(&world.source, trusts_partner);
        assert_eq!(
            (world.source.unusable_trust_domains(), world.source.last_error()),
            (vec![], None)
        );
    }
}

/// Even this side's renewal: the last bundle that was good vouches for it.
#[test]
fn a_broken_bundle_of_the_own_domain_delays_no_renewal() {
    let world = World::new();
    let mut svid = world.home.svid(CART);
    let leaf = svid.chain.clone();
    svid.bundle = b"nonsense".to_vec();
    world.agent.say(answer([svid]));
    identity_when(&world.source, |identity| *identity.chain()[0] == *leaf);
    let own: TrustDomain = "example.org".parse().unwrap();
    assert_eq!(world.source.unusable_trust_domains(), [own]);
}

fn bundles(of: &[(&str, &Authority)]) -> Say<X509BundlesResponse> {
    let bundles =
        of.iter().map(|(name, authority)| (format!("spiffe://{name}"), authority.der.clone()));
    Say::Answer(X509BundlesResponse { bundles: bundles.collect(), ..Default::default() })
}

/// Either call's latest answer counts.
#[test]
fn bundles_are_followed_by_themselves() {
    let World { agent, home, other, .. } = World::new();
    agent.say_bundles(Say::Nothing);
    let source = agent.source();
    agent.say_bundles(bundles(&[("example.org", &home)]));
    identity_when(&source, |identity| !trusts_partner(identity));
    agent.say_bundles(bundles(&[("example.org", &home), (PARTNER, &other)]));
    identity_when(&source, trusts_partner);
    agent.say_bundles(bundles(&[("example.org", &home)]));
    identity_when(&source, |identity| !trusts_partner(identity));
    // What is taken back is not used: the bundles beside the SVIDs are left.
    agent.say_bundles(Say::Status(Code::PermissionDenied));
    identity_when(&source, trusts_partner);
    assert_eq!(source.failures(), 0);
    agent.say_bundles(Say::Answer(X509BundlesResponse::default()));
    eventually(|| source.failures() > 0);
    assert!(trusts_partner(&source.snapshot().unwrap()));
}

/// An SVID under an authority that only the other call knows yet is used as soon as that is there.
#[test]
fn an_svid_waits_for_its_bundle() {
    let (agent, old, new) = (Agent::new(), Authority::new("old"), Authority::new("new"));
    agent.say(answer([old.svid(CART)]));
    agent.say_bundles(Say::Nothing);
    let source = agent.source();
    let mut svid = new.svid(CART);
    let leaf = svid.chain.clone();
    svid.bundle.clone_from(&old.der);
    agent.say(answer([svid]));
    eventually(|| source.failures() > 0);
    assert_ne!(*source.snapshot().unwrap().chain()[0], *leaf);
    agent.say_bundles(bundles(&[("example.org", &new)]));
    identity_when(&source, |identity| *identity.chain()[0] == *leaf);
}

#[test]
fn revocation_lists_come_with_answers() {
    let World { agent, home, other, source } = World::new();
    let clients = Agent::new();
    let admits = |serial| {
        clients.say(answer([home.svid_of(STOCK, serial, 3_600)]));
        handshake(&handshaker(&clients.source()), &handshaker(&source)).is_ok()
    };
    assert!(admits(7) && admits(8));
    let say = |crl: Vec<Vec<u8>>| {
        let before = source.reloads();
        let svid = home.svid(CART);
        agent.say(X509SvidResponse { crl, ..federated(svid, PARTNER, &other.der) });
        eventually(|| source.reloads() > before);
    };
    say(vec![home.list(&[7])]);
    assert!(!admits(7) && admits(8));
    // A list of one domain says nothing about the other.
    say(vec![other.list(&[7])]);
    assert!(admits(7));
    say(vec![]);
    assert!(admits(7));

    // A list that cannot be read closes the domain of its issuer, or all if that cannot be read either.
    let mut list = other.list(&[7]);
    let version = list.windows(3).position(|bytes| bytes == [2, 1, 1]).unwrap();
    list[version + 2] = 5;
    say(vec![list.clone()]);
    assert_eq!(source.unusable_trust_domains(), [partner()]);
    assert!(admits(8));
    list.truncate(list.len() - 1);
    say(vec![list]);
    assert_eq!(source.unusable_trust_domains().len(), 2);
    assert!(!admits(8));
    say(vec![]);
    assert!(admits(8));
}

/// As many as an answer has room for; all of them go with the next.
#[test]
fn ten_thousand_bundles() {
    const DOMAINS: usize = 10_000;
    let (agent, home) = (Agent::new(), Authority::new("h"));
    let many = || {
        let names = (0..DOMAINS).map(|number| format!("spiffe://d{number}"));
        let federated_bundles = names.map(|name| (name, home.der.clone())).collect();
        X509SvidResponse { federated_bundles, ..answer([home.svid(CART)]) }
    };
    agent.say(many());
    let source = agent.source();
    let identity = source.snapshot().unwrap();
    assert_eq!(identity.trust().domains().count(), DOMAINS + 1);
    agent.say(answer([home.svid(CART)]));
    identity_when(&source, |identity| identity.trust().domains().count() == 1);
    assert_eq!(source.failures(), 0);
}
