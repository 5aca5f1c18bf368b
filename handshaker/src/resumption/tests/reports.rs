//! Faults that other implementations of resumption had, by the numbers of their reports, as far as they can be made below the protocol.

use super::authority::{HOUR, NOW, at};
use super::*;
use crate::resumption::DEFAULT_MAX_AGE;
use crate::resumption::key_set::TicketKey;
use crate::resumption::ticket;

/// Go: a configuration that was cloned, and then given other authorities, took the ticket keys along; whoever only the old
/// authorities vouched for was resumed.
#[test]
fn cve_2025_68121_a_cloned_configuration() {
    let (old, new) = (Authority::root("old"), Authority::root("new"));
    let before = identity(&old, SERVER, trust(&[("example.org", &old)]));
    let after = before.with_trust(trust(&[("example.org", &new)]), at(NOW));
    // Sharing keys takes an explicit copy of the handle, and even then trust is judged anew.
    let keys = TicketKeys::generate_at(DEFAULT_MAX_AGE, at(NOW)).unwrap();
    let shared = Arc::clone(&keys);
    let scope = Scope { server: before.id(), realm: b"" };
    let state = proved(&before, &old, CLIENT, NOW);
    let ticket = keys.seal(&scope, &state, at(NOW)).unwrap().ticket;
    let judge = |keys: &TicketKeys, us: &Identity| {
        keys.open(&scope, &ticket, at(NOW))?.accept(&side(us, NOW)).map(drop)
    };
    assert_eq!(judge(&shared, &before), Ok(()));
    assert_eq!(judge(&shared, &after), Err(Refused::TrustChanged));
    // What is made anew shares nothing.
    let fresh = TicketKeys::generate_at(DEFAULT_MAX_AGE, at(NOW)).unwrap();
    assert_eq!(judge(&fresh, &before), Err(Refused::UnknownKey));
}

/// nginx: a session of one virtual server was resumed at another with the same ticket keys, past the second one's demand for a
/// certificate.
#[test]
fn cve_2025_23419_two_virtual_servers() {
    let keys = TicketKeys::generate_at(DEFAULT_MAX_AGE, at(NOW)).unwrap();
    let state = made_up(CLIENT, NOW, NOW + HOUR);
    let open_to_all = Scope { server: &id("spiffe://example.org/public"), realm: b"" };
    let ticket = keys.seal(&open_to_all, &state, at(NOW)).unwrap().ticket;
    for strict in [
        Scope { server: &id("spiffe://example.org/admin"), realm: b"" },
        Scope { server: &id("spiffe://example.org/public"), realm: b"admin" },
    ] {
        assert!(matches!(keys.open(&strict, &ticket, at(NOW)), Err(Refused::Unreadable)));
    }
}

/// Apache httpd: a client that one virtual server trusted was resumed at another that trusts other authorities.
#[test]
fn cve_2025_23048_another_trust() {
    let (here, there) = (Authority::root("here"), Authority::root("there"));
    let mut both = trust(&[("example.org", &here)]);
    let one = identity(&here, SERVER, both.clone());
    both.insert_pem(&domain("example.org"), there.pem.as_bytes()).unwrap();
    // The same name and keys; the second server's trust is another.
    let other = identity(&here, SERVER, both);
    let keys = TicketKeys::generate_at(DEFAULT_MAX_AGE, at(NOW)).unwrap();
    let scope = Scope { server: one.id(), realm: b"" };
    for (issuer, home, judge) in [(&one, &here, &other), (&other, &there, &one)] {
        let state = proved(issuer, home, CLIENT, NOW);
        let ticket = keys.seal(&scope, &state, at(NOW)).unwrap().ticket;
        let verdict = |us: &Identity| {
            keys.open(&scope, &ticket, at(NOW)).unwrap().accept(&side(us, NOW)).map(drop)
        };
        assert_eq!(verdict(issuer), Ok(()));
        assert_eq!(verdict(judge), Err(Refused::TrustChanged));
    }
}

/// `GnuTLS`: until the first rotation, tickets were sealed under a key of zeros.
#[test]
fn cve_2020_13777_keys_of_zeros() {
    let keys = TicketKeys::generate_at(DEFAULT_MAX_AGE, at(NOW)).unwrap();
    let scope = Scope { server: &id(SERVER), realm: b"" };
    let zeros = |name: &[u8]| TicketKey::written(name.try_into().unwrap(), |_| {});
    // From the first ticket on, and after each rotation.
    for n in 0..5 {
        let now = NOW + n * HOUR;
        let good = seal(&keys, SERVER, now).unwrap();
        let key = zeros(&good[1..9]);
        assert!(ticket::open(&key, &scope, &good).is_none());
        let forged = ticket::seal(&key, &scope, &[0; 16], &made_up(CLIENT, now, now + HOUR));
        assert_eq!(opens(&keys, SERVER, &forged.unwrap(), now), Err(Refused::Unreadable));
    }
}
