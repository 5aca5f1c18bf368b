//! HEADERS and CONTINUATION: a header block, compressed, in one or several frames.

use super::{DEFAULT_MAX_FRAME_SIZE, Head, Kind, Priority, Violation, flag};

/// A HEADERS frame (RFC 9113, section 6.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers<'p> {
    /// The stream.
    pub stream: u32,
    /// Whether the sender's side of the stream ends with this header block.
    pub end_stream: bool,
    /// Whether the header block ends with this frame. Otherwise CONTINUATION frames follow, and nothing else in between.
    pub end_headers: bool,
    /// RFC 9113 deprecates it, and lets a receiver ignore it.
    pub priority: Option<Priority>,
    /// The header block or its beginning, for HPACK.
    pub fragment: &'p [u8],
}

impl<'p> Headers<'p> {
    /// Reads a payload.
    pub fn parse(head: &Head, payload: &'p [u8]) -> Result<Self, Violation> {
        let stream = head.on_stream("HEADERS on stream 0")?;
        let mut fragment = head.unpadded(payload)?;
        let mut priority = None;
        if head.has(flag::PRIORITY) {
            let Some((bytes, rest)) = fragment.split_first_chunk() else {
                return Err(Violation::size("HEADERS are too short for their priority"));
            };
            (priority, fragment) = (Some(Priority::read(*bytes)), rest);
        }
        Ok(Self {
            stream,
            end_stream: head.has(flag::END_STREAM),
            end_headers: head.has(flag::END_HEADERS),
            priority,
            fragment,
        })
    }

    /// Makes frames of the header block that `out` ends with, from `start` on: a head goes before it, and CONTINUATION frames
    /// begin within it if it has more than 16,384 bytes. Such a start is what [`begin`](Self::begin) answered.
    pub fn finish(out: &mut Vec<u8>, start: usize, stream: u32, end_stream: bool) {
        let most = DEFAULT_MAX_FRAME_SIZE as usize;
        let block = start + Head::LEN;
        let len = out.len() - block;
        let mut flags = if end_stream { flag::END_STREAM } else { 0 };
        if len <= most {
            flags |= flag::END_HEADERS;
        } else {
            let rest = out.split_off(block + most);
            for (at, fragment) in rest.chunks(most).enumerate() {
                let last = (at + 1) * most >= rest.len();
                let flags = if last { flag::END_HEADERS } else { 0 };
                let len = fragment.len() as u32;
                Head { len, kind: Kind::Continuation, flags, stream }.write(out);
                out.extend_from_slice(fragment);
            }
        }
        let head = Head { len: len.min(most) as u32, kind: Kind::Headers, flags, stream };
        out[start..block].copy_from_slice(&head.to_bytes());
    }

    /// Makes room for a head in `out`. The caller appends the header block, and then calls [`finish`](Self::finish) with the answer.
    pub fn begin(out: &mut Vec<u8>) -> usize {
        let start = out.len();
        out.extend_from_slice(&[0; Head::LEN]);
        start
    }
}

/// A CONTINUATION frame (RFC 9113, section 6.10).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Continuation<'p> {
    /// The stream.
    pub stream: u32,
    /// Whether the header block ends with this frame.
    pub end_headers: bool,
    /// The next part of the header block.
    pub fragment: &'p [u8],
}

impl<'p> Continuation<'p> {
    /// Reads a payload.
    pub fn parse(head: &Head, payload: &'p [u8]) -> Result<Self, Violation> {
        let stream = head.on_stream("CONTINUATION on stream 0")?;
        Ok(Self { stream, end_headers: head.has(flag::END_HEADERS), fragment: payload })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(flags: u8) -> Head {
        Head { len: 0, kind: Kind::Headers, flags, stream: 3 }
    }

    #[test]
    fn padding_and_priority_are_taken_off() {
        let payload = [1, 0x80, 0, 0, 9, 15, b'f', 0];
        let headers = Headers::parse(&head(flag::PADDED | flag::PRIORITY), &payload).unwrap();
        assert_eq!(headers.fragment, b"f");
        let priority = Priority { dependency: 9, exclusive: true, weight: 16 };
        assert_eq!(headers.priority, Some(priority));
        let short = Headers::parse(&head(flag::PRIORITY), &[0; 4]).unwrap_err();
        assert_eq!(short, Violation::size("HEADERS are too short for their priority"));
    }

    #[test]
    fn a_long_block_is_continued() {
        for len in [0_u32, 1, 16_384, 16_385, 32_768, 32_769, 50_000] {
            let block: Vec<u8> = (0..len).map(|at| at as u8).collect();
            let mut out = vec![0xff];
            let start = Headers::begin(&mut out);
            out.extend_from_slice(&block);
            Headers::finish(&mut out, start, 3, true);
            assert_eq!(out[0], 0xff);

            let (mut rest, mut joined, mut ended) = (&out[1..], Vec::new(), false);
            while let Some((bytes, after)) = rest.split_first_chunk() {
                assert!(!ended);
                let head = Head::parse(bytes);
                let first = joined.is_empty() && head.kind == Kind::Headers;
                assert_eq!(head.kind, if first { Kind::Headers } else { Kind::Continuation });
                assert_eq!(first, head.has(flag::END_STREAM));
                let (payload, after) = after.split_at(head.len as usize);
                assert!(payload.len() <= 16_384);
                joined.extend_from_slice(payload);
                ended = head.has(flag::END_HEADERS);
                rest = after;
            }
            assert!(ended);
            assert_eq!(joined, block);
        }
    }
}
