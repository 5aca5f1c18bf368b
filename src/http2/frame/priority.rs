//! PRIORITY: an advice that RFC 9113 deprecates.

use super::{ErrorCode, Head, LARGEST_WINDOW, Violation, u32_at};

/// A PRIORITY frame (RFC 9113, section 6.3), or the priority inside HEADERS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Priority {
    /// The stream it depends on.
    pub dependency: u32,
    /// Whether it is to be the only one that does.
    pub exclusive: bool,
    /// From 1 to 256.
    pub weight: u16,
}

impl Priority {
    /// Reads a payload.
    pub fn parse(head: &Head, payload: &[u8]) -> Result<Self, Violation> {
        head.on_stream("PRIORITY on stream 0")?;
        let bytes = payload.try_into().map_err(|_| {
            Violation::stream(ErrorCode::FRAME_SIZE_ERROR, "PRIORITY is not of 5 bytes")
        })?;
        Ok(Self::read(bytes))
    }

    pub(super) fn read(bytes: [u8; 5]) -> Self {
        let word = u32_at(&bytes, 0);
        Self {
            dependency: word & LARGEST_WINDOW,
            exclusive: word > LARGEST_WINDOW,
            weight: u16::from(bytes[4]) + 1,
        }
    }
}
