//! From a byte stream to heads and payloads.

use super::{Head, Violation};

/// What a byte stream consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'i> {
    /// A frame begins. [`Head::len`] bytes of payload follow as parts of their own: none if it is 0.
    Head(Head),
    /// The next bytes of the frame's payload, never none. It ends with [`Splitter::remaining`] at 0.
    Payload(&'i [u8]),
}

/// Cuts a byte stream into the heads and payloads of frames, wherever reads have cut it. It holds 14 bytes and no payload.
///
/// Bytes can come in two ways, in any order:
///
/// * [`split`](Self::split) is given what was read, and answers one part after another.
/// * A program that wants payloads in memory of its own reads a head into [`head_space`](Self::head_space), then
///   [`remaining`](Self::remaining) bytes to where it likes, in pieces of any size.
///
/// ```
/// use alts::http2::frame::{DEFAULT_MAX_FRAME_SIZE, Kind, Splitter};
/// use std::io::Read;
///
/// /// Reads a frame. A payload of DATA goes straight into `content`.
/// fn read_frame(socket: &mut impl Read, content: &mut [u8]) -> std::io::Result<(Kind, usize)> {
///     let mut splitter = Splitter::new(DEFAULT_MAX_FRAME_SIZE);
///     let head = loop {
///         let count = socket.read(splitter.head_space())?;
///         if count == 0 {
///             return Err(std::io::ErrorKind::UnexpectedEof.into());
///         }
///         if let Some(head) = splitter.head_filled(count).map_err(std::io::Error::other)? {
///             break head;
///         }
///     };
///     let len = splitter.remaining();
///     socket.read_exact(&mut content[..len])?;
///     splitter.advance(len);
///     Ok((head.kind, len))
/// }
///
/// let mut wire = &b"\x00\x00\x05\x00\x01\x00\x00\x00\x01hello"[..];
/// let mut content = [0; 16_384];
/// let (kind, len) = read_frame(&mut wire, &mut content)?;
/// assert_eq!((kind, &content[..len]), (Kind::Data, &b"hello"[..]));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Splitter {
    /// The largest payload that is accepted.
    max_frame_size: u32,
    /// Bytes of payload that are still to come.
    left: u32,
    head: [u8; Head::LEN],
    /// How many bytes of a head are here. 0 between frames and inside a payload.
    filled: u8,
}

impl Splitter {
    /// For a byte stream that begins with a head. Payloads of more than `max_frame_size` bytes are refused.
    pub fn new(max_frame_size: u32) -> Self {
        Self { max_frame_size, left: 0, head: [0; Head::LEN], filled: 0 }
    }

    /// Whether the stream may end here: neither a head nor a payload has begun.
    pub fn is_between_frames(&self) -> bool {
        self.left == 0 && self.filled == 0
    }

    /// How many bytes of the present frame's payload are still to come.
    pub fn remaining(&self) -> usize {
        self.left as usize
    }

    /// Takes the next part off `input`. `None` when nothing of it is left; an incomplete head is kept inside.
    ///
    /// # Errors
    /// A head announces more than the largest payload. `FRAME_SIZE_ERROR`; there is no way to go on.
    #[inline]
    pub fn split<'i>(&mut self, input: &mut &'i [u8]) -> Result<Option<Part<'i>>, Violation> {
        if self.left > 0 {
            let here = input.len().min(self.left as usize);
            let (payload, rest) = input.split_at(here);
            (*input, self.left) = (rest, self.left - here as u32);
            return Ok((here > 0).then_some(Part::Payload(payload)));
        }
        if self.filled == 0
            && let Some((head, rest)) = input.split_first_chunk()
        {
            *input = rest;
            return self.begin(Head::parse(head)).map(|head| Some(Part::Head(head)));
        }
        let space = self.head_space();
        let here = space.len().min(input.len());
        let (bytes, rest) = input.split_at(here);
        space[..here].copy_from_slice(bytes);
        *input = rest;
        Ok(self.head_filled(here)?.map(Part::Head))
    }

    /// Where the bytes that are missing to a head belong. Empty inside a payload.
    pub fn head_space(&mut self) -> &mut [u8] {
        let here = if self.left > 0 { Head::LEN } else { self.filled.into() };
        &mut self.head[here..]
    }

    /// Says that `count` bytes have been written to the front of [`head_space`](Self::head_space), and answers the head once it is
    /// complete.
    ///
    /// # Errors
    /// As [`split`](Self::split).
    ///
    /// # Panics
    /// If there is not so much space.
    pub fn head_filled(&mut self, count: usize) -> Result<Option<Head>, Violation> {
        assert!(count <= self.head_space().len(), "{count} bytes are more than the head lacks");
        self.filled += count as u8;
        if usize::from(self.filled) < Head::LEN {
            return Ok(None);
        }
        self.filled = 0;
        self.begin(Head::parse(&self.head)).map(Some)
    }

    /// Says that `count` bytes of the payload have gone elsewhere.
    ///
    /// # Panics
    /// If that is more than [`remaining`](Self::remaining).
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.remaining(), "{count} bytes are more than the payload has left");
        self.left -= count as u32;
    }

    fn begin(&mut self, head: Head) -> Result<Head, Violation> {
        if head.len > self.max_frame_size {
            return Err(Violation::size("a frame is larger than SETTINGS_MAX_FRAME_SIZE allows"));
        }
        self.left = head.len;
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Data, ErrorCode, Ping, Settings};
    use super::*;

    fn wire() -> Vec<u8> {
        let mut out = Vec::new();
        Settings::write_ack(&mut out);
        Data::head(1, 300, false).write(&mut out);
        out.extend((0..300_u32).map(|at| at as u8));
        Ping { ack: false, data: *b"12345678" }.write(&mut out);
        Data::head(1, 0, true).write(&mut out);
        out
    }

    /// What comes out: heads, and payloads joined.
    fn parts(pieces: &[&[u8]]) -> (Vec<Head>, Vec<u8>) {
        let mut splitter = Splitter::new(300);
        let (mut heads, mut payloads) = (Vec::new(), Vec::new());
        for piece in pieces {
            let mut input = *piece;
            while let Some(part) = splitter.split(&mut input).unwrap() {
                match part {
                    Part::Head(head) => heads.push(head),
                    Part::Payload(bytes) => payloads.extend_from_slice(bytes),
                }
            }
            assert!(input.is_empty());
        }
        assert!(splitter.is_between_frames());
        (heads, payloads)
    }

    #[test]
    fn cuts_anywhere_change_nothing() {
        let wire = wire();
        let whole = parts(&[&wire]);
        assert_eq!(whole.0.len(), 4);
        assert_eq!(whole.1.len(), 308);
        for size in 1..40 {
            assert_eq!(parts(&wire.chunks(size).collect::<Vec<_>>()), whole);
        }
    }

    #[test]
    fn payloads_go_where_the_caller_wants_them() {
        let wire = wire();
        let (mut input, mut splitter) = (&wire[..], Splitter::new(300));
        let mut heads = 0;
        while !input.is_empty() {
            let space = splitter.head_space();
            let count = space.len().min(input.len()).min(4);
            space[..count].copy_from_slice(&input[..count]);
            input = &input[count..];
            if let Some(head) = splitter.head_filled(count).unwrap() {
                heads += 1;
                assert_eq!(splitter.remaining(), head.len as usize);
                assert!(head.len == 0 || splitter.head_space().is_empty());
                splitter.advance(head.len as usize);
                input = &input[head.len as usize..];
            }
        }
        assert_eq!(heads, 4);
        assert!(splitter.is_between_frames());
    }

    #[test]
    fn a_frame_beyond_the_limit_is_refused_by_its_head() {
        let mut out = Vec::new();
        Data::head(1, 301, false).write(&mut out);
        let refused = Splitter::new(300).split(&mut &out[..]).unwrap_err();
        assert_eq!(refused.code, ErrorCode::FRAME_SIZE_ERROR);
    }
}
