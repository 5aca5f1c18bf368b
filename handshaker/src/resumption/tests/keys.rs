//! Keys that this process alone has: which seals, which open, and for how long.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::authority::{HOUR, NOW, at};
use super::*;
use crate::resumption::TicketKeysError;
use crate::resumption::key_set::TicketKey;

const HALF: u64 = HOUR / 2;

fn keys() -> Arc<TicketKeys> {
    TicketKeys::generate_at(Duration::from_secs(HOUR), at(NOW)).unwrap()
}

fn name_of_key(ticket: &[u8]) -> &[u8] {
    &ticket[1..9]
}

#[test]
fn a_new_key_takes_over_on_use() {
    let keys = keys();
    let ticket = |now| seal(&keys, SERVER, now).unwrap();
    let first = ticket(NOW);
    assert_eq!(name_of_key(&ticket(NOW + HALF - 1)), name_of_key(&first));
    let second = ticket(NOW + HALF);
    assert_ne!(name_of_key(&second), name_of_key(&first));
    assert_eq!(name_of_key(&ticket(NOW + HALF + 1)), name_of_key(&second));
    // The first opens until an hour after it stopped, to the second.
    let end = NOW + HALF + HOUR;
    assert_eq!(opens(&keys, SERVER, &first, end - 1), Ok(()));
    assert_eq!(opens(&keys, SERVER, &first, end), Err(Refused::UnknownKey));
    assert_eq!(opens(&keys, SERVER, &second, end), Ok(()));
}

#[test]
fn a_key_that_was_not_used_for_long_stopped_when_its_time_was_over() {
    let keys = keys();
    let ticket = seal(&keys, SERVER, NOW).unwrap();
    // Nobody asked for a ticket in between; that does not prolong its life.
    seal(&keys, SERVER, NOW + HALF + HOUR - 1).unwrap();
    assert_eq!(opens(&keys, SERVER, &ticket, NOW + HALF + HOUR - 1), Ok(()));
    assert_eq!(opens(&keys, SERVER, &ticket, NOW + HALF + HOUR), Err(Refused::UnknownKey));
}

#[test]
fn keys_are_wiped_when_they_are_of_no_use() {
    let keys = keys();
    for n in 0..20 {
        seal(&keys, SERVER, NOW + n * HALF).unwrap();
        assert!(keys.held() <= 4, "{}", keys.held());
    }
    assert_eq!(keys.held(), 3);
    // On use, be it in vain.
    let last = NOW + 19 * HALF;
    let ended = [&[1; 9][..], &[0; 64]].concat();
    assert_eq!(opens(&keys, SERVER, &ended, last + 3 * HOUR), Err(Refused::UnknownKey));
    assert_eq!(keys.held(), 0);
    assert!(seal(&keys, SERVER, last + 3 * HOUR).is_some());
}

#[test]
fn a_clock_that_jumps_keeps_sealing_and_leaves_no_key_behind() {
    let keys = keys();
    let old = seal(&keys, SERVER, NOW).unwrap();
    let day = 24 * HOUR;
    for now in [NOW - day, NOW + 2 * day, NOW - 3 * day, NOW, NOW + 400 * day, NOW - HALF] {
        let ticket = seal(&keys, SERVER, now).unwrap();
        assert_eq!(opens(&keys, SERVER, &ticket, now), Ok(()));
        assert!(keys.held() <= 4);
    }
    // What was sealed before the clock was set back has ended: its key was replaced then.
    assert_eq!(opens(&keys, SERVER, &old, NOW + HALF), Err(Refused::UnknownKey));
}

#[test]
fn a_clock_that_is_set_back_again_and_again_leaves_four_keys() {
    let keys = keys();
    let first = seal(&keys, SERVER, NOW).unwrap();
    for n in 1..10 {
        let ticket = seal(&keys, SERVER, NOW - n).unwrap();
        assert_eq!(opens(&keys, SERVER, &ticket, NOW), Ok(()));
        assert!(keys.held() <= 4, "{}", keys.held());
    }
    assert_eq!(opens(&keys, SERVER, &first, NOW), Err(Refused::UnknownKey));
}

#[test]
fn a_key_that_was_replaced_stopped_then() {
    let keys = keys();
    let first = seal(&keys, SERVER, NOW).unwrap();
    seal(&keys, SERVER, NOW - 100).unwrap();
    // The clock is right again. The key's tickets are of no time after it was replaced.
    assert_eq!(open(&keys, SERVER, &first, NOW).unwrap().bounds.sealed_until, NOW - 100);
    assert_eq!(opens(&keys, SERVER, &first, NOW - 100 + HOUR), Err(Refused::UnknownKey));
}

#[test]
fn a_clock_that_is_set_back_a_little_needs_no_new_key() {
    let keys = keys();
    let first = seal(&keys, SERVER, NOW).unwrap();
    let second = seal(&keys, SERVER, NOW + HALF).unwrap();
    let again = seal(&keys, SERVER, NOW + HALF - 10).unwrap();
    assert_eq!(name_of_key(&again), name_of_key(&first));
    assert_eq!(name_of_key(&seal(&keys, SERVER, NOW + HALF).unwrap()), name_of_key(&second));
    assert_eq!(keys.held(), 2);
}

#[test]
fn times_at_their_ends() {
    for now in [UNIX_EPOCH, UNIX_EPOCH - Duration::from_secs(9), at(1 << 40)] {
        let keys = TicketKeys::generate_at(Duration::from_secs(HOUR), now).unwrap();
        let state = made_up(CLIENT, 0, (1 << 40) + 60);
        let scope = Scope { server: &id(SERVER), realm: b"" };
        // No panic; most of these have no ticket that lives for a sensible time.
        let ticket = keys.seal(&scope, &state, now);
        assert_eq!(ticket.is_some(), now == at(1 << 40));
        assert!(keys.open(&scope, &[1; 64], now).is_err());
    }
}

#[test]
fn a_handshake_is_resumed_for_a_minute_to_a_day() {
    for (seconds, is_good) in [(0, false), (59, false), (60, true), (86_400, true), (86_401, false)]
    {
        let max_age = Duration::from_secs(seconds);
        let made = TicketKeys::generate(max_age);
        assert_eq!(made.as_ref().err(), (!is_good).then_some(&TicketKeysError::MaxAge(max_age)));
        assert!(made.is_err() || made.unwrap().max_age() == max_age);
    }
    let beyond = Duration::from_secs(86_400) + Duration::from_nanos(1);
    assert!(TicketKeys::generate(beyond).is_err());
    assert!(TicketKeys::generate(Duration::MAX).is_err());
}

#[test]
fn real_time_will_do() {
    let keys = TicketKeys::generate(Duration::from_secs(HOUR)).unwrap();
    let now = SystemTime::now();
    let seconds = now.duration_since(UNIX_EPOCH).unwrap().as_secs();
    let ticket = seal(&keys, SERVER, seconds).unwrap();
    assert_eq!(opens(&keys, SERVER, &ticket, seconds), Ok(()));
}

#[test]
fn no_two_keys_are_alike() {
    let (one, other) = (TicketKey::generate().unwrap(), TicketKey::generate().unwrap());
    assert_ne!(one.name, other.name);
    assert_ne!(one.secret(), other.secret());
    assert!(!one.is_zero() && TicketKey::written([1; 8], |_| {}).is_zero());
}
