//! Streams whose counters stand where no test could bring them by sending.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::SystemTime;

use alts_handshaker::dev_ca::DevCa;
use alts_handshaker::identity::Policy;
use alts_handshaker::{HandshakeOptions, HandshakeResult, LocalHandshaker, RecordProtocol, Role};

use super::moving::Moving;
use super::{AltsStream, Channel, Negotiated, StreamOptions, Terms};
use crate::error::{Error, Fault};
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
    failing: bool,
    /// How often the sending direction was ended.
    ended: usize,
}

/// A socket that can be asked to end its sending direction.
impl Sink for Ends {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        Write::write(self, buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn shutdown(&mut self) -> io::Result<()> {
        self.ended += 1;
        Ok(())
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
        self.outgoing.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
    let mut result = handshake(protocol, role);
    let key = result.key_data.as_bytes().to_vec();
    let terms = Terms {
        negotiated: Negotiated::of(&result),
        pool: BufferPool::new(),
        options: StreamOptions::default(),
    };
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
fn expanded_keys_go_with_the_connection() {
    let (mut whole, _, _) = stream(REKEY, Role::Client, 0);
    whole.write_all(b"something").unwrap();
    assert_eq!(Moving::kept_by_thread(), 1);
    drop(whole);
    assert_eq!(Moving::kept_by_thread(), 0);

    // The directions in different epochs, and each of them by itself.
    let (mut whole, _, _) = stream(REKEY, Role::Client, 0);
    whole.channel.sending.set_counter(counter(Role::Client, 1 << 16));
    let mut peer = stream(REKEY, Role::Client, 0);
    peer.0.channel.sending.set_counter(counter(Role::Client, 1 << 16));
    let record = sealed(&mut peer.1, b"an answer");
    peer.0.io.incoming.extend(record);
    assert_eq!(peer.0.read(&mut [0; 100]).unwrap(), 9);
    peer.0.write_all(b"something").unwrap();
    whole.write_all(b"something").unwrap();
    assert_eq!(Moving::kept_by_thread(), 2);
    drop(peer);
    assert_eq!(Moving::kept_by_thread(), 1);
    drop(whole);
    assert_eq!(Moving::kept_by_thread(), 0);
}

#[cfg(feature = "tokio")]
#[test]
fn expanded_keys_go_with_each_half() {
    let (stream, mut sealer, _) = stream(REKEY, Role::Client, 0);
    let (mut io, (mut receiver, mut sender)) = (stream.io, stream.channel.split());
    sender.write(&mut io, &[io::IoSlice::new(b"something")]).unwrap();
    sender.sending.set_counter(counter(Role::Client, 1 << 16));
    sender.write(&mut io, &[io::IoSlice::new(b"something")]).unwrap();
    io.incoming.extend(sealed(&mut sealer, b"an answer"));
    let source = &mut crate::ready::NonBlocking(&mut io);
    assert_eq!(receiver.read(source, 100, |_| ()).unwrap(), 9);
    assert!(Moving::kept_by_thread() > 0);
    drop((receiver, sender));
    assert_eq!(Moving::kept_by_thread(), 0);
}

#[test]
fn a_part_that_waits_in_a_buffer_keeps_no_expanded_keys() {
    let (mut stream, mut sealer, _) = stream(REKEY, Role::Client, 0);
    let mut records = sealed(&mut sealer, b"first");
    records.extend(&sealed(&mut sealer, &[7; 8_000])[..6_000]);
    stream.io.incoming.extend(records);
    let mut received = [0; 100];
    assert_eq!(stream.read(&mut received).unwrap(), 5);
    assert!(stream.channel.moving.as_ref().unwrap().has_keys());
    assert_eq!(stream.read(&mut received).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert!(!stream.channel.moving.as_ref().unwrap().has_keys());
    assert_eq!(stream.channel.terms().pool.stats().in_use_buffers, 1);
}

#[test]
fn a_failure_drops_the_part_that_has_arrived() {
    for (len, partial) in [(100, 100), (6_000, 0)] {
        let (mut stream, mut sealer, _) = stream(REKEY, Role::Client, 0);
        stream.io.incoming.extend(&sealed(&mut sealer, &[7; 8_000])[..len]);
        let mut received = [0; 100];
        let waits = stream.read(&mut received).unwrap_err();
        assert_eq!(waits.kind(), io::ErrorKind::WouldBlock);
        assert!(stream.stall_deadline().is_some() == (len > 4_096));
        let held = |stream: &AltsStream<Ends>| {
            stream.channel.held.as_ref().map_or(0, |held| held.arrived.partial_len())
        };
        assert_eq!(held(&stream), partial);
        stream.io.failing = true;
        for _ in 0..2 {
            let failed = stream.read(&mut received).unwrap_err();
            assert_eq!(failed.kind(), io::ErrorKind::ConnectionReset);
        }
        assert_eq!(held(&stream), 0);
        assert!(stream.channel.moving.is_none() && stream.stall_deadline().is_none());
        assert_eq!(stream.channel.terms().pool.stats().in_use_buffers, 0);
    }
}
