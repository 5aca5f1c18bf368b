//! Changes to bytes, as the fuzzer likes.

use crate::choices::Choices;

/// Up to three changes; none if the fuzzer says nothing.
pub(crate) fn edit(choices: &mut Choices<'_>, bytes: &mut Vec<u8>) {
    for _ in 0..choices.below(8).saturating_sub(4) {
        let at = choices.below(bytes.len() + 1);
        let end = bytes.len().min(at + 1 + choices.below(40));
        match choices.below(6) {
            0 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= choices.byte();
                }
            }
            1 => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = choices.pick(&[0, 1, 0x7f, 0x80, 0xff]);
                }
            }
            2 => {
                let more = choices.bytes(1 + choices.clone().below(16)).to_vec();
                bytes.splice(at..at, more);
            }
            3 => {
                bytes.drain(at..end);
            }
            4 => {
                let twice = bytes[at..end].to_vec();
                bytes.splice(at..at, twice);
            }
            _ => bytes.truncate(at),
        }
    }
}
