//! GOAWAY: no new streams.

use super::{ErrorCode, Head, Kind, LARGEST_WINDOW, Violation, u32_at};

/// A GOAWAY frame (RFC 9113, section 6.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoAway<'p> {
    /// The last stream of the receiver that the sender may have processed.
    pub last_stream: u32,
    /// Why.
    pub code: ErrorCode,
    /// For people. A peer's may be anything.
    pub debug: &'p [u8],
}

impl<'p> GoAway<'p> {
    /// Reads a payload.
    pub fn parse(head: &Head, payload: &'p [u8]) -> Result<Self, Violation> {
        head.on_connection("GOAWAY on a stream")?;
        if payload.len() < 8 {
            return Err(Violation::size("GOAWAY is shorter than 8 bytes"));
        }
        let last_stream = u32_at(payload, 0) & LARGEST_WINDOW;
        Ok(Self { last_stream, code: ErrorCode(u32_at(payload, 4)), debug: &payload[8..] })
    }

    /// Appends the frame.
    pub fn write(self, out: &mut Vec<u8>) {
        let len = 8 + self.debug.len() as u32;
        Head { len, kind: Kind::GoAway, flags: 0, stream: 0 }.write(out);
        out.extend_from_slice(&(self.last_stream & LARGEST_WINDOW).to_be_bytes());
        out.extend_from_slice(&self.code.0.to_be_bytes());
        out.extend_from_slice(self.debug);
    }
}
