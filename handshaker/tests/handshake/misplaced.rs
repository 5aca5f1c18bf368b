//! Good messages in the wrong hands: reflected, replayed, swapped.

use alts_handshaker::AlertCode;

use crate::peers::{self, Outcome, Pair, frames};

#[test]
fn an_own_offer_reflected() {
    let mut client = Pair::usual().client();
    let offer = client.feed(&[]);
    client.feed(&offer);
    assert_eq!(client.error().alert(), Some(AlertCode::UnexpectedMessage));
}

#[test]
fn an_own_answer_reflected() {
    let pair = Pair::usual();
    let (mut client, mut server) = (pair.client(), pair.server());
    let offer = client.feed(&[]);
    let answer = server.feed(&offer);
    server.feed(&answer);
    assert_eq!(server.error().alert(), Some(AlertCode::UnexpectedMessage));
}

#[test]
fn two_clients_joined() {
    let pair = Pair::usual();
    let (mut one, mut other) = (pair.client(), pair.client());
    let (first, second) = (one.feed(&[]), other.feed(&[]));
    let told = one.feed(&second);
    other.feed(&first);
    for side in [&one, &other] {
        assert_eq!(side.error().alert(), Some(AlertCode::UnexpectedMessage));
    }
    assert_eq!(told, peers::clear_alert(1));
}

#[test]
fn two_servers_joined_are_silent() {
    let pair = Pair::usual();
    let Outcome { client, server } = Outcome::of(pair.server(), pair.server());
    assert!(client.end.is_none() && server.end.is_none());
}

#[test]
fn replays_of_each_flight() {
    let pair = Pair::usual();
    let old = pair.flights();

    // The offer gets another answer, to which the old finish does not fit.
    let mut server = pair.server();
    let answer = server.feed(&old.offer);
    assert_ne!(answer, old.answer);
    server.feed(&old.finish);
    assert_eq!(server.error().alert(), Some(AlertCode::DecryptError));

    let mut server = pair.server();
    server.feed(&old.finish);
    assert_eq!(server.error().alert(), Some(AlertCode::UnexpectedMessage));

    let mut server = pair.server();
    server.feed(&old.offer);
    server.feed(&old.offer);
    assert_eq!(server.error().alert(), Some(AlertCode::UnexpectedMessage));

    let mut client = pair.client();
    client.feed(&[]);
    client.feed(&old.answer);
    assert_eq!(client.error().alert(), Some(AlertCode::DecryptError));
}

#[test]
fn messages_of_one_handshake_given_to_another() {
    let pair = Pair::usual();
    let (mut a_client, mut a_server) = (pair.client(), pair.server());
    let (mut b_client, mut b_server) = (pair.client(), pair.server());
    let a_offer = a_client.feed(&[]);
    let b_offer = b_client.feed(&[]);
    let a_answer = a_server.feed(&a_offer);
    let b_answer = b_server.feed(&b_offer);

    // B's ServerFinished behind A's ServerInit, and the whole answer of B.
    let mixed = [frames(&a_answer)[0], frames(&b_answer)[1]].concat();
    a_client.feed(&mixed);
    assert_eq!(a_client.error().alert(), Some(AlertCode::DecryptError));
    let mut c_client = pair.client();
    c_client.feed(&[]);
    c_client.feed(&b_answer);
    assert_eq!(c_client.error().alert(), Some(AlertCode::DecryptError));

    let b_finish = b_client.feed(&b_answer);
    a_server.feed(&b_finish);
    assert_eq!(a_server.error().alert(), Some(AlertCode::DecryptError));
    b_server.feed(&b_finish);
    assert_eq!(b_client.result().key_data, b_server.result().key_data);
}
