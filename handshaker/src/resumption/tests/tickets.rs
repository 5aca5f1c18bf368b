//! Tickets that were changed, made up, or sealed elsewhere.

use super::authority::{HOUR, NOW, at};
use super::*;
use crate::resumption::DEFAULT_MAX_AGE;
use crate::resumption::key_set::TicketKey;
use crate::resumption::{MAX_REALM, ticket};

fn keys() -> Arc<TicketKeys> {
    TicketKeys::generate_at(DEFAULT_MAX_AGE, at(NOW)).unwrap()
}

#[test]
fn a_ticket_opens_with_all_that_was_sealed() {
    let keys = keys();
    let state = made_up(CLIENT, NOW - 7, NOW + 600);
    let issued =
        keys.seal(&Scope { server: &id(SERVER), realm: b"blue" }, &state, at(NOW)).unwrap();
    assert_eq!(issued.lifetime, 600);
    let scope = Scope { server: &id(SERVER), realm: b"blue" };
    let opened = keys.open(&scope, &issued.ticket, at(NOW)).unwrap();
    assert_eq!(opened.psk().as_bytes(), state.psk.as_bytes());
    let found = &opened.state;
    assert_eq!((found.auth_time, found.not_after), (NOW - 7, NOW + 600));
    assert_eq!((found.trust, found.log_id), (state.trust, state.log_id));
    assert_eq!(found.peer, state.peer);
}

#[test]
fn no_byte_of_a_ticket_can_be_changed() {
    let keys = keys();
    let ticket = seal(&keys, SERVER, NOW).unwrap();
    assert_eq!(opens(&keys, SERVER, &ticket, NOW), Ok(()));
    for at in 0..ticket.len() {
        for change in [1, 0x80, 0xff] {
            let mut changed = ticket.clone();
            changed[at] ^= change;
            // Of what stands in front, the form and the name decide which key is tried.
            let expected = if at < 9 { Refused::UnknownKey } else { Refused::Unreadable };
            assert_eq!(opens(&keys, SERVER, &changed, NOW), Err(expected), "byte {at}");
        }
    }
}

#[test]
fn tickets_of_every_length() {
    let keys = keys();
    let ticket = seal(&keys, SERVER, NOW).unwrap();
    let whole = ticket.len();
    let long = [&ticket[..], &[0; 1_200]].concat();
    for length in (0..=1_100).filter(|&length| length != whole) {
        let expected = match length {
            // Form, name, salt and tag, and not more than the protocol allows.
            41..=1_024 => Refused::Unreadable,
            _ => Refused::UnknownKey,
        };
        assert_eq!(opens(&keys, SERVER, &long[..length], NOW), Err(expected), "{length} bytes");
    }
}

#[test]
fn nothing_made_up_opens() {
    let keys = keys();
    let ticket = seal(&keys, SERVER, NOW).unwrap();
    let other = seal(&keys, SERVER, NOW).unwrap();
    assert_ne!(ticket[9..], other[9..], "each has a salt of its own");
    // Parts of two good tickets, exchanged at each place.
    for at in 10..ticket.len() {
        let mixed = [&ticket[..at], &other[at..]].concat();
        assert_eq!(opens(&keys, SERVER, &mixed, NOW), Err(Refused::Unreadable), "at {at}");
    }
    for fill in 0..=255 {
        let mut junk = vec![fill; ticket.len()];
        junk[..9].copy_from_slice(&ticket[..9]);
        assert_eq!(opens(&keys, SERVER, &junk, NOW), Err(Refused::Unreadable));
    }
}

#[test]
fn a_ticket_opens_in_its_scope_alone() {
    let keys = keys();
    let scopes = [
        (SERVER, &b""[..]),
        ("spiffe://example.org/other", b""),
        ("spiffe://example.org/serve", b"r"),
        ("spiffe://example.org/s", b""),
        ("spiffe://other.example/server", b""),
        (SERVER, b"\0"),
        (SERVER, b"blue"),
        (SERVER, b"blue "),
        (SERVER, &[b'b'; MAX_REALM]),
        (SERVER, &[b'b'; MAX_REALM - 1]),
    ];
    let state = made_up(CLIENT, NOW, NOW + HOUR);
    for sealing in &scopes {
        let scope = Scope { server: &id(sealing.0), realm: sealing.1 };
        let ticket = keys.seal(&scope, &state, at(NOW)).unwrap().ticket;
        for opening in &scopes {
            let scope = Scope { server: &id(opening.0), realm: opening.1 };
            let expected = if opening == sealing { Ok(()) } else { Err(Refused::Unreadable) };
            let found = keys.open(&scope, &ticket, at(NOW)).map(drop);
            assert_eq!(found, expected, "{sealing:?}, {opening:?}");
        }
    }
}

#[test]
fn a_realm_of_256_bytes_has_no_tickets() {
    let keys = keys();
    let state = made_up(CLIENT, NOW, NOW + HOUR);
    let ticket = seal(&keys, SERVER, NOW).unwrap();
    let too_long = Scope { server: &id(SERVER), realm: &[0; MAX_REALM + 1] };
    assert!(keys.seal(&too_long, &state, at(NOW)).is_none());
    assert!(matches!(keys.open(&too_long, &ticket, at(NOW)), Err(Refused::Unreadable)));
}

#[test]
fn a_ticket_of_other_keys_is_unknown() {
    let ticket = seal(&keys(), SERVER, NOW).unwrap();
    assert_eq!(opens(&keys(), SERVER, &ticket, NOW), Err(Refused::UnknownKey));
}

/// A name of this many bytes.
fn long_name(length: usize) -> String {
    let start = "spiffe://example.org/";
    format!("{start}{}", "n".repeat(length - start.len()))
}

#[test]
fn names_decide_how_long_a_ticket_is() {
    let keys = keys();
    let scope = Scope { server: &id(SERVER), realm: b"" };
    let length = |name: usize| {
        let state = made_up(&long_name(name), NOW, NOW + HOUR);
        keys.seal(&scope, &state, at(NOW)).map(|issued| issued.ticket.len())
    };
    assert_eq!(length(60), Some(233));
    // Sizes are rounded: names of similar length are not told apart.
    assert_eq!((length(30), length(86)), (length(60), length(60)));
    assert_eq!(length(87), Some(233 + 64));
    assert_eq!(length(854), Some(1_001));
    assert_eq!(length(855), None);
    assert_eq!(length(2_048), None);
    // The longest opens, too.
    let ticket = keys.seal(&scope, &made_up(&long_name(854), NOW, NOW + HOUR), at(NOW)).unwrap();
    assert_eq!(opens(&keys, SERVER, &ticket.ticket, NOW), Ok(()));
}

#[test]
fn a_ticket_with_less_than_a_minute_is_not_issued() {
    let keys = keys();
    let scope = Scope { server: &id(SERVER), realm: b"" };
    let lifetime = |left: u64| {
        let state = made_up(CLIENT, NOW, NOW + left);
        keys.seal(&scope, &state, at(NOW)).map(|issued| issued.lifetime)
    };
    assert_eq!((lifetime(0), lifetime(59), lifetime(60)), (None, None, Some(60)));
    assert_eq!(lifetime(86_400), Some(86_400));
    // A clock that was set back does not make one that is too long for the protocol.
    assert_eq!(lifetime(86_401), None);
    let ended = made_up(CLIENT, NOW, NOW - 1);
    assert!(keys.seal(&scope, &ended, at(NOW)).is_none());
}

#[test]
fn a_state_that_is_not_encoded_as_it_should_be_does_not_open() {
    let key = TicketKey::generate().unwrap();
    let scope = Scope { server: &id(SERVER), realm: b"" };
    let mut good = Vec::new();
    ticket::encode(&made_up(CLIENT, NOW, NOW + HOUR), &mut good);
    let opens = |state: &[u8]| {
        let write = |out: &mut Vec<u8>| out.extend_from_slice(state);
        let sealed = ticket::seal_encoded(&key, &scope, &[9; 16], state.len(), write);
        ticket::open(&key, &scope, &sealed).is_some()
    };
    assert!(opens(&good));
    let name_length = 32 + 24 + 48;
    let name = name_length + 2;
    for length in 0..good.len() {
        assert!(!opens(&good[..length]), "cut to {length}");
    }
    assert!(!opens(&[&good[..], &[0; 64]].concat()), "padded more than necessary");
    let changed = |at: usize, byte: u8| {
        let mut changed = good.clone();
        changed[at] = byte;
        changed
    };
    assert!(!opens(&changed(good.len() - 1, 1)), "padding that is not zero");
    assert!(!opens(&changed(name_length, 1)), "a name that is longer than the state");
    assert!(!opens(&changed(name_length + 1, 0)), "no name");
    assert!(!opens(&changed(name, b'S')), "no SPIFFE ID");
    assert!(!opens(&changed(name, 0xff)), "no text");
    // The end of the peer's chain: a time that no clock can show.
    let mut late = good.clone();
    late[48..56].fill(0xff);
    assert!(!opens(&late));
}
