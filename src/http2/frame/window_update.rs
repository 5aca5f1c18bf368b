//! `WINDOW_UPDATE`: more may be sent.

use super::{ErrorCode, Head, Kind, LARGEST_WINDOW, Violation, u32_at};

/// A `WINDOW_UPDATE` frame (RFC 9113, section 6.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowUpdate {
    /// The stream, 0 for the connection.
    pub stream: u32,
    /// By how many bytes the window grows; never 0.
    pub increment: u32,
}

impl WindowUpdate {
    /// Reads a payload.
    pub fn parse(head: &Head, payload: &[u8]) -> Result<Self, Violation> {
        if payload.len() != 4 {
            return Err(Violation::size("WINDOW_UPDATE is not of 4 bytes"));
        }
        let increment = u32_at(payload, 0) & LARGEST_WINDOW;
        match (increment, head.stream) {
            (0, 0) => Err(Violation::protocol("WINDOW_UPDATE by 0")),
            (0, _) => Err(Violation::stream(ErrorCode::PROTOCOL_ERROR, "WINDOW_UPDATE by 0")),
            (increment, stream) => Ok(Self { stream, increment }),
        }
    }

    /// Appends the frame.
    pub fn write(self, out: &mut Vec<u8>) {
        Head { len: 4, kind: Kind::WindowUpdate, flags: 0, stream: self.stream }.write(out);
        out.extend_from_slice(&self.increment.to_be_bytes());
    }
}
