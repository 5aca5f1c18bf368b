//! Tickets that are not accepted, where a full handshake takes their place or refuses the peer as well.

use std::sync::Arc;
use std::time::Duration;

use alts_handshaker::identity::{Policy, Rule};
use alts_handshaker::resumption::{Refused, TicketKeys};
use alts_handshaker::{AlertCode, Error, LocalHandshaker};

use super::{HOUR, Resumption, assert_full, assert_resumed, named, run, run_at};
use crate::peers::{
    Outcome, Pair, builder, identity, identity_trusting, identity_with_revocations, now,
    of_one_hour,
};

fn rule(text: &str) -> Rule {
    text.parse().unwrap()
}

/// What changed on the server between the two handshakes.
type Change = fn(&Resumption) -> LocalHandshaker;

/// Everything that changes on a server and makes its tickets void; the connection is a full handshake that succeeds.
#[test]
fn changes_of_the_server_after_which_a_full_handshake_follows() {
    let changes: &[(&str, Change, &[Refused])] = &[
        ("nothing", |it| it.server(&identity("server")).build(), &[]),
        ("no keys any more", |_| builder(&identity("server")).build(), &[]),
        (
            "keys of another fleet",
            |_| {
                builder(&identity("server"))
                    .ticket_keys(TicketKeys::generate(HOUR).unwrap())
                    .build()
            },
            &[],
        ),
        ("another identity", |it| it.server(&identity("p256")).build(), &[Refused::Unreadable]),
        (
            "another realm",
            |it| it.server(&identity("server")).ticket_realm(*b"b").build(),
            &[Refused::Unreadable],
        ),
        (
            "another bundle",
            |it| it.server(&with_a_second_anchor()).build(),
            &[Refused::TrustChanged],
        ),
        (
            "another trust domain's bundle, which is of no concern",
            |it| {
                it.server(&identity_trusting("server", &["test.example", "other.example"])).build()
            },
            &[],
        ),
        (
            "a revocation list",
            |it| it.server(&identity_with_revocations("server")).build(),
            &[Refused::TrustChanged],
        ),
        (
            "fresher proofs",
            |it| {
                let fresh = Duration::ZERO;
                it.server(&identity("server")).require_fresh(fresh).build()
            },
            &[Refused::Expired],
        ),
        (
            "a policy that still allows the client",
            |it| {
                let policy = Policy::from_rules(["spiffe://test.example/client"]).unwrap();
                it.server(&identity("server")).client_policy(policy).build()
            },
            &[],
        ),
    ];
    for (what, change, reasons) in changes {
        let resumption = Resumption::new();
        let mut pair = resumption.pair();
        assert_full(&run(&pair));
        pair.server = change(&resumption);
        let second = run(&pair);
        let counted: Vec<_> = resumption.refused().into_iter().map(|(reason, _)| reason).collect();
        assert_eq!(&counted, reasons, "{what}");
        let stays = reasons.is_empty() && !what.contains("keys");
        match stays {
            true => assert_resumed(&second, now()),
            false => assert_full(&second),
        }
        // What was issued instead is good.
        if !what.contains("keys") && *what != "fresher proofs" {
            assert_resumed(&run(&pair), now());
        }
    }
}

/// `test.example` with another authority beside its own.
fn with_a_second_anchor() -> Arc<alts_handshaker::identity::Identity> {
    use alts_handshaker::identity::Identity;
    let mut trust = crate::peers::trusting(&["test.example"]);
    let home = "test.example".parse().unwrap();
    trust.insert_pem(&home, &crate::peers::data("other.example.bundle.pem")).unwrap();
    let (chain, key) =
        (crate::peers::data("server.chain.pem"), crate::peers::data("server.key.pem"));
    Identity::from_pem(&chain, &key, trust, now()).unwrap()
}

/// What a full handshake refuses is refused by a full handshake: the ticket does not hide it from the client.
#[test]
fn a_client_that_is_not_allowed_any_more() {
    let policies = [
        Policy::nobody(),
        Policy::from_rules(["spiffe://test.example/other"]).unwrap(),
        Policy::own_trust_domain().deny(rule("spiffe://test.example/client")),
    ];
    for policy in policies {
        let resumption = Resumption::new();
        let mut pair = resumption.pair();
        run(&pair);
        pair.server = resumption.server(&identity("server")).client_policy(policy).build();
        let outcome = pair.run();
        assert!(matches!(outcome.server.error(), Error::Denied { .. }));
        assert_eq!(resumption.refused(), [(Refused::Policy, 1)]);
        let late = outcome.client.result().late_alert.as_ref().unwrap();
        assert_eq!(late.open(&outcome.client.records).unwrap().0, AlertCode::AccessDenied);
        assert_eq!(outcome.client.result().resumed, None);
    }
}

#[test]
fn a_revoked_client() {
    let resumption = Resumption::new();
    let mut pair = named(Pair::of(
        resumption.client(&identity("revoked")).build(),
        resumption.server(&identity("server")).build(),
    ));
    run(&pair);
    assert_resumed(&run(&pair), now());
    pair.server = resumption.server(&identity_with_revocations("server")).build();
    let outcome = pair.run();
    assert_eq!(outcome.server.error().alert(), Some(AlertCode::CertificateRevoked));
    assert_eq!(resumption.refused(), [(Refused::TrustChanged, 1)]);
}

#[test]
fn a_client_of_a_domain_that_was_removed() {
    let resumption = Resumption::new();
    let everybody = || Policy::own_trust_domain().allow(rule("spiffe://other.example/*"));
    let both = ["test.example", "other.example"];
    let server = identity_trusting("server", &both);
    let client = identity_trusting("stranger", &both);
    let mut pair = named(Pair::of(
        resumption.client(&client).server_policy(rules("spiffe://test.example/server")).build(),
        resumption.server(&server).client_policy(everybody()).build(),
    ));
    run(&pair);
    assert_resumed(&run(&pair), now());
    pair.server = resumption.server(&identity("server")).client_policy(everybody()).build();
    let outcome = pair.run();
    assert_eq!(outcome.server.error().alert(), Some(AlertCode::UnknownTrustDomain));
    assert_eq!(resumption.refused(), [(Refused::TrustChanged, 1)]);
}

fn rules(rule: &str) -> Policy {
    Policy::from_rules([rule]).unwrap()
}

/// What changes on the client makes it drop the ticket, and offer none.
#[test]
fn changes_of_the_client() {
    let changes: &[(&str, Change, Refused)] = &[
        (
            "another policy",
            |it| {
                let policy = rules("spiffe://test.example/p256");
                it.client(&identity("client")).server_policy(policy).build()
            },
            Refused::Policy,
        ),
        (
            "a revocation list",
            |it| it.client(&identity_with_revocations("client")).build(),
            Refused::TrustChanged,
        ),
    ];
    for (what, change, reason) in changes {
        let resumption = Resumption::new();
        let mut pair = resumption.pair();
        run(&pair);
        pair.client = change(&resumption);
        run(&pair);
        assert_eq!(resumption.keys.stats().offered, 0, "{what}");
        assert_eq!(resumption.cache.stats().refused(*reason), 1, "{what}");
    }
    // Other targets.
    let resumption = Resumption::new();
    let mut pair = resumption.pair();
    run(&pair);
    pair.client_options.target_identities =
        ["p256", "p384"].map(|name| format!("spiffe://test.example/{name}")).into();
    run(&pair);
    assert_eq!(resumption.keys.stats().offered, 0);
    assert_eq!(resumption.cache.stats().refused(Refused::Policy), 1);
}

/// A configuration that was copied and changed takes nobody's sessions along (as in Go, CVE-2025-68121).
#[test]
fn a_cloned_configuration_shares_nothing() {
    let resumption = Resumption::new();
    let (server, client) =
        (resumption.server(&identity("server")), resumption.client(&identity("client")));
    let mut pair = resumption.pair();
    (pair.server, pair.client) = (server.clone().build(), client.build());
    assert_full(&run(&pair));
    assert!(resumption.cache.is_empty(), "the clone has no keys");
    (pair.server, pair.client) = (server.build(), resumption.client(&identity("client")).build());
    run(&pair);
    assert_resumed(&run(&pair), now());
    pair.client = resumption.client(&identity("client")).clone().build();
    let offered = resumption.keys.stats().offered;
    assert_full(&run(&pair));
    assert_eq!(resumption.keys.stats().offered, offered, "the clone has no tickets");
}

/// Two servers of one machine, one of which trusts more (as in nginx and httpd, CVE-2025-23419 and CVE-2025-23048).
#[test]
fn a_ticket_of_one_virtual_server_at_another() {
    let resumption = Resumption::new();
    let mut pair = resumption.pair();
    run(&pair);
    pair.server = resumption.server(&identity("p256")).client_policy(Policy::nobody()).build();
    let outcome = pair.run();
    assert!(matches!(outcome.server.error(), Error::Denied { .. }));
    assert_eq!(resumption.refused(), [(Refused::Unreadable, 1)]);
}

#[test]
fn clocks_that_jump() {
    let resumption = Resumption::new();
    let pair = resumption.pair();
    let minutes = |count: u64| Duration::from_secs(60 * count);
    run(&pair);
    // Back by more than clocks differ: the full handshake would be in the future.
    let back = run_at(&pair, now() - minutes(2));
    assert_full(&back);
    assert_eq!(resumption.keys.stats().offered, 0);
    // The ticket of that time.
    assert_resumed(&run_at(&pair, now() - minutes(2)), now() - minutes(2));

    // The server's alone.
    for (offset, resumes) in [(30, true), (90, false)] {
        let resumption = Resumption::new();
        let pair = resumption.pair();
        run(&pair);
        let (client, mut server) = (pair.client(), pair.server());
        server.time = now() - Duration::from_secs(offset);
        let outcome = Outcome::of(client, server);
        assert_eq!(outcome.server.result().resumed.is_some(), resumes, "{offset}");
        let reasons: Vec<_> = (!resumes).then_some((Refused::Expired, 1)).into_iter().collect();
        assert_eq!(resumption.refused(), reasons, "{offset}");
    }
    for (ahead, resumes) in [(59, true), (60, false)] {
        let resumption = Resumption::new();
        let pair = resumption.pair();
        run(&pair);
        let (client, mut server) = (pair.client(), pair.server());
        server.time = now() + minutes(ahead);
        let outcome = Outcome::of(client, server);
        assert_eq!(outcome.server.result().resumed.is_some(), resumes, "{ahead}");
    }
}

/// The ticket ends while the handshake goes on.
#[test]
fn a_ticket_that_ends_between_offer_and_answer() {
    let resumption = Resumption::new();
    let pair = resumption.pair();
    run(&pair);
    let (mut client, mut server) = (pair.client(), pair.server());
    client.time = now() + HOUR - Duration::from_secs(1);
    server.time = client.time;
    let offer = client.feed(&[]);
    let answer = server.feed(&offer);
    client.time = now() + HOUR;
    let alert = client.feed(&answer);
    assert!(matches!(client.error(), Error::Denied { .. }), "{:?}", client.error());
    server.feed(&alert);
    assert!(matches!(
        server.error(),
        Error::Alert { code: AlertCode::AccessDenied, sealed: true, .. }
    ));
}

/// Chains end; then tickets do.
#[test]
fn chains_that_end_first() {
    let hour = |identities: [(&str, i64); 2]| of_one_hour(identities);
    let minute = Duration::from_secs(60);
    // Client and server end half an hour from now, at the latest.
    let [server, client] = hour([("server", 0), ("client", 0)]);
    let resumption = Resumption::new();
    let pair =
        named(Pair::of(resumption.client(&client).build(), resumption.server(&server).build()));
    let late = now() + 30 * minute;
    run_at(&pair, late);
    assert_resumed(&run_at(&pair, late + 29 * minute), late);
    // Both have ended, and so has everything else.
    let (mut client, _) = (pair.client(), pair.server());
    client.time = late + 31 * minute;
    client.feed(&[]);
    assert_eq!(client.error().alert(), Some(AlertCode::NoIdentity));
}

/// A connection that ends before the server has answered, or is told that the server has no time, leaves the ticket for another try.
#[test]
fn tickets_that_go_back() {
    let seconds = Duration::from_secs;
    let resumption = Resumption::new();
    let pair = resumption.pair();
    run(&pair);
    let offer_at = |time| {
        let mut client = pair.client();
        client.time = time;
        let offer = client.feed(&[]);
        (client, offer)
    };
    let has_ticket = |offer: &[u8]| offer.len() > 300;

    // The stream ends.
    let (client, first) = offer_at(now());
    assert!(has_ticket(&first) && resumption.cache.is_empty());
    drop(client);
    assert_eq!(resumption.cache.len(), 1);
    // The server is overloaded.
    let (mut client, second) = offer_at(now() + seconds(5));
    assert!(has_ticket(&second));
    client.feed(&crate::peers::clear_alert(15));
    assert_eq!(resumption.cache.len(), 1);
    assert_eq!(resumption.cache.stats().returned, 2);
    // A third time it does not.
    let (client, third) = offer_at(now() + seconds(10));
    assert!(has_ticket(&third));
    drop(client);
    assert!(resumption.cache.is_empty());

    // Only for ten seconds.
    run(&pair);
    drop(offer_at(now()));
    assert!(!has_ticket(&offer_at(now() + seconds(11)).1));

    // Other alerts use it up, and so does the server's answer.
    for code in [0, 12, 16, 20] {
        run(&pair);
        let (mut client, offer) = offer_at(now());
        assert!(has_ticket(&offer));
        client.feed(&crate::peers::clear_alert(code));
        assert!(resumption.cache.is_empty(), "{code}");
    }
    run(&pair);
    let (mut client, offer) = offer_at(now());
    let answer = pair.server().feed(&offer);
    client.feed(crate::peers::frames(&answer)[0]);
    drop(client);
    assert!(resumption.cache.is_empty());
    // A deadline of this side's.
    run(&pair);
    let (mut client, _) = offer_at(now());
    client.fail(AlertCode::Timeout);
    assert_eq!(resumption.cache.len(), 1);
}
