//! Tickets on their way to a client: in the `Ticket` frame behind a full handshake, and in the `ServerFinished` of the resumed one that follows.
//! The fuzzer's side is the server and holds the keys; a second reading foretells the exact fault, or that the ticket is kept; and what is
//! kept is what the client offers next, with the binder that belongs to it.

use std::sync::Arc;

use alts::handshaker::identity::{Policy, SignatureScheme};
use alts::handshaker::resumption::TicketCache;
use alts::handshaker::{
    Error, Handshake, HandshakeOptions, HandshakeResult, LocalHandshaker, Role,
};
use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};

use crate::FEW;
use crate::altsh1::code::{DECODE_ERROR, DECRYPT_ERROR};
use crate::altsh1::keys::{Hash, Pair, Secrets, binder, hash, signed};
use crate::altsh1::messages::{ClientInit, Finished, Out, pad};
use crate::altsh1::resumption::{NewTicket, Offer, ShortServerFinished, new_ticket};
use crate::altsh1::{frame, judge, kind};
use crate::choices::Choices;
use crate::edits::edit;
use crate::identities::{now, party};

const PRIVATE: Hash = [7; 32];
const PROTOCOL: &str = "ALTSRP_GCM_AES128_REKEY";

/// A client with a cache.
struct Client {
    handshaker: LocalHandshaker,
    options: HandshakeOptions,
    cache: Arc<TicketCache>,
}

impl Client {
    fn new() -> Self {
        let cache = TicketCache::new();
        let handshaker = LocalHandshaker::builder(Arc::clone(&party("client").identity))
            .server_policy(Policy::own_trust_domain())
            .ticket_cache(Arc::clone(&cache))
            .build();
        let mut options = HandshakeOptions::default();
        options.target_name = Some("server.test.example:443".to_owned());
        Self { handshaker, options, cache }
    }

    /// Begins a handshake: its first message is there.
    fn begin(&self) -> (Handshake, Vec<u8>) {
        let mut handshake = self.handshaker.handshake(Role::Client, &self.options).unwrap();
        let (first, end) = step(&mut handshake, &[]);
        assert!(end.unwrap().is_none());
        (handshake, first)
    }
}

fn step(
    handshake: &mut Handshake,
    bytes: &[u8],
) -> (Vec<u8>, Result<Option<HandshakeResult>, Error>) {
    let mut out = Vec::new();
    let step = handshake.step(bytes, now(), &mut out);
    (out, step.map(|step| step.result))
}

/// The server's first message, and what both sides have in common then.
fn server_init(first: &[u8], resumes: bool) -> (Vec<u8>, Vec<u8>) {
    let offer = ClientInit::read(&first[8..]).unwrap();
    let peer = offer.shares[0].1.as_slice().try_into().unwrap();
    let mut body = Out::default();
    body.number(2, 1)
        .raw(&[9; 32])
        .number(2, 1)
        .vector(2, &x25519(PRIVATE, X25519_BASEPOINT_BYTES))
        .extensions(if resumes { &[(0x10, b"")] } else { &[] });
    (frame(kind::SERVER_INIT, &body.0), x25519(PRIVATE, peer).to_vec())
}

fn parameters(extensions: &[(u16, &[u8])]) -> Out {
    let mut parameters = Out::default();
    parameters.vector(1, PROTOCOL.as_bytes()).vector(1, b"grpc");
    for number in [2, 1, 2, 1, 0] {
        parameters.number(4, number);
    }
    parameters.numbers(&[0x0807]).extensions(extensions);
    parameters
}

/// A lifetime and a ticket, as an extension's data or at the front of a frame. The dull choice is a good one.
fn new(choices: &mut Choices<'_>) -> Vec<u8> {
    let lifetime = choices.pick(&[3_600, 1, 86_400, 86_401, 0, u32::MAX]);
    let length = choices.pick(&[40, 1, 0, 500, 1_024, 1_025]);
    let mut new = new_ticket(lifetime, &vec![choices.byte(); length]);
    edit(choices, &mut new);
    new
}

/// A full handshake. With the ticket's secret, if the client has kept one.
fn full(choices: &mut Choices<'_>, client: &Client) -> Option<Hash> {
    let (mut handshake, first) = client.begin();
    assert!(first.ends_with(&[0, 0x10, 0, 4, 1, 0, 0, 0]), "it wants a ticket and has none");
    let (second, shared) = server_init(&first, false);
    let mut transcript = [first, second.clone()].concat();
    let secrets = Secrets::new(&shared, &hash(&transcript));
    assert!(step(&mut handshake, &second).1.unwrap().is_none());

    let announced = !choices.one_in(8);
    let server = party("server");
    let mut statement = parameters(if announced { &[(0x10, b"")] } else { &[] });
    let mut chain = Out::default();
    for certificate in &server.chain {
        chain.vector(2, certificate);
    }
    statement.vector(2, &chain.0).number(2, u32::from(server.scheme));
    transcript.extend_from_slice(&statement.0);
    let content = signed(Role::Server, &hash(&transcript));
    let scheme = SignatureScheme(server.scheme);
    let mut item = Out::default();
    item.vector(2, &server.identity.signer().sign(scheme, &content).unwrap());
    transcript.extend_from_slice(&item.0);
    let mac = secrets.mac(Role::Server, &hash(&transcript));
    transcript.extend_from_slice(&mac);
    let mut plaintext = [&statement.0[..], &item.0, &mac].concat();
    pad(&mut plaintext);
    let third = secrets.seal(Role::Server, Pair::Message, kind::SERVER_FINISHED, &plaintext);
    let (fourth, end) = step(&mut handshake, &third);
    let late = end.unwrap().unwrap().late_alert.unwrap();
    let plaintext = secrets.open(Role::Client, Pair::Message, &fourth).unwrap();
    let finished = Finished::read(&plaintext, false).unwrap();
    transcript.extend([finished.statement, finished.signature_item, finished.mac].concat());
    let th7 = hash(&transcript);

    assert_eq!(late.awaits_ticket(), announced);
    let mut plaintext = new(choices);
    pad(&mut plaintext);
    edit(choices, &mut plaintext);
    let pair = if choices.one_in(16) { Pair::Alert } else { Pair::Ticket(th7) };
    let mut ticket = secrets.seal(Role::Server, pair, kind::TICKET, &plaintext);
    edit(choices, &mut ticket);
    let header = ticket.first_chunk::<8>().map(|header| judge::header(*header, &[kind::TICKET]));
    let length = ticket.first_chunk().and_then(|header| late.ticket_len(*header));
    if !announced {
        assert_eq!(length, None);
        assert!(late.take_ticket(&ticket).is_err() && client.cache.is_empty());
        return None;
    }
    assert_eq!(length, header.and_then(Result::ok));
    let opened = match header {
        Some(Ok(length)) if length == ticket.len() => {
            secrets.open(Role::Server, Pair::Ticket(th7), &ticket).ok_or(DECRYPT_ERROR)
        }
        _ => Err(DECODE_ERROR),
    };
    let expected = opened
        .and_then(|plaintext| NewTicket::read_frame(&plaintext).map(|new| !new.ticket.is_empty()));
    let taken = late.take_ticket(&ticket).map_err(|error| error.alert().unwrap().number());
    let kept = client.cache.len() == 1;
    assert_eq!(taken.map(|()| kept), expected);
    kept.then(|| secrets.psk(&th7))
}

/// A resumed handshake with the ticket that was kept.
fn resumed(choices: &mut Choices<'_>, client: &Client, psk: &Hash) {
    let (mut handshake, first) = client.begin();
    // The last extension.
    let data = (0..first.len() - 4).find_map(|at| {
        let length = u16::from_be_bytes([first[at + 2], first[at + 3]]);
        let is_last = at + 4 + usize::from(length) == first.len();
        (is_last && first[at..].starts_with(&[0, 0x10])).then(|| &first[at + 4..])
    });
    let offer = Offer::read(data.expect("it offers its ticket")).unwrap();
    assert!(offer.want && !offer.ticket.is_empty());
    let unbound = hash(&[&first[..first.len() - 32], &[0; 32]].concat());
    assert_eq!(offer.binder, binder(psk, &unbound));
    assert!(client.cache.is_empty(), "it is used once");

    let (second, shared) = server_init(&first, true);
    let transcript = [&first[..], &second].concat();
    let secrets = Secrets::resumed(psk, &shared, &hash(&transcript));
    assert!(step(&mut handshake, &second).1.unwrap().is_none());
    let data = new(choices);
    let extensions: &[(u16, &[u8])] = &[(0x10, &data)];
    let statement = parameters(if choices.one_in(8) { &[] } else { extensions }).0;
    let before = [&transcript[..], &statement].concat();
    let mac = secrets.mac(Role::Server, &hash(&before));
    let mut plaintext = [&statement[..], &mac].concat();
    pad(&mut plaintext);
    if choices.one_in(8) {
        edit(choices, &mut plaintext);
    }
    let third = secrets.seal(Role::Server, Pair::Message, kind::SERVER_FINISHED, &plaintext);
    let (fourth, end) = step(&mut handshake, &third);
    let expected = ShortServerFinished::read(&plaintext).and_then(|read| {
        let is_good = read.statement == statement && read.mac == mac;
        let keeps = read.new.is_some_and(|new| !new.ticket.is_empty());
        if is_good { Ok(keeps) } else { Err(DECRYPT_ERROR) }
    });
    match (end, expected) {
        (Ok(Some(result)), Ok(keeps)) => {
            assert!(result.resumed.is_some());
            assert_eq!(client.cache.len(), usize::from(keeps));
            let plaintext = secrets.open(Role::Client, Pair::Message, &fourth).unwrap();
            // No extensions, then the authenticator.
            let (statement, mac) = (&plaintext[..2], &plaintext[2..34]);
            let before = [&before[..], &mac_of(&third, &secrets), statement].concat();
            assert_eq!(mac, secrets.mac(Role::Client, &hash(&before)));
            let th7 = hash(&[&before[..], mac].concat());
            assert_eq!(result.key_data.as_bytes(), secrets.key_data(PROTOCOL, &th7));
        }
        // What was changed may be read in another order; that it is refused is what counts.
        (Err(error), Err(_)) => {
            assert!(error.alert().is_some() && client.cache.is_empty(), "{error}");
        }
        (found, expected) => panic!("{found:?} where {expected:?}"),
    }
}

/// The authenticator of the server's message.
fn mac_of(frame: &[u8], secrets: &Secrets) -> Vec<u8> {
    let plaintext = secrets.open(Role::Server, Pair::Message, frame).unwrap();
    ShortServerFinished::read(&plaintext).unwrap().mac.to_vec()
}

fn story(choices: &mut Choices<'_>) {
    let client = Client::new();
    if let Some(psk) = full(choices, &client) {
        resumed(choices, &client, &psk);
    }
}

#[test]
fn ticket_frames() {
    bolero::check!(name = "ticket_frames").with_iterations(FEW).with_max_len(600).for_each(
        |input: &[u8]| {
            for mut choices in Choices::several(input) {
                story(&mut choices);
            }
        },
    );
}
