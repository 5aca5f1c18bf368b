//! Sealing and opening records in memory, beside rustls with the same cipher from the same library.
//!
//! alts is measured with one record of the given size, as a caller of `alts::record` would make it, and beyond 16 KiB also
//! in records of 16 KiB, which is what its streams send unless told otherwise and the most that TLS has; with the feature
//! `aws-lc-rs` all of that once more with AWS-LC. rustls, with *ring*, is measured twice:
//!
//! * *rustls buffered*: `writer` and `write_tls` to seal; `read_tls`, `process_new_packets` and `reader` to open. It is what
//!   `tokio-rustls` does.
//! * *rustls unbuffered*: its API of slices, which is the nearest to `Sealer` and `Opener`.
//!
//! All start from plaintext in memory of the caller and end with records in memory of the caller, and the other way round;
//! only unbuffered rustls leaves the plaintext in memory of its own.

#[path = "record/buffered.rs"]
mod buffered;
#[path = "handshake/certificates.rs"]
mod certificates;
#[path = "handshake/connected.rs"]
mod connected;
mod harness;
#[path = "handshake/tls.rs"]
mod tls;
#[path = "record/unbuffered.rs"]
mod unbuffered;

use std::hint::black_box;
use std::time::{Duration, Instant};

use alts::handshaker::{RecordProtocol, Role};
use alts::record::{AeadProvider, HEADER_LEN, OVERHEAD, Opener, Sealer};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput};

use certificates::{Certificates, p256_key};
use tls::Tls;

const KEY: [u8; 44] = [7; 44];
const PROTOCOL: RecordProtocol = RecordProtocol::Aes128GcmRekey;
const SIZES: [usize; 6] = [64, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 128 << 10];
/// The plaintext of a TLS record, at most.
const TLS_RECORD: usize = 16 << 10;
/// Records that are sealed before they are opened: so many bytes that they are still in the cache, as received ones would be.
const BATCH: usize = 256 << 10;
const ALIGNMENT: usize = 64;
/// Room for what a TLS record adds.
const TLS_OVERHEAD: usize = 64;

fn main() {
    harness::run(&[seal, open]);
}

fn seal(criterion: &mut Criterion) {
    let tls = Tls::new(&Certificates::new(p256_key));
    for (direction, sender) in directions() {
        let mut group = criterion.benchmark_group(format!("seal, {direction}"));
        for size in SIZES {
            let plaintext = vec![0x5A; size];
            group.throughput(Throughput::Bytes(size as u64));
            for (name, record, aead) in alts_records(size) {
                group.bench_function(BenchmarkId::new(name, size), |bencher| {
                    let sealer = Sealer::new(PROTOCOL, &KEY, sender).expect("keys");
                    let mut sealer = sealer.with_aead(aead);
                    let mut room = vec![0; size + size / record * OVERHEAD + ALIGNMENT];
                    let out = aligned(&mut room);
                    bencher.iter(|| seal_all(&mut sealer, &plaintext, record, out));
                });
            }
            group.bench_function(BenchmarkId::new("rustls buffered", size), |bencher| {
                let (mut sender, _) = by_direction(sender, connected::connected(&tls));
                let mut out = Vec::with_capacity(tls_room(size));
                bencher.iter(|| buffered::seal(&mut sender, &plaintext, &mut out));
            });
            group.bench_function(BenchmarkId::new("rustls unbuffered", size), |bencher| {
                let (mut sender, _) = by_direction(sender, unbuffered::connected(&tls));
                let mut out = vec![0; tls_room(size)];
                bencher.iter(|| sender.seal(&plaintext, &mut out));
            });
        }
        group.finish();
    }
}

fn open(criterion: &mut Criterion) {
    let tls = Tls::new(&Certificates::new(p256_key));
    for (direction, sender) in directions() {
        let mut group = criterion.benchmark_group(format!("open, {direction}"));
        for size in SIZES {
            let plaintext = vec![0x5A; size];
            group.throughput(Throughput::Bytes(size as u64));
            for (name, record, aead) in alts_records(size) {
                let sealer = Sealer::new(PROTOCOL, &KEY, sender).expect("keys");
                let opener = Opener::new(PROTOCOL, &KEY, sender.peer()).expect("keys");
                let (mut sealer, mut opener) = (sealer.with_aead(aead), opener.with_aead(aead));
                bench_opening(
                    &mut group,
                    BenchmarkId::new(name, size),
                    &mut |out| {
                        out.resize(size + size / record * OVERHEAD, 0);
                        seal_all(&mut sealer, &plaintext, record, out);
                    },
                    &mut |records| opener.open_packed(records).expect("good records").plaintext,
                );
            }
            let (mut from, mut to) = by_direction(sender, connected::connected(&tls));
            let mut opened = vec![0; size];
            bench_opening(
                &mut group,
                BenchmarkId::new("rustls buffered", size),
                &mut |out| buffered::seal(&mut from, &plaintext, out),
                &mut |records| buffered::open(&mut to, records, &mut opened),
            );
            let (mut from, mut to) = by_direction(sender, unbuffered::connected(&tls));
            bench_opening(
                &mut group,
                BenchmarkId::new("rustls unbuffered", size),
                &mut |out| {
                    out.resize(tls_room(size), 0);
                    let written = from.seal(&plaintext, out);
                    out.truncate(written);
                },
                &mut |records| to.open(records),
            );
        }
        group.finish();
    }
}

/// Times `open` alone. Records can only be opened in the order in which they were sealed, so they are made in batches.
fn bench_opening(
    group: &mut BenchmarkGroup<'_, WallTime>,
    id: BenchmarkId,
    seal: &mut dyn FnMut(&mut Vec<u8>),
    open: &mut dyn FnMut(&mut [u8]) -> usize,
) {
    let mut batch = Vec::new();
    group.bench_function(id, |bencher| {
        bencher.iter_custom(|iterations| {
            let mut left = iterations;
            let mut elapsed = Duration::ZERO;
            while left > 0 {
                if batch.is_empty() {
                    // How long the records are is known once there is one.
                    let mut first = Vec::new();
                    seal(&mut first);
                    let more = BATCH / first.len();
                    batch.push(first);
                    batch.extend((1..more).map(|_| Vec::new()));
                    batch[1..].iter_mut().for_each(&mut *seal);
                } else {
                    batch.iter_mut().for_each(&mut *seal);
                }
                let start = Instant::now();
                for records in &mut batch {
                    black_box(open(records));
                }
                let done = batch.len() as u64;
                // The last batch may be more than was asked for.
                let counted = done.min(left);
                elapsed += start.elapsed().mul_f64(counted as f64 / done as f64);
                left -= counted;
            }
            elapsed
        });
    });
}

/// The sender, by the direction's name.
fn directions() -> [(&'static str, Role); 2] {
    [("client to server", Role::Client), ("server to client", Role::Server)]
}

/// Sender and receiver, of client and server.
fn by_direction<T>(sender: Role, (client, server): (T, T)) -> (T, T) {
    match sender {
        Role::Client => (client, server),
        Role::Server => (server, client),
    }
}

/// The part of `room` in which the first record's payload is aligned, as it is in the buffers of streams. Some processors copy
/// many times slower between places that differ by 1 to 15 bytes modulo 4,096, which the allocator's large blocks and a header
/// of 8 bytes would do.
fn aligned(room: &mut [u8]) -> &mut [u8] {
    let payload = room[HEADER_LEN..].as_ptr().align_offset(ALIGNMENT);
    &mut room[payload..]
}

/// How alts divides `size` bytes, and whose cryptography it has: names, sizes of the records, providers.
fn alts_records(size: usize) -> impl Iterator<Item = (String, usize, AeadProvider)> {
    let divided = (size > TLS_RECORD).then_some(("records of 16 KiB", TLS_RECORD));
    let ways = [("one record", size)].into_iter().chain(divided);
    ways.flat_map(|(way, record)| {
        AeadProvider::ALL.iter().map(move |&aead| {
            let whose = match aead {
                AeadProvider::Ring => String::new(),
                other => format!(" ({other:?})"),
            };
            (format!("alts, {way}{whose}"), record, aead)
        })
    })
}

fn seal_all(sealer: &mut Sealer, plaintext: &[u8], record: usize, out: &mut [u8]) -> usize {
    let mut written = 0;
    for piece in plaintext.chunks(record) {
        written += sealer.seal(piece, &mut out[written..]).expect("a record");
    }
    written
}

fn tls_room(size: usize) -> usize {
    size + size.div_ceil(TLS_RECORD) * TLS_OVERHEAD
}
