//! Tickets that somebody made who has the server's keys: good ones, ones with any contents, ones that are damaged, sealed elsewhere, or under
//! keys that are over; each with a binder that fits or does not. A second reading of the form and of the rule foretells whether the server
//! resumes, goes on with a full handshake, or ends the handshake.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, UNIX_EPOCH};

use alts::handshaker::identity::{Policy, SpiffeId};
use alts::handshaker::resumption::{DEFAULT_MAX_AGE, TicketKeys};
use alts::handshaker::{AlertCode, HandshakeOptions, LocalHandshaker, Role};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

use crate::FEW;
use crate::altsh1::keys::{Hash, binder, expand, hash};
use crate::altsh1::messages::Out;
use crate::altsh1::{frame, keys, kind};
use crate::choices::Choices;
use crate::edits::edit;
use crate::identities::{now, party};

const SERVER: &str = "spiffe://test.example/server";
const CLIENT: &str = "spiffe://test.example/client";
const REALM: &str = "blue";
/// What a server with these keys believes a full handshake for.
const MAX_AGE: u64 = 3_600;

/// Each key's byte, and for how long it has been in use: one is not yet, and one is over.
const KEYS: [(u8, i64); 4] = [(4, -30), (3, 1_000), (2, 4_000), (1, 6_000)];

fn seconds() -> u64 {
    now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn begins(age: i64) -> u64 {
    seconds().checked_add_signed(-age).unwrap()
}

/// Allows its own trust domain, but for one name.
pub(crate) static SERVER_SIDE: LazyLock<LocalHandshaker> = LazyLock::new(|| {
    let denied: SpiffeId = "spiffe://test.example/denied".parse().unwrap();
    LocalHandshaker::builder(Arc::clone(&party("server").identity))
        .client_policy(Policy::own_trust_domain().deny(denied))
        .ticket_keys(keys())
        .ticket_realm(REALM.as_bytes())
        .build()
});

fn keys() -> Arc<TicketKeys> {
    let file = tempfile::NamedTempFile::new().unwrap();
    let line = |&(byte, age): &(u8, i64)| {
        let hex = format!("{byte:02x}");
        format!("{} {} {}\n", hex.repeat(8), hex.repeat(32), begins(age))
    };
    std::fs::write(file.path(), KEYS.iter().map(line).collect::<String>()).unwrap();
    TicketKeys::load(file.path(), DEFAULT_MAX_AGE, now()).unwrap()
}

/// Of the one authority that the server believes.
static TRUST: LazyLock<Hash> = LazyLock::new(|| {
    let anchor = hash(&crate::identities::authority());
    let name = b"test.example";
    let text = [b"altsh1 trust", &[name.len() as u8][..], name, &[0, 0, 0, 1], &anchor, &[0; 4]];
    hash(&text.concat())
});

/// Key and nonce of a ticket.
fn cipher(key: u8, server: &str, realm: &str, salt: &[u8]) -> (LessSafeKey, Nonce) {
    let mut scope = Out::default();
    scope.vector(2, server.as_bytes()).vector(1, realm.as_bytes());
    let scoped = expand(&[key; 32], "ticket scope", &hash(&scope.0), 32);
    let derived = expand(&scoped.try_into().unwrap(), "ticket", salt, 44);
    let (key, nonce) = derived.split_at(32);
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).unwrap());
    (key, Nonce::try_assume_unique_for_key(nonce).unwrap())
}

/// A ticket with its secret. The dull choice is a good one.
pub(crate) fn ticket(choices: &mut Choices<'_>) -> (Vec<u8>, Hash) {
    let key = choices.pick(&[3, 4, 2, 1, 9]);
    let psk = [choices.byte(); 32];
    let now = seconds();
    let age = choices.pick(&[10, 0, -60, -61, 900, 1_060, 3_599, 3_600, -900, 939, 940, 941]);
    let times = [
        begins(age),
        now + choices.pick(&[600, 1, 0, u64::MAX / 2]),
        now + choices.pick(&[600, 1, 0]),
    ];
    let mut state = Out::default();
    state.raw(&psk);
    for time in times {
        state.raw(&time.to_be_bytes());
    }
    let trust = if choices.one_in(8) { [choices.byte(); 32] } else { *TRUST };
    let name = choices.pick(&[
        CLIENT,
        "spiffe://test.example/deep",
        "spiffe://other.example/client",
        "spiffe://test.example/",
        "spiffe://test.example/denied",
        "",
    ]);
    state.raw(&trust).raw(&[5; 16]).vector(2, name.as_bytes());
    edit(choices, &mut state.0);
    let padded = (state.0.len() + 64 * usize::from(choices.one_in(16))).next_multiple_of(64);
    state.0.resize(padded, choices.pick(&[0, 0, 0, 1]));

    let salt = [choices.byte(); 16];
    let (server, realm) = choices.pick(&[
        (SERVER, REALM),
        (SERVER, REALM),
        (SERVER, ""),
        ("spiffe://test.example/deep", REALM),
        ("spiffe://test.example/serverblue", ""),
    ]);
    let mut ticket = [&[1][..], &[key; 8], &salt].concat();
    let (cipher, nonce) = cipher(key, server, realm, &salt);
    let tag = cipher.seal_in_place_separate_tag(nonce, Aad::from(&ticket), &mut state.0).unwrap();
    ticket.extend_from_slice(&state.0);
    ticket.extend_from_slice(tag.as_ref());
    edit(choices, &mut ticket);
    (ticket, psk)
}

/// What a ticket says, if it opens: which key, the state.
fn open(ticket: &[u8]) -> Option<(usize, Vec<u8>)> {
    if !(41..=1_024).contains(&ticket.len()) || ticket[0] != 1 {
        return None;
    }
    let key = KEYS.iter().position(|&(byte, _)| ticket[1..9] == [byte; 8])?;
    // A key opens for an hour after the one before it in the list took over.
    let is_over = key > 0 && seconds() >= begins(KEYS[key - 1].1) + MAX_AGE;
    let (cipher, nonce) = cipher(KEYS[key].0, SERVER, REALM, &ticket[9..25]);
    let mut sealed = ticket[25..].to_vec();
    let state = cipher.open_in_place(nonce, Aad::from(&ticket[..25]), &mut sealed).ok()?;
    (!is_over).then(|| (key, state.to_vec()))
}

/// What is in a state, if it is one.
struct State {
    psk: Hash,
    auth_time: u64,
    not_after: u64,
    peer_not_after: u64,
    trust: Hash,
    client: SpiffeId,
}

fn state(bytes: &[u8]) -> Option<State> {
    let number = |at: usize| Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
    let length = usize::from(u16::from_be_bytes(bytes.get(104..106)?.try_into().ok()?));
    let name = bytes.get(106..106 + length)?;
    let rest = &bytes[106 + length..];
    let is_padded =
        bytes.len().is_multiple_of(64) && rest.len() < 64 && rest.iter().all(|&byte| byte == 0);
    let peer_not_after = number(48)?;
    // A time that no clock can show is none.
    UNIX_EPOCH.checked_add(Duration::from_secs(peer_not_after))?;
    is_padded.then_some(())?;
    Some(State {
        psk: bytes[..32].try_into().ok()?,
        auth_time: number(32)?,
        not_after: number(40)?,
        peer_not_after,
        trust: bytes[56..88].try_into().ok()?,
        client: std::str::from_utf8(name).ok()?.parse().ok()?,
    })
}

/// What the server does with an offer.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    Resumed,
    Full,
    /// The binder does not fit.
    Ends,
}

pub(crate) fn verdict(ticket: &[u8], binder: Hash, unbound: &Hash) -> Verdict {
    let Some((key, state)) = open(ticket).and_then(|(key, bytes)| Some((key, state(&bytes)?)))
    else {
        return Verdict::Full;
    };
    if binder != keys::binder(&state.psk, unbound) {
        return Verdict::Ends;
    }
    let now = seconds();
    let stopped = if key == 0 { u64::MAX - 60 } else { begins(KEYS[key - 1].1) };
    let in_time = now < state.not_after
        && now <= state.peer_not_after
        && now < state.auth_time.saturating_add(MAX_AGE)
        && state.auth_time <= now + 60
        && state.auth_time <= stopped + 60;
    let is_allowed = [CLIENT, "spiffe://test.example/deep"].contains(&state.client.as_str());
    let is_trusted =
        state.trust == *TRUST && state.client.trust_domain().as_str() == "test.example";
    if in_time && is_trusted && is_allowed { Verdict::Resumed } else { Verdict::Full }
}

/// An offer with this ticket and binder.
fn offer(ticket: &[u8], binder: &Hash) -> Vec<u8> {
    let mut extension = Out::default();
    extension.number(1, 1).vector(2, ticket).vector(1, binder);
    // The base point is as good a share as any.
    let point: Hash = std::array::from_fn(|at| if at == 0 { 9 } else { 0 });
    client_init(&point, &[(0x10, &extension.0)])
}

/// An offer with this share and these extensions.
pub(crate) fn client_init(share: &[u8; 32], extensions: &[(u16, &[u8])]) -> Vec<u8> {
    let mut shares = Out::default();
    shares.number(2, 1).vector(2, share);
    let mut body = Out::default();
    body.numbers(&[1])
        .raw(&[7; 32])
        .numbers(&[1])
        .vector(2, &shares.0)
        .numbers(&[0x0807])
        .names(&["ALTSRP_GCM_AES128_REKEY"])
        .names(&["grpc"]);
    for number in [2, 1, 2, 1, 0] {
        body.number(4, number);
    }
    body.extensions(extensions);
    frame(kind::CLIENT_INIT, &body.0)
}

fn story(choices: &mut Choices<'_>) {
    let (mut ticket, psk) = ticket(choices);
    // Longer ones are no offers.
    ticket.truncate(1_024);
    if ticket.is_empty() {
        return;
    }
    let unbound = hash(&offer(&ticket, &[0; 32]));
    let mut binder = binder(&psk, &unbound);
    if choices.one_in(8) {
        binder[choices.below(32)] ^= choices.byte();
    }
    let expected = verdict(&ticket, binder, &unbound);

    let mut handshake = SERVER_SIDE.handshake(Role::Server, &HandshakeOptions::default()).unwrap();
    let mut out = Vec::new();
    let found = match handshake.step(&offer(&ticket, &binder), now(), &mut out) {
        Ok(_) => {
            let length = 4 + u32::from_le_bytes(out[..4].try_into().unwrap()) as usize;
            // The answer is ServerInit's one extension, its last field.
            match out[..length].ends_with(&[0, 4, 0, 0x10, 0, 0]) {
                true => Verdict::Resumed,
                false => Verdict::Full,
            }
        }
        Err(error) => {
            assert_eq!(error.alert(), Some(AlertCode::DecryptError), "{error}");
            Verdict::Ends
        }
    };
    assert_eq!(found, expected);
}

#[test]
fn tickets() {
    bolero::check!(name = "tickets").with_iterations(FEW).with_max_len(600).for_each(
        |input: &[u8]| {
            for mut choices in Choices::several(input) {
                story(&mut choices);
            }
        },
    );
}
