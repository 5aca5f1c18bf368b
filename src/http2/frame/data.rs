//! DATA: a piece of a message's content.

use super::{Head, Kind, Violation, flag};

/// A DATA frame (RFC 9113, section 6.1) that is here as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Data<'p> {
    /// The stream.
    pub stream: u32,
    /// Whether the sender's side of the stream ends with it.
    pub end_stream: bool,
    /// The content, without padding. Windows count the padding too: [`Head::len`].
    pub content: &'p [u8],
}

impl<'p> Data<'p> {
    /// Reads a payload that has come as a whole.
    pub fn parse(head: &Head, payload: &'p [u8]) -> Result<Self, Violation> {
        let stream = Self::check(head)?;
        let content = head.unpadded(payload)?;
        Ok(Self { stream, end_stream: head.has(flag::END_STREAM), content })
    }

    /// What can be said before any of the payload is here. Answers the stream.
    pub fn check(head: &Head) -> Result<u32, Violation> {
        head.on_stream("DATA on stream 0")
    }

    /// The head of a frame with `len` bytes of content, which follow it.
    pub fn head(stream: u32, len: usize, end_stream: bool) -> Head {
        let flags = if end_stream { flag::END_STREAM } else { 0 };
        Head { len: len as u32, kind: Kind::Data, flags, stream }
    }
}
