//! Where the handshake ends and records begin: an attacker on the path decides which bytes arrive together.

use std::time::Duration;

use alts::handshaker::{HandshakeOptions, Role};
use alts::pool::BufferPool;
use alts::{AltsStream, Error, Truncation};
use tokio::io::AsyncReadExt;

use crate::support::by_hand::{self, Peer};
use crate::support::wire::{Control, Wire, wires};
use crate::support::{Parties, assert_nothing_out, pattern, settings};
use crate::{error_of, read_until_error};

/// A handshake of a stream of ours with a peer by hand, in which the last `held_back` bytes of the peer's handshake arrive
/// together with `first`, made by the peer. Its end of the wire must stay, or the stream ends.
async fn at_the_seam(
    parties: &Parties,
    pool: &BufferPool,
    role: Role,
    held_back: usize,
    first: impl FnOnce(&mut Peer<Wire>) -> Vec<u8>,
) -> (AltsStream<Wire>, Peer<Wire>, Control) {
    let ((wire, control), (far, _)) = wires(usize::MAX);
    let settings = settings(pool, |_| ());
    let handshake = match role {
        Role::Server => parties.acceptor(settings).accept(wire),
        Role::Client => parties.connector(settings).connect(wire),
    };
    let ours = tokio::spawn(handshake);
    let options = {
        let mut options = HandshakeOptions::default();
        options.close_notify = true;
        options
    };
    let (client, server) = (parties.client_handshaker(), parties.server_handshaker());
    let mut session = match role {
        Role::Server => alts::handshaker::Handshaker::start(&client, Role::Client, &options),
        Role::Client => alts::handshaker::Handshaker::start(&server, Role::Server, &options),
    }
    .unwrap();
    let pause = || tokio::time::sleep(Duration::from_millis(1));
    let mut out = Vec::new();
    let mut result = None;
    if role == Role::Server {
        by_hand::step(&mut *session, &[], &mut out).unwrap();
        control.inject(&std::mem::take(&mut out));
    }
    pause().await;
    let received = control.intercept();
    let step = by_hand::step(&mut *session, &received, &mut out).unwrap();
    result = step.result.or(result);
    let last = out.split_off(out.len() - held_back);
    control.inject(&out);
    pause().await;
    if role == Role::Client {
        // The server's keys are there when it has the client's last message, which comes after its own.
        control.inject(&last);
        pause().await;
        let step = by_hand::step(&mut *session, &control.intercept(), &mut out).unwrap();
        result = step.result;
    }
    let result = result.unwrap();
    let (sealer, opener) = by_hand::crypters(&result, role.peer());
    let mut peer = Peer { socket: far, sealer, opener, result, rest: Vec::new() };
    let first = first(&mut peer);
    if role == Role::Server {
        control.inject(&[last, first].concat());
    } else {
        control.inject(&first);
    }
    (ours.await.unwrap().unwrap(), peer, control)
}

/// The most awkward case: so much of a large record comes with the end of the handshake that the buffer is full, and it begins
/// where no record begins otherwise.
#[tokio::test(start_paused = true)]
async fn a_full_buffer_after_the_last_bytes_of_a_handshake() {
    let parties = Parties::new();
    for held_back in [1, 10, 47, 48, 55, 56, 57, 63, 64, 100] {
        for len in [33_000, 33_216, 33_224, 33_280, 40_000, 70_000, 1 << 20] {
            let pool = BufferPool::new();
            let text = pattern(len - 24);
            let (mut stream, _peer, _) =
                at_the_seam(&parties, &pool, Role::Server, held_back, |peer| peer.seal(&text))
                    .await;
            let mut received = vec![0; text.len()];
            stream.read_exact(&mut received).await.unwrap();
            assert!(received == text, "{held_back} bytes, then a record of {len}");
            drop(stream);
            assert_nothing_out(&pool);
        }
    }
}

/// The same on the other side, where nothing that follows the handshake needs any key: garbage with a header is enough.
#[tokio::test(start_paused = true)]
async fn garbage_after_the_last_bytes_of_a_server() {
    let parties = Parties::new();
    for held_back in [1, 10, 55, 56] {
        for len in [33_000_u32, 33_250, 40_000, 1 << 20] {
            let pool = BufferPool::new();
            let ((wire, control), (far, far_control)) = wires(usize::MAX);
            let ours = tokio::spawn(parties.connector(settings(&pool, |_| ())).connect(wire));
            let options = HandshakeOptions::default();
            let server = parties.server_handshaker();
            let mut session =
                alts::handshaker::Handshaker::start(&server, Role::Server, &options).unwrap();
            tokio::time::sleep(Duration::from_millis(1)).await;
            let mut out = Vec::new();
            by_hand::step(&mut *session, &control.intercept(), &mut out).unwrap();
            let mut last = out.split_off(out.len() - held_back);
            control.inject(&out);
            tokio::time::sleep(Duration::from_millis(1)).await;
            last.extend(len.to_le_bytes());
            last.extend(6_u32.to_le_bytes());
            last.extend(pattern(len as usize - 4));
            control.inject(&last);
            let mut stream = ours.await.unwrap().unwrap();
            let (received, error) = read_until_error(&mut stream).await;
            assert_eq!(received, b"");
            let refused = Error::Record(alts::record::RecordError::Authentication);
            assert_eq!(error, Some(refused));
            drop((stream, far, far_control));
            assert_nothing_out(&pool);
        }
    }
}

/// Whole records, parts and the end together with the handshake.
#[tokio::test(start_paused = true)]
async fn records_that_come_with_the_handshake() {
    let parties = Parties::new();
    for role in [Role::Server, Role::Client] {
        for held_back in [1, 200] {
            let pool = BufferPool::new();
            let records = |peer: &mut Peer<Wire>| {
                [peer.seal(b"one"), peer.seal(&[]), peer.seal(b"more")].concat()
            };
            let (mut stream, _peer, _) =
                at_the_seam(&parties, &pool, role, held_back, records).await;
            let mut text = [0; 3];
            stream.read_exact(&mut text).await.unwrap();
            assert_eq!(&text, b"one");
            let error = error_of(stream.read(&mut text).await);
            assert_eq!(error, Error::Record(alts::record::RecordError::AfterClose));
            drop(stream);
            assert_nothing_out(&pool);

            let half = |peer: &mut Peer<Wire>| peer.seal(b"a record in two halves")[..30].to_vec();
            let (mut stream, mut peer, control) =
                at_the_seam(&parties, &pool, role, held_back, half).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
            assert_nothing_out(&pool);
            peer.sealer = alts::record::Sealer::new(
                peer.result.record_protocol,
                peer.result.key_data.as_bytes(),
                role.peer(),
            )
            .unwrap();
            control.inject(&peer.seal(b"a record in two halves")[30..]);
            control.end_incoming();
            let (received, error) = read_until_error(&mut stream).await;
            assert_eq!(received, b"a record in two halves");
            assert_eq!(error, Some(Error::Truncated { at: Truncation::MissingClose }));
            drop(stream);
            assert_nothing_out(&pool);
        }
    }
}
