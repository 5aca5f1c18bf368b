//! Header compression: the fields of a gRPC request, decoded and encoded.
//!
//! The h2 crate's is private and therefore not beside it; measured inside a copy of it, the same blocks took 1,149 ns with Huffman
//! code and 490 ns indexed (h2 0.4.20, a machine in November 2026), its `http` types included.

mod harness;

use std::hint::black_box;

use alts::http2::hpack::{Decoder, encode};
use criterion::Criterion;

const FIELDS: [(&str, &str); 9] = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/grpc.examples.echo.Echo/UnaryEcho"),
    (":authority", "echo.example.org:50051"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
    ("user-agent", "tonic/0.14.9"),
    ("grpc-timeout", "5000000u"),
    ("grpc-accept-encoding", "identity,deflate,gzip"),
];

/// The fields as another implementation sends them for the first time on a connection: as literals in Huffman code, which are to
/// be remembered.
const HUFFMAN: &str = "83864499626b2b22e5f23a6ba0a85ca49cebe024e7638543b3d6024e7f419029273ae5f23a6ba0ab9ec9ae3600361f408249\
    7f864d833505b11f5f8b1d75d0620d263d4c4d65647a8949ea311802e16977ff40899acac8b24d494f6a7f866c0000000b7f\
    408e9acac8b0c842d6958b510f21aa9b903485a9264fafa90b2d03497ea6f66aff";
/// And when all of them are remembered.
const INDEXED: &str = "8386c4c3c2c1c0bfbe";

fn main() {
    harness::run(&[decoding, encoding]);
}

fn decoding(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("hpack/decode");
    let first = from_hex(HUFFMAN);
    let indexed = from_hex(INDEXED);
    let mut raw = Vec::new();
    encode_all(&mut raw);
    let mut remembering = Decoder::new(4_096);
    check(&mut remembering, &first);

    // Literals that are not to be remembered, so that each block is decoded anew.
    let mut literal = first.clone();
    forget(&mut literal);
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

fn encode_all(out: &mut Vec<u8>) {
    for (name, value) in FIELDS {
        encode::field(out, name.as_bytes(), value.as_bytes());
    }
}

fn check(decoder: &mut Decoder, block: &[u8]) {
    let mut expected = FIELDS.iter();
    let listed = decoder.decode(block, 16 << 10, |name, value| {
        let field = expected.next().expect("no more fields than there were");
        assert_eq!((name, value), (field.0.as_bytes(), field.1.as_bytes()));
    });
    assert!(listed.is_ok_and(|listed| !listed.over_limit) && expected.next().is_none());
}

/// Turns literals with incremental indexing into such without: six bits of an index become four, which is exact for what this
/// block has: new names, and the indices below 15.
fn forget(block: &mut Vec<u8>) {
    let mut at = 0;
    while at < block.len() {
        let first = block[at];
        at += 1;
        if first & 0x80 != 0 {
            continue;
        }
        let index = first & 0x3F;
        block[at - 1] = index.min(15);
        if index >= 15 {
            block.insert(at, index - 15);
            at += 1;
        }
        for _ in 0..if index == 0 { 2 } else { 1 } {
            at += 1 + usize::from(block[at] & 0x7F);
        }
    }
}

fn from_hex(text: &str) -> Vec<u8> {
    let digit = |digit: u8| char::from(digit).to_digit(16).expect("a hexadecimal digit") as u8;
    text.as_bytes().chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}
