//! Header compression: the fields of a gRPC request, decoded and encoded.
//!
//! `benches/codec` has h2's beside it.

#[path = "hpack/blocks.rs"]
mod blocks;
mod harness;

use std::hint::black_box;

use alts::http2::hpack::Decoder;
use criterion::Criterion;

use blocks::{FIELDS, encode_all, indexed, literal, remembered};

fn main() {
    harness::run(&[decoding, encoding]);
}

fn decoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hpack/decode");
    let (first, indexed, literal) = (remembered(), indexed(), literal());
    let mut raw = Vec::new();
    encode_all(&mut raw);
    let mut remembering = Decoder::new(4_096);
    check(&mut remembering, &first);

    for (name, block) in [
        ("Huffman literals, target 500 ns", &literal),
        ("raw literals", &raw),
        ("indexed, target 100 ns", &indexed),
    ] {
        check(&mut remembering, block);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut bytes = 0;
                let block = black_box(block);
                let listed = remembering.decode(block, 16 << 10, |n, v| bytes += n.len() + v.len());
                black_box((listed, bytes))
            });
        });
    }
    group.bench_function("Huffman literals, remembered by a new connection", |bencher| {
        bencher.iter(|| Decoder::new(4_096).decode(black_box(&first), 16 << 10, |_, _| {}));
    });
    group.finish();
}

fn encoding(criterion: &mut Criterion) {
    let mut out = Vec::with_capacity(512);
    criterion.bench_function("hpack/encode", |bencher| {
        bencher.iter(|| {
            out.clear();
            encode_all(black_box(&mut out));
        });
    });
}

fn check(decoder: &mut Decoder, block: &[u8]) {
    let mut expected = FIELDS.iter();
    let listed = decoder.decode(block, 16 << 10, |name, value| {
        let field = expected.next().expect("no more fields than there were");
        assert_eq!((name, value), (field.0.as_bytes(), field.1.as_bytes()));
    });
    assert!(listed.is_ok_and(|listed| !listed.over_limit) && expected.next().is_none());
}
