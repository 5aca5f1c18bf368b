//! A stream against a peer that has finished the handshake, holds the keys, and sends records and other things as the fuzzer
//! likes. What the stream gives, and what it ends with, is told by a model that reads frames.

use std::pin::Pin;

use alts::handshaker::{HandshakeOptions, RecordProtocol, Role};
use alts::pool::BufferPool;
use alts::ready::ReadyReader;
use alts::record::RecordError;
use alts::{AltsStream, Error, Truncation};
use tokio::io::{AsyncRead, ReadBuf};

use crate::FEW;
use crate::choices::Choices;
use crate::record_opener::frame;
use crate::runtime::{block_on, parties};
use crate::support::by_hand::{self, Peer};
use crate::support::polling::now;
use crate::support::wire::{Control, Wire, wires};
use crate::support::{assert_nothing_out, settings};

/// Something in the peer's stream.
struct Piece {
    bytes: Vec<u8>,
    /// What it opens to, if it is the record that is due.
    plaintext: Option<Vec<u8>>,
}

/// What a stream ends with.
#[derive(Debug, PartialEq)]
enum End {
    /// It waits for more.
    Waiting,
    Told,
    Failed(Error),
}

struct Model {
    close_notify: bool,
    /// A client's first frame may be an alert.
    role: Role,
    pieces: Vec<Piece>,
    eof: bool,
}

impl Model {
    /// All pieces behind each other.
    fn wire(&self) -> Vec<u8> {
        self.pieces.iter().map(|piece| &piece.bytes[..]).collect::<Vec<_>>().concat()
    }

    /// All that can be read, and the end. A close that something follows may also be refused.
    fn outcome(&self) -> (Vec<u8>, End, bool) {
        let wire = self.wire();
        let failed = |error: RecordError| End::Failed(Error::Record(error));
        let mut read = Vec::new();
        let mut at = 0;
        // Pieces and frames go in step up to the first bad one.
        for number in 0.. {
            let rest = &wire[at..];
            let first_of_client = number == 0 && self.role == Role::Client;
            let len = match frame(rest) {
                Ok(Some(len)) => len,
                Ok(None) => return (read, self.end(rest), false),
                Err(RecordError::WrongType { found: 0x4E }) if first_of_client => {
                    let len = 4 + u32::from_le_bytes(rest[..4].try_into().unwrap()) as usize;
                    if len <= 147 && rest.len() < len {
                        return (read, self.end(rest), false);
                    }
                    return (read, failed(RecordError::WrongType { found: 0x4E }), false);
                }
                Err(error) => return (read, failed(error), false),
            };
            let piece = &self.pieces[number];
            match &piece.plaintext {
                Some(plaintext) if piece.bytes == rest[..len] => {
                    at += len;
                    if plaintext.is_empty() && self.close_notify {
                        return (read, End::Told, at < wire.len());
                    }
                    read.extend(plaintext);
                }
                _ => return (read, failed(RecordError::Authentication), false),
            }
        }
        unreachable!("the wire ends")
    }

    fn end(&self, rest: &[u8]) -> End {
        let at = match (rest.is_empty(), self.close_notify) {
            _ if !self.eof => return End::Waiting,
            (false, _) => Truncation::Record,
            (true, true) => Truncation::MissingClose,
            (true, false) => return End::Told,
        };
        End::Failed(Error::Truncated { at })
    }
}

fn pieces(choices: &mut Choices<'_>, peer: &mut Peer<Wire>) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for _ in 0..choices.below(12) {
        let len = match choices.below(16) {
            14 => 40_000 + choices.below(100_000),
            15 => 0,
            _ => choices.below(2_000),
        };
        let plaintext = vec![choices.byte(); len];
        let mut bytes = peer.seal(&plaintext);
        let good = pieces.iter().all(|piece| piece.plaintext.is_some());
        let mut plaintext = good.then_some(plaintext);
        match choices.below(24) {
            18 => {
                plaintext = None;
                let at = choices.below(bytes.len());
                bytes[at] ^= 1 << choices.below(8);
            }
            19 => {
                plaintext = None;
                bytes.truncate(choices.below(bytes.len()));
            }
            20 => {
                plaintext = None;
                bytes = choices.bytes(40).to_vec();
            }
            21 => {
                // Lost on the way.
                plaintext = None;
                bytes.clear();
            }
            22 => {
                // Perhaps an alert, sealed by nobody.
                plaintext = None;
                bytes = vec![5; 24 + choices.below(140)];
                let length = choices.below(150) as u32;
                bytes[..4].copy_from_slice(&length.to_le_bytes());
                bytes[4..8].copy_from_slice(&[0x4E, 0, 0, 0]);
            }
            23 => {
                let again = Piece { bytes: bytes.clone(), plaintext };
                pieces.push(again);
                plaintext = None;
            }
            _ => {}
        }
        pieces.push(Piece { bytes, plaintext });
    }
    pieces
}

struct Reader {
    stream: AltsStream<Wire>,
    pool: BufferPool,
    read: Vec<u8>,
    end: End,
}

impl Reader {
    /// Whether there was anything.
    fn read(&mut self, choices: &mut Choices<'_>) -> bool {
        if self.end != End::Waiting {
            return false;
        }
        let stream = &mut self.stream;
        let result = if choices.one_in(2) {
            let ready = now(|cx| stream.poll_read_on_ready(cx, &self.pool, &mut None));
            ready.map(|result| result.map(|buf| buf.map_or(vec![], |buf| buf.to_vec())))
        } else {
            let mut bytes = vec![0; 1 + choices.below(30_000)];
            let mut buf = ReadBuf::new(&mut bytes);
            let read = now(|cx| Pin::new(stream).poll_read(cx, &mut buf));
            read.map(|result| result.map(|()| buf.filled().to_vec()))
        };
        match result {
            None => return false,
            Some(Ok(bytes)) if bytes.is_empty() => self.end = End::Told,
            Some(Ok(bytes)) => self.read.extend(bytes),
            Some(Err(error)) => self.end = End::Failed(Error::from(error)),
        }
        true
    }
}

async fn connect(
    choices: &mut Choices<'_>,
    pool: &BufferPool,
) -> (Model, Reader, Control, Peer<Wire>) {
    let close_notify = !choices.one_in(2);
    let role = choices.pick(&[Role::Server, Role::Client]);
    let protocol = choices.pick(&[RecordProtocol::Aes128GcmRekey, RecordProtocol::Aes128Gcm]);
    let settings = settings(pool, |settings| {
        settings.handshake.close_notify = close_notify;
        settings.handshake.record_protocols = vec![protocol];
    });
    let ((near, control), (far, _)) = wires(usize::MAX);
    let mut options = HandshakeOptions::default();
    options.close_notify = true;
    options.record_protocols = vec![protocol];
    let parties = parties();
    let (client, server) = (parties.client_handshaker(), parties.server_handshaker());
    let (stream, peer) = match role {
        Role::Server => tokio::join!(
            parties.acceptor(settings).accept(near),
            by_hand::handshake(&client, Role::Client, &options, far),
        ),
        Role::Client => tokio::join!(
            parties.connector(settings).connect(near),
            by_hand::handshake(&server, Role::Server, &options, far),
        ),
    };
    let (stream, mut peer) = (stream.unwrap(), peer.unwrap());
    let pieces = pieces(choices, &mut peer);
    let model = Model { close_notify, role, pieces, eof: choices.one_in(3) };
    let reader = Reader { stream, pool: pool.clone(), read: Vec::new(), end: End::Waiting };
    (model, reader, control, peer)
}

async fn run(choices: &mut Choices<'_>) {
    let pool = BufferPool::new();
    let (model, mut reader, control, peer) = connect(choices, &pool).await;
    let (expected, end, followed) = model.outcome();
    let mut wire = model.wire();
    while !wire.is_empty() {
        let count = if choices.one_in(2) { 1 + choices.below(wire.len()) } else { wire.len() };
        let rest = wire.split_off(count);
        control.inject(&wire);
        wire = rest;
        while choices.below(4) != 0 && reader.read(choices) {}
        assert!(expected.starts_with(&reader.read), "bytes that nobody sent");
    }
    if model.eof {
        control.end_incoming();
    }
    // Readers yield now and then: nothing once does not mean nothing.
    let mut nothing = 0;
    while nothing < 40 && reader.end == End::Waiting {
        nothing = if reader.read(choices) { 0 } else { nothing + 1 };
    }
    assert!(reader.read == expected, "{} bytes of {}", reader.read.len(), expected.len());
    let after_close = End::Failed(Error::Record(RecordError::AfterClose));
    assert!(
        reader.end == end || (followed && reader.end == after_close),
        "{:?}, not {end:?}",
        reader.end
    );
    drop(reader);
    assert_nothing_out(&pool);
    drop(peer);
}

#[test]
fn insider_records() {
    bolero::check!(name = "insider_records")
        .with_iterations(FEW)
        .with_max_len(600)
        .for_each(|input: &[u8]| block_on(run(&mut Choices::new(input))));
}
