//! What keys cost. A connection that wakes from idle expands its AES key before the first byte is opened; every 65,536 records
//! a new one is derived (an HMAC) and expanded.
//!
//! Each is measured with an empty record, since that is when keys are made; "the key at hand" is the record alone. rustls
//! changes keys when it is asked to: a `KeyUpdate` record, and on each side HKDF for a new secret, key and nonce.

#[path = "handshake/certificates.rs"]
mod certificates;
#[path = "handshake/connected.rs"]
mod connected;
mod harness;
#[path = "handshake/tls.rs"]
mod tls;

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use alts::handshaker::{RecordProtocol, Role};
use alts::record::{Counter, OVERHEAD, Opener, Sealer};
use criterion::{BatchSize, Criterion};

use certificates::{Certificates, p256_key};
use tls::Tls;

const KEY: [u8; 44] = [7; 44];
const PROTOCOL: RecordProtocol = RecordProtocol::Aes128GcmRekey;
/// The last record of the first epoch that a client sends.
const LAST_OF_EPOCH: [u8; 12] = [0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
/// Somewhere in a later epoch.
const LATER: [u8; 12] = [1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];

fn main() {
    harness::run(&[from_key_data, expansion, rekeying]);
}

/// What a handshake ends with.
fn from_key_data(criterion: &mut Criterion) {
    criterion.bench_function("keys/from a handshake's key data", |bencher| {
        bencher.iter(|| Sealer::new(PROTOCOL, &KEY, Role::Client).expect("keys"));
    });
}

fn expansion(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("keys/empty record sealed");
    group.bench_function("the key at hand", |bencher| {
        let mut sealer = sealer([0; 12]);
        bencher.iter(|| seal(&mut sealer));
    });
    for (name, counter) in [("key expanded", [0; 12]), ("key derived and expanded", LATER)] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(|| sealer(counter), seal, BatchSize::SmallInput);
        });
    }
    group.finish();
}

fn rekeying(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("keys/rekey");
    // The keys of the epoch that ends are in use.
    let before = || {
        let (mut sealer, mut opener) = (sealer(LAST_OF_EPOCH), opener(LAST_OF_EPOCH));
        let mut record = seal(&mut sealer);
        opener.open_in_place(&mut record).expect("a good record");
        (sealer, opener)
    };
    group.bench_function("alts, sender", |bencher| {
        bencher.iter_batched_ref(before, |(sealer, _)| seal(sealer), BatchSize::SmallInput);
    });
    group.bench_function("alts, receiver", |bencher| {
        let with_record = || {
            let (mut sealer, opener) = before();
            (seal(&mut sealer), opener)
        };
        bencher.iter_batched_ref(
            with_record,
            |(record, opener)| opener.open_in_place(record).expect("a good record").len(),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("alts, both", |bencher| {
        bencher.iter_batched_ref(
            before,
            |(sealer, opener)| {
                let mut record = seal(sealer);
                opener.open_in_place(&mut record).expect("a good record").len()
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("rustls KeyUpdate, both", |bencher| {
        let tls = Tls::new(&Certificates::new(p256_key));
        let (mut sender, mut receiver) = connected::connected(&tls);
        let mut flight = Vec::new();
        bencher.iter_custom(|iterations| {
            let mut elapsed = Duration::ZERO;
            for _ in 0..iterations {
                let start = Instant::now();
                sender.refresh_traffic_keys().expect("TLS 1.3");
                connected::transfer(&mut sender, &mut receiver, &mut flight);
                elapsed += start.elapsed();
                // rustls ends a connection on which nothing but such records arrives.
                sender.writer().write_all(&[0]).expect("room");
                connected::transfer(&mut sender, &mut receiver, &mut flight);
                receiver.reader().read_exact(&mut [0]).expect("a byte");
            }
            elapsed
        });
    });
    group.finish();
}

fn sealer(counter: [u8; 12]) -> Sealer {
    Sealer::with_counter(PROTOCOL, &KEY, Counter::from_bytes(counter)).expect("keys")
}

fn opener(counter: [u8; 12]) -> Opener {
    Opener::with_counter(PROTOCOL, &KEY, Counter::from_bytes(counter)).expect("keys")
}

fn seal(sealer: &mut Sealer) -> [u8; OVERHEAD] {
    let mut record = [0; OVERHEAD];
    sealer.seal(&[], &mut record).expect("a record");
    record
}
