//! PING: is anybody there?

use super::{Head, Kind, Violation, flag};

/// A PING frame (RFC 9113, section 6.7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ping {
    /// Whether it answers one.
    pub ack: bool,
    /// What the answer repeats.
    pub data: [u8; 8],
}

impl Ping {
    /// Reads a payload.
    pub fn parse(head: &Head, payload: &[u8]) -> Result<Self, Violation> {
        head.on_connection("PING on a stream")?;
        let data = payload.try_into().map_err(|_| Violation::size("PING is not of 8 bytes"))?;
        Ok(Self { ack: head.has(flag::ACK), data })
    }

    /// Appends the frame.
    pub fn write(self, out: &mut Vec<u8>) {
        let flags = if self.ack { flag::ACK } else { 0 };
        Head { len: 8, kind: Kind::Ping, flags, stream: 0 }.write(out);
        out.extend_from_slice(&self.data);
    }
}
