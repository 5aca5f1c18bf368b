//! Sealed messages end with zeros, so that their size tells little about what is in them.

use super::codec::{Reader, vector16};
use super::protocol::PADDING_UNIT;
use crate::error::Error;

/// Reads the padding, which ends a plaintext of `len` bytes: as few zeros as fill the last unit.
pub(super) fn load(reader: &mut Reader<'_>, len: usize) -> Result<(), Error> {
    let padding = reader.vector16()?.rest();
    reader.finish()?;
    let least = padding.len() < PADDING_UNIT && len.is_multiple_of(PADDING_UNIT);
    // Compared as a whole, which is faster than byte by byte.
    if !least || *padding != [0; PADDING_UNIT][..padding.len()] {
        return Err(reader.error("has bad padding"));
    }
    Ok(())
}

/// Writes the least padding that fills the last unit. `out` holds the whole plaintext so far.
pub(super) fn encode(out: &mut Vec<u8>) {
    let padded = (out.len() + 2).next_multiple_of(PADDING_UNIT);
    vector16(out, |out| out.resize(padded, 0));
}
