//! The client's tickets: how many, for how long, for whom, and each for one use.

use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use super::authority::{HOUR, NOW, at};
use super::*;
use crate::resumption::TicketKeysError;
use crate::resumption::cache::{CacheKey, TicketCache};

/// A client, with what it knows of its server.
struct Client {
    home: Authority,
    us: Arc<Identity>,
    cache: Arc<TicketCache>,
}

impl Client {
    fn new() -> Self {
        let home = Authority::root("home");
        let us = identity(&home, CLIENT, trust(&[("example.org", &home)]));
        Self { home, us, cache: TicketCache::new() }
    }

    fn state(&self) -> TicketState {
        proved(&self.us, &self.home, SERVER, NOW)
    }

    fn insert(&self, key: &CacheKey, ticket: &[u8]) {
        self.cache.insert(key, ticket, 3_600, self.state(), at(NOW));
    }

    fn take_at(&self, key: &CacheKey, now: u64) -> Option<Vec<u8>> {
        self.cache.take(key, &side(&self.us, now)).map(|offer| offer.ticket().to_vec())
    }

    fn take(&self, key: &CacheKey) -> Option<Vec<u8>> {
        self.take_at(key, NOW)
    }
}

fn key(target: &str) -> CacheKey {
    CacheKey { own: id(CLIENT), target: target.into(), partition: 0 }
}

#[test]
fn a_ticket_is_taken_once() {
    let client = Client::new();
    client.insert(&key(SERVER), b"ticket");
    let offer = client.cache.take(&key(SERVER), &side(&client.us, NOW)).unwrap();
    assert_eq!((offer.ticket(), offer.psk().as_bytes()), (&b"ticket"[..], &[1; 32]));
    assert_eq!(offer.peer().as_str(), SERVER);
    assert_eq!(client.take(&key(SERVER)), None);
    assert!(client.cache.is_empty());
}

#[test]
fn the_newest_is_taken_first() {
    let client = Client::new();
    for ticket in [b"one", b"two", b"ten"] {
        client.insert(&key(SERVER), ticket);
    }
    let taken = [(); 4].map(|()| client.take(&key(SERVER)));
    assert_eq!(taken, [Some(b"ten".to_vec()), Some(b"two".to_vec()), Some(b"one".to_vec()), None]);
}

#[test]
fn two_threads_that_want_one_ticket() {
    let client = Client::new();
    for _ in 0..100 {
        client.insert(&key(SERVER), b"ticket");
        let barrier = Barrier::new(2);
        let want = || {
            barrier.wait();
            client.take(&key(SERVER)).is_some()
        };
        let got = thread::scope(|scope| {
            let other = scope.spawn(want);
            (want(), other.join().unwrap())
        });
        assert!(got.0 != got.1, "{got:?}");
    }
}

#[test]
fn tickets_of_others_are_not_taken() {
    let client = Client::new();
    let mine = CacheKey { own: id(CLIENT), target: "host:443".into(), partition: 1_000 };
    client.insert(&mine, b"ticket");
    for other in [
        CacheKey { own: id("spiffe://example.org/other"), ..mine.clone() },
        CacheKey { target: "host:444".into(), ..mine.clone() },
        CacheKey { target: "host:4433".into(), ..mine.clone() },
        CacheKey { partition: 0, ..mine.clone() },
        CacheKey { partition: 1_001, ..mine.clone() },
    ] {
        assert_eq!(client.take(&other), None, "{other:?}");
    }
    assert_eq!(client.take(&mine), Some(b"ticket".to_vec()));
}

#[test]
fn eight_for_a_target_and_1024_in_all() {
    let client = Client::new();
    for n in 0..9 {
        client.insert(&key(SERVER), &[n]);
    }
    assert_eq!(client.cache.len(), 8);
    client.insert(&key("other"), b"other");
    let taken: Vec<_> = std::iter::from_fn(|| client.take(&key(SERVER))).flatten().collect();
    assert_eq!(taken, [8, 7, 6, 5, 4, 3, 2, 1], "the oldest has left");
    assert_eq!(client.cache.len(), 1);
    client.cache.clear();

    let state = client.state();
    let target = |n: u32| key(&format!("host{n}:443"));
    for n in 0..1_025_u32 {
        let state = TicketState { psk: psk(1), peer: Arc::clone(&state.peer), ..state };
        client.cache.insert(&target(n), &n.to_be_bytes(), 3_600, state, at(NOW));
    }
    assert_eq!(client.cache.len(), 1_024);
    assert_eq!(client.take(&target(0)), None, "the oldest of all");
    for n in 1..1_025 {
        assert_eq!(client.take(&target(n)), Some(n.to_be_bytes().to_vec()));
    }
    assert!(client.cache.is_empty());
}

/// Whoever has many tickets takes none of another one's.
#[test]
fn the_partition_with_most_makes_room() {
    let client = Client::new();
    let state = client.state();
    let put_in = |partition, target: &str| {
        let state = TicketState { psk: psk(1), peer: Arc::clone(&state.peer), ..state };
        let key = CacheKey { partition, ..key(target) };
        client.cache.insert(&key, b"ticket", 3_600, state, at(NOW));
    };
    put_in(1, "first");
    let targets = |from, to| (from..to).map(|n| format!("host{n}:443"));
    // By their number, then by their bytes.
    targets(0, 2_000).for_each(|target| put_in(2, &target));
    assert_eq!(client.cache.len(), 1_024);
    targets(0, 300).for_each(|target| put_in(3, &target));
    targets(0, 50).for_each(|target| put_in(2, &target.repeat(10_000)));
    let has =
        |partition, target: &str| client.take(&CacheKey { partition, ..key(target) }).is_some();
    assert!(has(1, "first"), "the oldest of all");
    assert!(targets(0, 300).all(|target| has(3, &target)));
    assert!(targets(0, 2_000).all(|target| !has(2, &target)), "all of them");
    assert!(has(2, &"host49:443".repeat(10_000)), "the newest");
    client.cache.clear();
    put_in(1, "first");
    assert!(has(1, "first"));
}

#[test]
fn tickets_that_have_ended_leave_when_they_are_looked_up() {
    let client = Client::new();
    for lifetime in [3_600, 100, 50] {
        client.cache.insert(&key(SERVER), &[lifetime as u8], lifetime, client.state(), at(NOW));
    }
    client.insert(&key("other"), b"other");
    assert_eq!(client.take_at(&key(SERVER), NOW + 100), Some(vec![16]));
    assert_eq!(client.cache.len(), 1);
}

#[test]
fn what_a_server_says_makes_nothing_last_longer() {
    let client = Client::new();
    let end = |lifetime: u32, max_age: u64| {
        let cache = TicketCache::with_max_age(Duration::from_secs(max_age)).unwrap();
        let is_there = |now| {
            let state = TicketState { not_after: NOW + 1_000, ..client.state() };
            cache.insert(&key(SERVER), b"ticket", lifetime, state, at(NOW));
            let taken = cache.take(&key(SERVER), &side(&client.us, now)).is_some();
            cache.clear();
            taken
        };
        (NOW..NOW + 1_200).find(|&now| !is_there(now)).map(|end| end - NOW)
    };
    assert_eq!(end(0, 3_600), Some(0));
    assert_eq!(end(1, 3_600), Some(1));
    assert_eq!(end(70, 3_600), Some(70));
    assert_eq!(end(86_400, 3_600), Some(1_000));
    assert_eq!(end(86_400, 60), Some(60));
    assert_eq!(end(u32::MAX, 3_600), Some(1_000));
}

#[test]
fn what_is_no_ticket_is_not_kept() {
    let client = Client::new();
    client.insert(&key(SERVER), b"");
    client.insert(&key(SERVER), &[0; 1_025]);
    client.cache.insert(&key(SERVER), b"ticket", 0, client.state(), at(NOW));
    assert!(client.cache.is_empty());
    client.insert(&key(SERVER), &[0; 1_024]);
    assert_eq!(client.cache.len(), 1);
}

#[test]
fn a_ticket_goes_back_twice_within_ten_seconds() {
    let client = Client::new();
    let take = |now| client.cache.take(&key(SERVER), &side(&client.us, now));
    client.insert(&key(SERVER), b"ticket");
    for (put, expected) in [(NOW, true), (NOW + 10, true), (NOW + 10, false)] {
        let offer = take(NOW).unwrap();
        assert_eq!(client.cache.put_back(offer, at(put)), expected);
    }
    assert!(client.cache.is_empty());

    // Ten seconds count from the first time that it was taken.
    client.insert(&key(SERVER), b"ticket");
    assert!(client.cache.put_back(take(NOW).unwrap(), at(NOW + 5)));
    assert!(!client.cache.put_back(take(NOW + 8).unwrap(), at(NOW + 11)));
    assert!(client.cache.is_empty());
    // A clock that was set back gives no time.
    client.insert(&key(SERVER), b"ticket");
    assert!(!client.cache.put_back(take(NOW).unwrap(), at(NOW - 1)));
    assert!(client.cache.is_empty());
}

#[test]
fn a_ticket_that_went_back_is_judged_anew() {
    let client = Client::new();
    // Not after the ten seconds: two offers of it can be told to be of one client.
    client.insert(&key(SERVER), b"ticket");
    let offer = client.cache.take(&key(SERVER), &side(&client.us, NOW)).unwrap();
    assert!(client.cache.put_back(offer, at(NOW + 5)));
    assert_eq!(client.take_at(&key(SERVER), NOW + 11), None);
    assert!(client.cache.is_empty());
    client.cache.insert(&key(SERVER), b"ticket", 3, client.state(), at(NOW));
    let offer = client.cache.take(&key(SERVER), &side(&client.us, NOW)).unwrap();
    assert!(client.cache.put_back(offer, at(NOW + 5)));
    assert_eq!(client.take_at(&key(SERVER), NOW + 5), None);
    assert!(client.cache.is_empty());
}

#[test]
fn a_cache_resumes_for_a_minute_to_a_day() {
    let made = |seconds| {
        TicketCache::with_max_age(Duration::from_secs(seconds)).map(|cache| cache.max_age())
    };
    assert_eq!(made(60), Ok(Duration::from_secs(60)));
    assert_eq!(made(59), Err(TicketKeysError::MaxAge(Duration::from_secs(59))));
    assert!(made(24 * HOUR).is_ok() && made(24 * HOUR + 1).is_err());
    assert_eq!(format!("{:?}", TicketCache::new()), "TicketCache { tickets: 0, .. }");
}
