//! What one read gives.

use std::io::Read;

use alts_handshaker::Role;

use super::{REKEY, sealed, stream};
use crate::error::Error;
use crate::ready::TryReadyReader;
use crate::record::RecordError;

#[test]
fn one_read_takes_all_records_that_are_here() {
    let (mut stream, mut sealer, _) = stream(REKEY, Role::Client, 0);
    let mut received = [0; 100];
    for _ in 0..2 {
        let records = [&b"one, "[..], b"two, ", b"three"].map(|text| sealed(&mut sealer, text));
        stream.io.incoming.extend(records.concat());
        assert_eq!(stream.read(&mut received).unwrap(), 15);
        assert_eq!(&received[..15], b"one, two, three");
    }
    let records = [&b"four, "[..], b"five, ", b"six"].map(|text| sealed(&mut sealer, text));
    stream.io.incoming.extend(records.concat());
    let pool = stream.channel.terms().pool.clone();
    let buffer = stream.try_read_on_ready(&pool).unwrap().unwrap();
    assert_eq!(*buffer, *b"four, five, six");
}

#[test]
fn what_was_opened_before_a_failure_is_delivered_first() {
    let (mut stream, mut sealer, _) = stream(REKEY, Role::Client, 0);
    let mut records = [&b"good"[..], b"altered", b"good"].map(|text| sealed(&mut sealer, text));
    *records[1].last_mut().unwrap() ^= 1;
    stream.io.incoming.extend(records.concat());
    let pool = stream.channel.terms().pool.clone();
    let buffer = stream.try_read_on_ready(&pool).unwrap().unwrap();
    assert_eq!(*buffer, *b"good");
    drop(buffer);
    for _ in 0..2 {
        let failed = stream.try_read_on_ready(&pool).unwrap_err();
        assert_eq!(Error::of(&failed), Some(&Error::Record(RecordError::Authentication)));
        assert_eq!(pool.stats().in_use_buffers, 0);
    }
}
