//! The known answers. `tests/independent` computes them again, in Python.

use std::sync::Arc;

use serde_json::Value;

use super::authority::at;
use super::{Psk, Scope, TicketState, id};
use crate::identity::{PeerIdentity, TrustBundles};
use crate::labels::Expander;
use crate::resumption::key_set::TicketKey;
use crate::resumption::ticket;

struct Known(Value);

impl Known {
    fn load() -> Self {
        Self(serde_json::from_str(include_str!("../../../tests/data/resumption.json")).unwrap())
    }

    fn given(&self) -> &Value {
        &self.0["given"]
    }

    fn answer(&self, name: &str) -> Vec<u8> {
        bytes(&self.0["answers"][name])
    }
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    let byte = |at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

fn array<const N: usize>(hex: &Value) -> [u8; N] {
    bytes(hex).try_into().unwrap()
}

fn key(given: &Value) -> TicketKey {
    let secret = bytes(&given["ticket_secret"]);
    TicketKey::written(array(&given["key_name"]), |bytes| bytes.copy_from_slice(&secret))
}

fn state(given: &Value) -> TicketState {
    let seconds = |name: &str| given[name].as_u64().unwrap();
    let client = id(given["client"].as_str().unwrap());
    TicketState {
        psk: Psk::written(|psk| psk.copy_from_slice(&bytes(&given["psk"]))),
        auth_time: seconds("auth_time"),
        not_after: seconds("not_after"),
        trust: array(&given["trust"]),
        log_id: array(&given["log_id"]),
        peer: Arc::new(PeerIdentity::from_certificates(client, at(seconds("peer_not_after")))),
    }
}

/// Does something in the scope that is given.
fn in_scope<T>(given: &Value, work: impl FnOnce(&Scope<'_>) -> T) -> T {
    let realm = given["realm"].as_str().unwrap().as_bytes();
    work(&Scope { server: &id(given["server"].as_str().unwrap()), realm })
}

#[test]
fn a_ticket() {
    let known = Known::load();
    let given = known.given();
    let (key, salt) = (key(given), array(&given["salt"]));
    let derived = in_scope(given, |scope| ticket::derive(&key, scope, &salt));
    assert_eq!(derived.to_vec(), known.answer("k | n"));
    let sealed = in_scope(given, |scope| ticket::seal(&key, scope, &salt, &state(given)));
    assert_eq!(sealed.unwrap(), known.answer("ticket"));

    let opened = in_scope(given, |scope| ticket::open(&key, scope, &known.answer("ticket")));
    let (opened, expected) = (opened.unwrap(), state(given));
    assert_eq!(opened.psk.as_bytes(), expected.psk.as_bytes());
    assert_eq!(
        (opened.auth_time, opened.not_after, opened.peer_not_after()),
        (expected.auth_time, expected.not_after, expected.peer_not_after()),
    );
    assert_eq!((opened.trust, opened.log_id), (expected.trust, expected.log_id));
    assert_eq!(opened.peer, expected.peer);
}

#[test]
fn what_must_not_open() {
    let known = Known::load();
    let ticket = known.answer("ticket");
    let cases = known.0["does not open"].as_array().unwrap();
    assert!(!cases.is_empty());
    for case in cases {
        let mut given = known.given().clone();
        for (name, value) in case.as_object().unwrap() {
            assert_ne!(given[name], *value, "{case}");
            given[name] = value.clone();
        }
        // The salt is the ticket's own, and so is the name by which its key is found.
        let mut changed = ticket.clone();
        changed[1..9].copy_from_slice(&bytes(&given["key_name"]));
        changed[9..25].copy_from_slice(&bytes(&given["salt"]));
        let opened = in_scope(&given, |scope| ticket::open(&key(&given), scope, &changed));
        assert!(opened.is_none(), "{case}");
    }
}

#[test]
fn secrets_of_tickets() {
    let known = Known::load();
    let given = known.given();
    let resumed = known.answer("master").try_into().unwrap();
    for (master, label, hash, name) in [
        (array(&given["master"]), "res", array(&given["th7"]), "res"),
        (array(&given["master"]), "ticket key", array(&given["th7"]), "ticket_key"),
        (array(&given["master"]), "ticket iv", array(&given["th7"]), "ticket_iv"),
        (resumed, "res next", known.answer("th1").try_into().unwrap(), "res next"),
    ] {
        let hash: [u8; 32] = hash;
        let mut found = vec![0; known.answer(name).len()];
        Expander::of(&master).expand(label, &hash, &mut found);
        assert_eq!(found, known.answer(name), "{name}");
    }
}

#[test]
fn the_digest_of_a_trust_domain() {
    let known = Known::load();
    let given = &known.given()["trust of"];
    let domain = given["domain"].as_str().unwrap().parse().unwrap();
    let ders = |kind: &str| -> Vec<Vec<u8>> {
        given[kind].as_array().unwrap().iter().map(bytes).collect()
    };
    let (mut anchors, lists) = (ders("anchors"), ders("lists"));
    assert!(anchors.len() > 1 && !lists.is_empty());
    // In any order, and again.
    for _ in 0..2 {
        anchors.reverse();
        let mut trust = TrustBundles::new();
        for _ in 0..2 {
            for der in &anchors {
                trust.insert_authority(&domain, der).unwrap();
            }
            for der in &lists {
                trust.insert_crl(&domain, der).unwrap();
            }
        }
        let digest = trust.ticket_digest(domain.as_str()).unwrap();
        assert_eq!(digest.to_vec(), known.answer("trust of"));
        assert_eq!(trust.ticket_digest("other.example"), None);
    }
}
