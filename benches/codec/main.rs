//! What it costs to read frames and header blocks: alts beside the h2 crate.
//!
//! ```text
//! cargo run --release --manifest-path benches/codec/Cargo.toml --target-dir target/codec
//! ```
//!
//! Both read from memory, as from a socket that has everything ready: alts into a buffer of 32 KiB, h2's codec into its own. DATA is
//! handed up as a slice by both. A header block is decoded to names and values; h2 makes a map of the `http` crate of them at once,
//! so its figure has that in it. Of alts there is also what the block alone takes, without reading and without a frame. The peers take
//! turns, and each figure is the least of many, which what else the machine does can only raise.

#[path = "../hpack/blocks.rs"]
mod blocks;
mod ours;
mod theirs;
#[expect(dead_code, reason = "nothing here is to be large")]
#[path = "../shared/verdicts.rs"]
mod verdicts;

use std::time::Instant;

use alts::http2::frame::{Data, Head, Kind, flag};
use alts::http2::hpack::{DEFAULT_TABLE_SIZE, Decoder};

use blocks::{encode_all, indexed, literal, remembered};
use verdicts::Verdict;

/// Frames in one go.
const FRAMES: usize = 2_000;
const ROUNDS: usize = 51;

/// Decodes so many frames, and answers how many bytes of payloads, or of names and values, it has seen.
trait Peer {
    fn run(&mut self, frames: usize) -> usize;
}

fn main() {
    let data = |len: usize| {
        let mut wire = Vec::new();
        Data::head(1, len, false).write(&mut wire);
        wire.resize(Head::LEN + len, 0x5A);
        wire
    };
    let (small, _) = both("DATA of 64 B", &[], &data(64), 64);
    let (large, _) = both("DATA of 1 KiB", &[], &data(1024), 1024);
    let fields = blocks::FIELDS.iter().map(|(name, value)| name.len() + value.len()).sum();
    let mut raw = Vec::new();
    encode_all(&mut raw);
    let first = headers(&remembered());
    both("HEADERS, raw literals", &[], &headers(&raw), fields);
    both("HEADERS, Huffman literals", &[], &headers(&literal()), fields);
    both("HEADERS, indexed", &first, &headers(&indexed()), fields);
    alone("the block alone, raw literals", &[], &raw, fields);
    let huffman = alone("the block alone, Huffman", &[], &literal(), fields);
    let indexed = alone("the block alone, indexed", &remembered(), &indexed(), fields);
    let verdicts = [
        Verdict::at_most("a frame of DATA of 64 B, ns", small, 20.0, None),
        Verdict::at_most("a frame of DATA of 1 KiB, ns", large, 60.0, None),
        Verdict::at_most("a gRPC request's fields, Huffman code, ns", huffman, 500.0, None),
        Verdict::at_most("a gRPC request's fields, indexed, ns", indexed, 100.0, None),
    ];
    println!("\n{}", verdicts::table(&verdicts));
}

fn headers(block: &[u8]) -> Vec<u8> {
    let flags = flag::END_HEADERS | flag::END_STREAM;
    let mut wire = Vec::new();
    Head { len: block.len() as u32, kind: Kind::Headers, flags, stream: 1 }.write(&mut wire);
    wire.extend_from_slice(block);
    wire
}

/// Nanoseconds a frame, of alts and of h2. Each has read `before` first.
fn both(what: &str, before: &[u8], frame: &[u8], bytes: usize) -> (f64, f64) {
    let mut ours = ours::Ours::new(before, frame);
    let mut theirs = theirs::Theirs::new(before, frame);
    let (mut our_times, mut their_times) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        our_times.push(time(&mut ours, bytes));
        their_times.push(time(&mut theirs, bytes));
    }
    let (ours, theirs) = (least(&our_times), least(&their_times));
    println!("{what:<32} alts {ours:>8.1} ns   h2 {theirs:>8.1} ns");
    (ours, theirs)
}

/// Nanoseconds that a header block alone takes, of alts, by a decoder that has read `before` first.
fn alone(what: &str, before: &[u8], block: &[u8], bytes: usize) -> f64 {
    let mut decoder = Decoder::new(DEFAULT_TABLE_SIZE);
    let mut decode = |block: &[u8]| {
        let mut seen = 0;
        let listed =
            decoder.decode(block, 16 << 10, |name, value| seen += name.len() + value.len());
        listed.expect("fields");
        seen
    };
    decode(before);
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let seen: usize = (0..FRAMES).map(|_| decode(std::hint::black_box(block))).sum();
        times.push(begun.elapsed().as_nanos() as f64 / FRAMES as f64);
        assert_eq!(seen, bytes * FRAMES, "the fields are not what was sent");
    }
    let nanos = least(&times);
    println!("{what:<32} alts {nanos:>8.1} ns");
    nanos
}

fn least(times: &[f64]) -> f64 {
    times.iter().copied().fold(f64::INFINITY, f64::min)
}

fn time(peer: &mut impl Peer, bytes: usize) -> f64 {
    let begun = Instant::now();
    let seen = peer.run(FRAMES);
    let nanos = begun.elapsed().as_nanos() as f64 / FRAMES as f64;
    assert_eq!(seen, bytes * FRAMES, "the frames are not what was sent");
    nanos
}
