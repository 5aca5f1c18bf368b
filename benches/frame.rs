//! What it costs to look at the head of a frame: how much of a record is there, and whether it can be one.
//!
//! The parser is private; what is measured is [`Opener::open_packed`] with bytes that hold no whole record, which does nothing
//! but parse. rustls is given as much of a TLS record, by its unbuffered API. It has no rows for bad heads: they end the
//! connection, and another would need a handshake.

#[path = "handshake/certificates.rs"]
mod certificates;
mod harness;
#[path = "handshake/tls.rs"]
mod tls;
#[path = "record/unbuffered.rs"]
mod unbuffered;

use alts::handshaker::{RecordProtocol, Role};
use alts::record::{MAX_LENGTH, MIN_LENGTH, Opener, RECORD_TYPE, RecordError};
use criterion::{BatchSize, Criterion};

use certificates::{Certificates, p256_key};
use tls::Tls;

const KEY: [u8; 44] = [7; 44];
const PROTOCOL: RecordProtocol = RecordProtocol::Aes128GcmRekey;
/// A record of 1,000 bytes is awaited.
const LENGTH: u32 = 1_000;

fn main() {
    harness::run(&[incomplete, incomplete_tls, refused]);
}

fn incomplete(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame/alts");
    let mut record = head(LENGTH, RECORD_TYPE).to_vec();
    record.resize(LENGTH as usize, 0x5A);
    for (name, arrived) in [
        ("nothing", 0),
        ("3 bytes, part of the length", 3),
        ("4 bytes, the length", 4),
        ("7 bytes, part of the type", 7),
        ("8 bytes, a head", 8),
        ("all but 4 bytes", LENGTH as usize),
    ] {
        group.bench_function(name, |bencher| {
            let mut opener = Opener::new(PROTOCOL, &KEY, Role::Server).expect("keys");
            bencher.iter(|| {
                let opened = opener.open_packed(&mut record[..arrived]).expect("a good head");
                assert_eq!(opened.records, 0);
            });
        });
    }
    group.finish();
}

fn incomplete_tls(criterion: &mut Criterion) {
    let tls = Tls::new(&Certificates::new(p256_key));
    let mut group = criterion.benchmark_group("frame/rustls unbuffered");
    let (mut client, mut server) = unbuffered::connected(&tls);
    let mut record = vec![0; LENGTH as usize + 64];
    let written = client.seal(&vec![0x5A; LENGTH as usize], &mut record);
    for (name, arrived) in [
        ("nothing", 0),
        ("3 bytes, part of the head", 3),
        ("5 bytes, a head", 5),
        ("all but 4 bytes", written - 4),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| assert_eq!(server.open(&mut record[..arrived]), 0));
        });
    }
    group.finish();
}

fn refused(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame/alts, refused");
    let (short, long, other) = (MIN_LENGTH - 1, MAX_LENGTH + 1, RECORD_TYPE + 1);
    for (name, mut head, error) in [
        ("too short", head(short, RECORD_TYPE), RecordError::TooShort { length: short }),
        ("too long", head(long, RECORD_TYPE), RecordError::TooLong { length: long }),
        ("another type", head(LENGTH, other), RecordError::WrongType { found: other }),
    ] {
        group.bench_function(name, |bencher| {
            // The first failure is final, so each needs an opener of its own.
            bencher.iter_batched_ref(
                || Opener::new(PROTOCOL, &KEY, Role::Server).expect("keys"),
                |opener| assert_eq!(opener.open_packed(&mut head), Err(error)),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn head(length: u32, record_type: u32) -> [u8; 8] {
    let mut head = [0; 8];
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[4..].copy_from_slice(&record_type.to_le_bytes());
    head
}
