//! `RST_STREAM`: a stream ends at once.

use super::{ErrorCode, Head, Kind, Violation, u32_at};

/// An `RST_STREAM` frame (RFC 9113, section 6.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reset {
    /// The stream.
    pub stream: u32,
    /// Why.
    pub code: ErrorCode,
}

impl Reset {
    /// Reads a payload.
    pub fn parse(head: &Head, payload: &[u8]) -> Result<Self, Violation> {
        let stream = head.on_stream("RST_STREAM on stream 0")?;
        if payload.len() != 4 {
            return Err(Violation::size("RST_STREAM is not of 4 bytes"));
        }
        Ok(Self { stream, code: ErrorCode(u32_at(payload, 0)) })
    }

    /// Appends the frame.
    pub fn write(self, out: &mut Vec<u8>) {
        Head { len: 4, kind: Kind::Reset, flags: 0, stream: self.stream }.write(out);
        out.extend_from_slice(&self.code.0.to_be_bytes());
    }
}
