//! What a stream keeps while nothing moves.

use std::io::{self, Read, Write};

use alts_handshaker::Role;

use super::super::AltsStream;
#[cfg(feature = "tokio")]
use super::super::Channel;
use super::super::moving::Moving;
use super::given::Given;
use super::{Ends, REKEY, counter, sealed, stream};
use crate::record::OVERHEAD;

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

#[test]
fn an_idle_stream_has_no_box_of_rare_states() {
    let (mut stream, mut sealer, _) = stream(REKEY, Role::Server, 0);
    let record = sealed(&mut sealer, &[7; 1_000]);
    stream.io.incoming.extend(&record[..500]);
    let mut received = [0; 2_000];
    assert_eq!(stream.read(&mut received).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert!(stream.channel.held.is_some(), "half a record");
    stream.io.incoming.extend(&record[500..]);
    assert_eq!(stream.read(&mut received).unwrap(), 1_000);
    assert!(stream.channel.held.is_none());

    stream.io.room = Some(10);
    stream.write_all(b"an answer").unwrap();
    assert!(stream.wants_write() && stream.channel.held.is_some(), "what the kernel refused");
    stream.io.room = None;
    // A reader sends it, too.
    assert_eq!(stream.read(&mut received).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    assert!(!stream.wants_write() && stream.channel.held.is_none());
    assert_eq!(stream.io.outgoing.len(), 9 + OVERHEAD);

    #[cfg(feature = "tokio")]
    {
        let (mut io, (receiver, sender)) = (stream.io, stream.channel.split());
        assert!(receiver.held.is_none() && sender.held.is_none());
        let whole = Channel::join(receiver, sender);
        assert!(whole.held.is_none());
        let (mut receiver, _sender) = whole.split();
        let record = sealed(&mut sealer, &[7; 1_000]);
        for (part, held) in [(&record[..500], true), (&record[500..], false)] {
            io.incoming.extend(part);
            let source = &mut crate::ready::NonBlocking(&mut io);
            assert_eq!(receiver.read(source, 2_000, |_| ()).is_err(), held);
            assert_eq!(receiver.held.is_some(), held);
        }
    }
}

#[test]
fn what_the_kernel_refuses_is_sent_by_a_flush() {
    let (mut stream, _, mut opener) = stream(REKEY, Role::Client, 0);
    stream.io.room = Some(20);
    stream.write_all(b"a request").unwrap();
    assert!(stream.wants_write());
    assert_eq!(stream.flush().unwrap_err().kind(), io::ErrorKind::WouldBlock);
    stream.io.room = Some(9 + OVERHEAD);
    stream.flush().unwrap();
    assert!(!stream.wants_write());
    let mut sent = std::mem::take(&mut stream.io.outgoing);
    assert_eq!(opener.open_in_place(&mut sent).unwrap(), b"a request");
}

/// Each buffer has 512 bytes more than its name, so that a record of twice a buffer's name fits the next one, and twice a buffer does not.
#[test]
fn a_record_grows_into_the_smallest_buffer_that_holds_it() {
    let (mut stream, mut sealer, _) = stream(REKEY, Role::Client, 0);
    let record = sealed(&mut sealer, &vec![7; 50_000]);
    stream.io.incoming.extend(&record[..40_000]);
    assert_eq!(stream.read(&mut [0; 100]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    let stats = stream.channel.terms().pool.stats();
    assert_eq!(stats.in_use_bytes, (64 << 10) + 512);
    assert_eq!(stats.high_water_bytes, (32 << 10) + 512 + (64 << 10) + 512);
}

#[test]
fn what_comes_with_the_handshake_waits_exactly_or_in_its_buffer() {
    for (len, buffers) in [(4_096, 0), (4_097, 1)] {
        let (mut stream, mut sealer, _) = stream(REKEY, Role::Client, 0);
        let record = sealed(&mut sealer, &[7; 8_000]);
        let pool = stream.channel.terms().pool.clone();
        let mut received = pool.take(len).unwrap();
        received.set_range(0..len);
        received.copy_from_slice(&record[..len]);
        stream.channel.preload(received);
        assert_eq!(pool.stats().in_use_buffers, buffers, "{len}");
        let exact = stream.channel.held.as_ref().map_or(0, |held| held.arrived.partial_len());
        assert_eq!(exact, if buffers == 0 { len } else { 0 });
        stream.io.incoming.extend(&record[len..]);
        let mut plaintext = [0; 8_000];
        assert_eq!(stream.read(&mut plaintext).unwrap(), 8_000);
        assert_eq!(plaintext, [7; 8_000]);
    }
}

#[test]
fn a_failure_drops_the_expanded_keys() {
    let (mut stream, mut sealer, _) = stream(REKEY, Role::Client, 0);
    stream.io.incoming.extend(sealed(&mut sealer, b"good"));
    let mut received = [0; 100];
    assert_eq!(stream.read(&mut received).unwrap(), 4);
    assert_eq!(Moving::kept_by_thread(), 1);
    let mut altered = sealed(&mut sealer, b"altered");
    *altered.last_mut().unwrap() ^= 1;
    stream.io.incoming.extend(altered);
    stream.read(&mut received).unwrap_err();
    assert_eq!(Moving::kept_by_thread(), 0);
}

#[test]
fn the_time_of_a_part_stands_still_while_it_waits_for_memory() {
    let (mut stream, mut sealer, _) = stream(REKEY, Role::Client, 0);
    let record = sealed(&mut sealer, &vec![7; 100_000]);
    stream.io.incoming.extend(&record[..40_000]);
    for starved in [true, false] {
        let source = &mut Given { io: Some(&mut stream.io), starved };
        let waits = stream.channel.read(source, 100_000, |_| ()).unwrap_err();
        assert_eq!(waits.kind(), io::ErrorKind::WouldBlock);
        let stall = stream.channel.held.as_ref().and_then(|held| held.arrived.stall()).unwrap();
        assert_eq!(stall.is_paused(), starved);
    }
}
