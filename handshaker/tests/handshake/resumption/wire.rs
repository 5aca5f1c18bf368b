//! Bytes changed on the way.

use alts_handshaker::AlertCode;
use alts_handshaker::resumption::Refused;

use super::{Resumption, extension_types, named, run};
use crate::peers::{Outcome, Pair, Side, frames, identity};

/// Where the ticket is in an offer that ends with it and its binder.
fn ticket_of(offer: &[u8]) -> std::ops::Range<usize> {
    let end = offer.len() - 32 - 1;
    assert_eq!(offer[end], 32);
    // The resumption extension has 3 bytes of flags and length before the ticket.
    let mut start = end;
    loop {
        start -= 1;
        let len = usize::from(u16::from_be_bytes([offer[start - 2], offer[start - 1]]));
        if len == end - start && offer[start] == 1 && offer[start - 3] == 1 {
            return start..end;
        }
    }
}

/// A server, and what a client that has a ticket offers it.
fn offer(resumption: &Resumption) -> (Pair, Side, Vec<u8>) {
    let pair = resumption.pair();
    run(&pair);
    let mut client = pair.client();
    let offer = client.feed(&[]);
    (pair, client, offer)
}

#[test]
fn the_extension_is_the_last() {
    let resumption = Resumption::new();
    let (pair, _, offer) = offer(&resumption);
    let ticket = ticket_of(&offer);
    let at = ticket.start - 3 - 4 - 2;
    assert_eq!(extension_types(&offer, at), [0x10]);
    let without = Pair::of(Pair::usual().client, pair.server.clone());
    assert_eq!(without.client().feed(&[]).len(), at + 2);
}

#[test]
fn every_byte_of_a_ticket() {
    let resumption = Resumption::new();
    let (pair, _, offer) = offer(&resumption);
    let full_answer = Pair::of(Pair::usual().client, pair.server.clone()).flights().answer;
    let full_init = frames(&full_answer)[0].len();
    let ticket = ticket_of(&offer);
    for (count, at) in ticket.clone().enumerate() {
        let mut changed = offer.clone();
        changed[at] ^= 0x20;
        let mut server = pair.server();
        let answer = server.feed(&changed);
        // A full handshake follows, and no alert; the client will find that its offer was changed.
        assert_eq!(frames(&answer)[0].len(), full_init, "byte {count}");
        let refused: u64 = resumption.refused().iter().map(|(_, count)| count).sum();
        assert_eq!(refused, count as u64 + 1);
    }
    let stats = resumption.keys.stats();
    assert_eq!(stats.refused(Refused::UnknownKey), 1 + 8, "format and name of the key");
    assert_eq!(stats.refused(Refused::Unreadable), ticket.len() as u64 - 9);
    assert_eq!(stats.accepted, 0);
}

#[test]
fn every_other_byte_of_the_offer() {
    let resumption = Resumption::new();
    let (pair, _, offer) = offer(&resumption);
    let ticket = ticket_of(&offer);
    for at in (0..offer.len()).filter(|at| !ticket.contains(at)) {
        let mut changed = offer.clone();
        changed[at] ^= 0x01;
        let mut server = pair.server();
        server.feed(&changed);
        // The binder is over all of it, if the rest can be read and a ticket is still in it.
        if let Some(Err(error)) = &server.end {
            assert!(error.alert().is_some() || matches!(error, alts_handshaker::Error::Foreign(_)));
        } else {
            assert_eq!(resumption.keys.stats().accepted, 0, "byte {at}");
        }
        if at > ticket.end {
            assert_eq!(server.error().alert(), Some(AlertCode::DecryptError), "byte {at}");
        }
    }
    assert_eq!(resumption.keys.stats().accepted, 0);
    assert_eq!(resumption.keys.stats().issued, 1);
}

/// A ticket that was read from the wire, under an offer of somebody else.
#[test]
fn a_ticket_in_another_offer() {
    let resumption = Resumption::new();
    let (pair, _, good) = offer(&resumption);
    let (_, _, other) = offer(&resumption);
    let accepted = resumption.keys.stats().accepted;
    let (ticket, place) = (ticket_of(&good), ticket_of(&other));
    // With its binder, which is over the first offer.
    let mut stolen = other.clone();
    stolen.splice(place.start.., good[ticket.start..].iter().copied());
    let mut server = pair.server();
    server.feed(&stolen);
    assert_eq!(server.error().alert(), Some(AlertCode::DecryptError));
    // With the binder of the other secret.
    let mut swapped = other.clone();
    swapped.splice(place, good[ticket].iter().copied());
    let mut server = pair.server();
    server.feed(&swapped);
    assert_eq!(server.error().alert(), Some(AlertCode::DecryptError));
    assert_eq!(resumption.keys.stats().accepted, accepted);
}

/// A replayed offer costs a key agreement. It gives no result, and each answer is under other keys.
#[test]
fn an_offer_replayed() {
    let resumption = Resumption::new();
    let (pair, mut client, offer) = offer(&resumption);
    let mut answers = std::collections::BTreeSet::new();
    let mut waiting = Vec::new();
    for _ in 0..100 {
        let mut server = pair.server();
        assert!(answers.insert(server.feed(&offer)));
        waiting.push(server);
    }
    // Only the one whose answer arrives gets a result.
    let mut server = pair.server();
    let answer = server.feed(&offer);
    let finish = client.feed(&answer);
    server.feed(&finish);
    assert!(server.succeeded());
    for mut server in waiting {
        server.feed(&finish);
        assert_eq!(server.error().alert(), Some(AlertCode::DecryptError));
    }
}

#[test]
fn every_byte_of_the_answers() {
    let resumption = Resumption::new();
    let pair = resumption.pair();
    run(&pair);
    let sample = {
        let (mut client, mut server) = (pair.client(), pair.server());
        let answer = server.feed(&client.feed(&[]));
        let finish = client.feed(&answer);
        server.feed(&finish);
        (answer.len(), finish.len())
    };
    for at in 0..sample.0 {
        let (mut client, mut server) = (pair.client(), pair.server());
        let mut answer = server.feed(&client.feed(&[]));
        answer[at] ^= 0x10;
        client.feed(&answer);
        assert!(!client.succeeded(), "byte {at} of the answer");
        run(&pair);
    }
    for at in 0..sample.1 {
        let (mut client, mut server) = (pair.client(), pair.server());
        let answer = server.feed(&client.feed(&[]));
        let mut finish = client.feed(&answer);
        finish[at] ^= 0x10;
        server.feed(&finish);
        assert!(!server.succeeded(), "byte {at} of the client's last message");
    }
}

#[test]
fn every_byte_of_a_ticket_frame() {
    let resumption = Resumption::new();
    let pair = resumption.pair();
    let first = pair.run().client.records.len();
    for at in 0..first {
        let mut outcome = pair.run();
        let mut frame = std::mem::take(&mut outcome.client.records);
        frame[at] ^= 0x01;
        let Some(Ok(result)) = &mut outcome.client.end else { panic!("no result") };
        let late = result.late_alert.take().unwrap();
        let error = late.take_ticket(&frame).unwrap_err();
        let code = if at < 8 { AlertCode::DecodeError } else { AlertCode::DecryptError };
        assert_eq!(error.alert(), Some(code), "byte {at}");
    }
    for cut in 0..first {
        let mut outcome = pair.run();
        let Outcome { client, .. } = &mut outcome;
        let Some(Ok(result)) = &mut client.end else { panic!("no result") };
        let late = result.late_alert.take().unwrap();
        assert!(late.take_ticket(&client.records[..cut]).is_err());
    }
    assert!(resumption.cache.is_empty());
}

/// Another client's ticket is of no use to somebody with a certificate of the same trust domain.
#[test]
fn another_identity_has_another_ticket() {
    let resumption = Resumption::new();
    let pair = resumption.pair();
    run(&pair);
    let other = named(Pair::of(resumption.client(&identity("deep")).build(), pair.server.clone()));
    let mut client = other.client();
    assert!(client.feed(&[]).len() < 300, "it has none");
}
