//! Sealing and opening records in memory.

use alts::handshaker::{RecordProtocol, Role};
use alts::record::{Counter, OVERHEAD, Opener, Sealer};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

const KEY: [u8; 44] = [7; 44];
const PROTOCOL: RecordProtocol = RecordProtocol::Aes128GcmRekey;

fn records(criterion: &mut Criterion) {
    for size in [64, 1 << 10, 4 << 10, 16 << 10, 64 << 10, 128 << 10] {
        let plaintext = vec![0x5A; size];
        let mut group = criterion.benchmark_group("record");
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::new("seal", size), |bencher| {
            let mut sealer = Sealer::new(PROTOCOL, &KEY, Role::Client).expect("keys");
            let mut record = vec![0; size + OVERHEAD];
            bencher.iter(|| sealer.seal(&plaintext, &mut record).expect("a record"));
        });
        group.bench_function(BenchmarkId::new("open", size), |bencher| {
            let mut sealer = Sealer::new(PROTOCOL, &KEY, Role::Client).expect("keys");
            let mut opener = Opener::new(PROTOCOL, &KEY, Role::Server).expect("keys");
            let next = || {
                let mut record = vec![0; size + OVERHEAD];
                sealer.seal(&plaintext, &mut record).expect("a record");
                record
            };
            bencher.iter_batched_ref(
                next,
                |record| opener.open_in_place(record).expect("plaintext").len(),
                BatchSize::NumIterations(1),
            );
        });
        group.finish();
    }
}

/// What a wake-up from idle costs before the first byte is opened: expanding the key, and deriving it when the epoch is new.
fn keys(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("key");
    for (name, counter) in [("expand", [0; 12]), ("derive and expand", [1; 12])] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched_ref(
                || {
                    let counter = Counter::from_bytes(counter);
                    Sealer::with_counter(PROTOCOL, &KEY, counter).expect("keys")
                },
                |sealer| sealer.seal(&[], &mut [0; OVERHEAD]).expect("a record"),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, records, keys);
criterion_main!(benches);
