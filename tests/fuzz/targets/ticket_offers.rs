//! What a client may send in extension `0x0010`, to a server with ticket keys: any flags, tickets and binders, well made or not, among other
//! extensions. A second reading foretells the alert, or whether the server resumes; and the answer is opened: the server announces or gives
//! a ticket to those who want one, and proves that it has the old one's secret.

use alts::handshaker::{AlertCode, HandshakeOptions, Role};
use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};

use crate::FEW;
use crate::altsh1::code::DECRYPT_ERROR;
use crate::altsh1::keys::{Hash, Pair, Secrets, binder, hash};
use crate::altsh1::messages::{Finished, Out, ServerInit};
use crate::altsh1::resumption::{Offer, ShortServerFinished};
use crate::choices::Choices;
use crate::edits::edit;
use crate::identities::now;
use crate::tickets::{SERVER_SIDE, Verdict, client_init, ticket, verdict};

const PRIVATE: Hash = [7; 32];

fn share() -> Hash {
    x25519(PRIVATE, X25519_BASEPOINT_BYTES)
}

/// The offer as it is sent, with this data of the extension.
fn offer(others: usize, data: &[u8]) -> Vec<u8> {
    let list: [&[(u16, &[u8])]; 3] =
        [&[(0x10, data)], &[(1, b""), (0x10, data)], &[(0x10, data), (0x7fff, b"skip")]];
    client_init(&share(), list[others])
}

fn story(choices: &mut Choices<'_>) {
    let flags = choices.pick(&[1, 1, 1, 0, 2, 3, 0x80]);
    let others = choices.below(3);
    let (mut ticket, psk) = match choices.below(6) {
        4 => (Vec::new(), [0; 32]),
        5 => (vec![7; choices.pick(&[1, 24, 25, 40, 41, 1_024, 1_025])], [0; 32]),
        _ => ticket(choices),
    };
    ticket.truncate(1_100);
    let lengths = [32, 32, 32, 32, 0, 31, 33];
    let length =
        if ticket.is_empty() { choices.pick(&[0, 0, 0, 32]) } else { choices.pick(&lengths) };
    let data = |binder: &[u8]| {
        let mut data = Out::default();
        data.number(1, flags).vector(2, &ticket).vector(1, binder);
        data.0
    };
    let zeros = data(&vec![0; length]);
    let unbound = hash(&offer(others, &zeros));
    let good = binder(&psk, &unbound);
    let mut data = data(&[&good[..], &[9]].concat()[..length]);
    edit(choices, &mut data);
    let first = offer(others, &data);

    let expected = Offer::read(&data).and_then(|read| {
        let Some(binder) = read.binder.first_chunk().filter(|_| !read.ticket.is_empty()) else {
            return Ok((read, Verdict::Full));
        };
        // What it is over has zeros there, wherever that is after the changes.
        let at = data.len() - 32;
        let unbound = [&data[..at], &[0; 32]].concat();
        let verdict = verdict(read.ticket, *binder, &hash(&offer(others, &unbound)));
        match verdict {
            Verdict::Ends => Err(DECRYPT_ERROR),
            verdict => Ok((read, verdict)),
        }
    });
    let mut handshake = SERVER_SIDE.handshake(Role::Server, &HandshakeOptions::default()).unwrap();
    let mut out = Vec::new();
    match (handshake.step(&first, now(), &mut out), expected) {
        (Ok(_), Ok((offer, verdict))) => check_answer(&first, &out, &offer, &verdict, &psk),
        (Err(error), Err(code)) => {
            assert_eq!(error.alert().map(AlertCode::number), Some(code), "{error}");
        }
        (found, expected) => panic!("{found:?} where {:?}", expected.map(|expected| expected.1)),
    }
}

fn check_answer(first: &[u8], out: &[u8], offer: &Offer<'_>, verdict: &Verdict, psk: &Hash) {
    let length = 4 + u32::from_le_bytes(out[..4].try_into().unwrap()) as usize;
    let (second, third) = out.split_at(length);
    let init = ServerInit::read(&second[8..]).unwrap();
    let is_resumed = *verdict == Verdict::Resumed;
    assert_eq!(init.extensions, if is_resumed { vec![0x10] } else { vec![] });
    let shared = x25519(PRIVATE, init.share.try_into().unwrap());
    let transcript = [first, second].concat();
    let psk = if is_resumed { *psk } else { [0; 32] };
    let secrets = Secrets::resumed(&psk, &shared, &hash(&transcript));
    let plaintext = secrets.open(Role::Server, Pair::Message, third).expect("it is sealed so");
    if !is_resumed {
        let finished = Finished::read(&plaintext, true).unwrap();
        assert_eq!(finished.extensions, if offer.want { vec![0x10] } else { vec![] });
        return;
    }
    let finished = ShortServerFinished::read(&plaintext).unwrap();
    assert_eq!(
        finished.new.is_some(),
        offer.want,
        "a client that wants a ticket is told whether it gets one"
    );
    let hashed = hash(&[&transcript, finished.statement].concat());
    assert_eq!(finished.mac, secrets.mac(Role::Server, &hashed));
}

#[test]
fn ticket_offers() {
    bolero::check!(name = "ticket_offers").with_iterations(FEW).with_max_len(600).for_each(
        |input: &[u8]| {
            for mut choices in Choices::several(input) {
                story(&mut choices);
            }
        },
    );
}
