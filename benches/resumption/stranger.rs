//! A client that nobody knows, and what it sends in place of a ticket.

use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

use alts::handshaker::{HandshakeOptions, Handshaker, LocalHandshaker, Role};

use super::altsh1::Peers;

/// The extension that tickets are in, by `PROTOCOL.md`.
const RESUMPTION: [u8; 2] = [0x00, 0x10];
/// Bytes of the longest ticket, and of a binder.
const TICKET: usize = 1_024;
const BINDER: usize = 32;
/// What anybody can read of a ticket on its way: its format and the name of the key that it is sealed under.
const FORMAT_AND_NAME: usize = 9;

/// First messages.
pub(crate) struct Stranger {
    /// Without a ticket.
    pub(crate) plain: Vec<u8>,
    /// With the longest one, of nothing but sevens.
    pub(crate) junk: Vec<u8>,
    /// The same behind the name of a key that the server has: it tries to open that.
    pub(crate) named_junk: Vec<u8>,
}

impl Stranger {
    /// A client of `plain`; what is public in tickets comes from a client of `giving`.
    pub(crate) fn new(plain: &Peers, giving: &Peers) -> Self {
        giving.handshake_with_ticket();
        let resuming = offer(giving);
        let clear = ticket(&resuming)[..FORMAT_AND_NAME].to_vec();
        let plain = offer(plain);
        let [junk, named_junk] = [&[7][..], &clear].map(|begin| {
            let mut ticket = begin.to_vec();
            ticket.resize(TICKET, 7);
            with_ticket(&plain, &ticket)
        });
        Self { plain, junk, named_junk }
    }
}

fn offer(peers: &Peers) -> Vec<u8> {
    step(peers.client(), Role::Client, peers.options(), &[])
}

/// What the server says to a first message.
pub(crate) fn answer(server: &LocalHandshaker, client_init: &[u8]) {
    let answer = step(server, Role::Server, &HandshakeOptions::default(), client_init);
    assert!(!answer.is_empty(), "a server answers");
}

fn step(
    handshaker: &LocalHandshaker,
    role: Role,
    options: &HandshakeOptions,
    received: &[u8],
) -> Vec<u8> {
    let mut session = handshaker.start(role, options).expect("a session");
    let mut out = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    match session.poll_step(&mut cx, received, SystemTime::now(), &mut out) {
        Poll::Ready(Ok(_)) => out,
        other => panic!("{other:?}"),
    }
}

/// The ticket of an offer whose last extension has it.
fn ticket(client_init: &[u8]) -> &[u8] {
    let number =
        |at: usize| usize::from(u16::from_be_bytes([client_init[at], client_init[at + 1]]));
    let at = (0..client_init.len() - 4)
        .find(|&at| {
            client_init[at..].starts_with(&RESUMPTION)
                && at + 4 + number(at + 2) == client_init.len()
        })
        .expect("the extension is the last");
    &client_init[at + 7..at + 7 + number(at + 5)]
}

/// An offer without extensions, with this one.
fn with_ticket(client_init: &[u8], ticket: &[u8]) -> Vec<u8> {
    let number = |number: usize| u16::try_from(number).expect("a short length").to_be_bytes();
    let data = [&[1], &number(ticket.len())[..], ticket, &[BINDER as u8], &[7; BINDER]].concat();
    let extension = [&RESUMPTION, &number(data.len())[..], &data].concat();
    let (before, extensions) = client_init.split_last_chunk().expect("it ends with extensions");
    assert_eq!(extensions, &[0, 0], "there are none");
    let mut out = [before, &number(extension.len()), &extension].concat();
    let length = u32::try_from(out.len() - 4).expect("a short message");
    out[..4].copy_from_slice(&length.to_le_bytes());
    out
}
