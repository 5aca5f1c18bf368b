//! The fields of a gRPC request, and how they are encoded.

use alts::http2::hpack::encode;

pub(crate) const FIELDS: [(&str, &str); 9] = [
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

/// The fields as literals in Huffman code that are to be remembered.
pub(crate) fn remembered() -> Vec<u8> {
    from_hex(HUFFMAN)
}

/// The same, not to be remembered, so that each block is decoded anew.
pub(crate) fn literal() -> Vec<u8> {
    let mut block = remembered();
    forget(&mut block);
    block
}

/// The fields that were remembered, and whose names and values are in the table.
pub(crate) fn indexed() -> Vec<u8> {
    from_hex(INDEXED)
}

/// As alts encodes them: literals without a code.
pub(crate) fn encode_all(out: &mut Vec<u8>) {
    for (name, value) in FIELDS {
        encode::field(out, name.as_bytes(), value.as_bytes());
    }
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
