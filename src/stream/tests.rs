//! Streams in states that no test could bring them to from outside.

mod closing;
mod given;
mod observed;
#[cfg(feature = "tokio")]
mod readable;
mod reading;
mod resting;

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::SystemTime;

use alts_handshaker::dev_ca::DevCa;
use alts_handshaker::identity::Policy;
use alts_handshaker::{HandshakeOptions, HandshakeResult, LocalHandshaker, RecordProtocol, Role};

use super::{AltsStream, Channel, Negotiated, StreamOptions, Terms};
use crate::error::{Error, Fault};
use crate::observer::Observer;
use crate::pool::BufferPool;
use crate::ready::Sink;
use crate::record::{Counter, OVERHEAD, Opener, RecordError, Sealer};

const REKEY: RecordProtocol = RecordProtocol::Aes128GcmRekey;
const PLAIN: RecordProtocol = RecordProtocol::Aes128Gcm;
/// Records in one direction under the only key of `ALTSRP_GCM_AES128`.
const LIMIT: u64 = 1 << 23;

/// A socket in memory: the test puts in what arrives and takes out what was sent.
#[derive(Debug, Default)]
struct Ends {
    incoming: VecDeque<u8>,
    outgoing: Vec<u8>,
    /// How many bytes it takes in all, if it does not take any number.
    room: Option<usize>,
    failing: bool,
    write_error: Option<io::ErrorKind>,
    flush_error: Option<io::ErrorKind>,
    end_error: Option<io::ErrorKind>,
    /// How often the sending direction was ended.
    ended: usize,
}

/// A socket that can be asked to end its sending direction.
impl Sink for Ends {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Write::write(self, buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Write::flush(self)
    }

    fn shutdown(&mut self) -> io::Result<()> {
        self.ended += 1;
        fails(self.end_error)
    }
}

impl Read for Ends {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.failing {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        match self.incoming.read(buf)? {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => Ok(count),
        }
    }
}

impl Write for Ends {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        fails(self.write_error)?;
        let room = self.room.map_or(buf.len(), |room| room - self.outgoing.len());
        match buf.len().min(room) {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            count => self.outgoing.write(&buf[..count]),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        fails(self.flush_error)
    }
}

fn fails(error: Option<io::ErrorKind>) -> io::Result<()> {
    error.map_or(Ok(()), |kind| Err(kind.into()))
}

/// What `role` gets from a handshake that settles on `protocol`.
fn handshake(protocol: RecordProtocol, role: Role) -> HandshakeResult {
    let now = SystemTime::now();
    let ca = DevCa::new(now).unwrap();
    let identity = ca.issue("spiffe://dev.local/both", now).unwrap().identity(now).unwrap();
    let handshaker = LocalHandshaker::builder(Arc::new(identity))
        .server_policy(Policy::own_trust_domain())
        .build();
    let mut options = HandshakeOptions::default();
    options.record_protocols = vec![protocol];
    options.close_notify = true;
    let start = |role| handshaker.handshake(role, &options).unwrap();
    let (mut client, mut server) = (start(Role::Client), start(Role::Server));
    let (mut offer, mut answer, mut finish) = (Vec::new(), Vec::new(), Vec::new());
    client.step(&[], now, &mut offer).unwrap();
    server.step(&offer, now, &mut answer).unwrap();
    let client = client.step(&answer, now, &mut finish).unwrap().result.unwrap();
    let server = server.step(&finish, now, &mut Vec::new()).unwrap().result.unwrap();
    if role == Role::Client { client } else { server }
}

/// The counter of what `sender` sends after `records` records.
fn counter(sender: Role, records: u64) -> Counter {
    let mut bytes = [0; 12];
    bytes[..8].copy_from_slice(&records.to_le_bytes());
    bytes[11] = if sender == Role::Server { 0x80 } else { 0 };
    Counter::from_bytes(bytes)
}

/// A stream that has sent and received `records` records, and its peer's records.
fn stream(
    protocol: RecordProtocol,
    role: Role,
    records: u64,
) -> (AltsStream<Ends>, Sealer, Opener) {
    observed(protocol, role, records, None)
}

/// As [`stream`], with an observer.
fn observed(
    protocol: RecordProtocol,
    role: Role,
    records: u64,
    observer: Option<Arc<dyn Observer>>,
) -> (AltsStream<Ends>, Sealer, Opener) {
    let mut result = handshake(protocol, role);
    let key = result.key_data.as_bytes().to_vec();
    let (negotiated, options) = (Negotiated::of(&result), StreamOptions::default());
    let terms = Terms::new(negotiated, BufferPool::new(), options, observer);
    let mut channel = Channel::new(role, &mut result, Arc::new(terms)).unwrap();
    channel.sending.set_counter(counter(role, records));
    channel.receiving.set_counter(counter(role.peer(), records));
    let sealer = Sealer::with_counter(protocol, &key, counter(role.peer(), records)).unwrap();
    let opener = Opener::with_counter(protocol, &key, counter(role, records)).unwrap();
    (AltsStream::new(Ends::default(), channel), sealer, opener)
}

#[track_caller]
fn assert_exhausted<T: std::fmt::Debug>(result: io::Result<T>) {
    let error = result.unwrap_err();
    let error = Error::of(&error).unwrap();
    assert_eq!(*error, Error::Record(RecordError::KeyExhausted));
    assert_eq!(error.fault(), Fault::Limit);
}

#[test]
fn the_only_key_of_the_plain_protocol_seals_8_388_608_records_and_no_more() {
    for role in [Role::Client, Role::Server] {
        let (mut stream, _, mut opener) = stream(PLAIN, role, LIMIT - 2);
        // Room for three records; the limit leaves two.
        let payload = stream.channel.terms().max_payload();
        let sent = stream.write(&vec![7; 2 * payload + 1]).unwrap();
        assert_eq!(sent, 2 * payload, "{role:?}");
        assert_eq!(stream.io.outgoing.len(), 2 * (payload + OVERHEAD));
        for record in stream.io.outgoing.chunks_mut(payload + OVERHEAD) {
            assert_eq!(opener.open_in_place(record).unwrap(), vec![7; payload]);
        }

        stream.io.outgoing.clear();
        assert_exhausted(stream.write(b"one more"));
        // The socket's direction ends all the same, once.
        for _ in 0..2 {
            assert_exhausted(stream.channel.shutdown(&mut stream.io));
            assert_exhausted(stream.write(b"one more"));
            assert_exhausted(stream.try_close());
        }
        assert_eq!(stream.io.ended, 1);
        assert!(stream.io.outgoing.is_empty(), "nothing leaves after the limit");
        assert_eq!(stream.channel.terms().pool.stats().beyond_cap_buffers, 0);
    }
}

#[test]
fn the_only_key_of_the_plain_protocol_opens_8_388_608_records_and_no_more() {
    for role in [Role::Client, Role::Server] {
        let (mut stream, mut sealer, _) = stream(PLAIN, role, LIMIT - 1);
        for text in [&b"last"[..], b"none"] {
            let mut record = vec![0; text.len() + OVERHEAD];
            sealer.seal(text, &mut record).unwrap();
            stream.io.incoming.extend(record);
        }
        let mut received = [0; 100];
        assert_eq!(stream.read(&mut received).unwrap(), 4, "{role:?}");
        assert_eq!(&received[..4], b"last");
        for _ in 0..2 {
            assert_exhausted(stream.read(&mut received));
        }
        // The other direction has its own.
        assert_eq!(stream.write(b"still").unwrap(), 5);
    }
}

#[test]
fn with_rekeying_there_is_no_such_limit() {
    for role in [Role::Client, Role::Server] {
        let (mut stream, mut sealer, mut opener) = stream(REKEY, role, LIMIT - 1);
        let mut received = [0; 100];
        for text in [&b"last"[..], b"next", b"more"] {
            let mut record = vec![0; text.len() + OVERHEAD];
            sealer.seal(text, &mut record).unwrap();
            stream.io.incoming.extend(record);
            assert_eq!(stream.read(&mut received).unwrap(), 4, "{role:?}");
            assert_eq!(stream.write(text).unwrap(), 4);
            let mut sent = std::mem::take(&mut stream.io.outgoing);
            assert_eq!(opener.open_in_place(&mut sent).unwrap(), text);
        }
    }
}

/// One record of the peer.
fn sealed(sealer: &mut Sealer, text: &[u8]) -> Vec<u8> {
    let mut record = vec![0; text.len() + OVERHEAD];
    sealer.seal(text, &mut record).unwrap();
    record
}

#[test]
fn records_are_as_long_as_both_sides_take_and_no_longer() {
    const KIB: u32 = 1 << 10;
    let result = handshake(REKEY, Role::Client);
    let largest = crate::record::MAX_LENGTH;
    for (ours, theirs, frame) in [
        (0, 64 * KIB, 4 * KIB),
        (8 * KIB, 64 * KIB, 8 * KIB),
        (64 * KIB, 8 * KIB, 8 * KIB),
        (64 * KIB, 1, 4 * KIB),
        (u32::MAX, u32::MAX, largest),
        // A peer that states nothing.
        (64 * KIB, 0, 16 * KIB),
        (8 * KIB, 0, 8 * KIB),
    ] {
        let mut negotiated = Negotiated::of(&result);
        negotiated.peer_max_frame_size = theirs;
        let options = StreamOptions { max_frame_size: ours, ..StreamOptions::default() };
        let terms = Terms::new(negotiated, BufferPool::new(), options, None);
        assert_eq!(terms.max_payload() + OVERHEAD, frame as usize, "{ours}, {theirs}");
    }
}
