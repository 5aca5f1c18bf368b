//! Header compression against what others wrote: the RFC's examples, blocks and tables of Python's `hpack`, and the h2 crate at the
//! other end of a connection. `tests/hpack/run` makes new blocks and has Python read ours.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod h2;
mod python;
mod rfc;

use alts::http2::hpack::{Decoder, HpackError};

type Field = (Vec<u8>, Vec<u8>);

fn decode(decoder: &mut Decoder, block: &[u8]) -> Result<Vec<Field>, HpackError> {
    let mut fields = Vec::new();
    decoder.decode(block, usize::MAX, |name, value| fields.push((name.into(), value.into())))?;
    Ok(fields)
}

fn from_hex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2));
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
        .collect()
}
