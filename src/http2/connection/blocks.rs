//! Header blocks, sent.

use http::{HeaderMap, StatusCode, request};

use super::super::frame::{DEFAULT_MAX_FRAME_SIZE, Head, Headers, Kind, flag};
use super::super::head::{self, Sink, write_fields};
use super::super::hpack::encode;
use super::super::limits::PAGE;
use super::super::output::Output;
use super::{Core, SizeUpdate, Turn};

/// What an update of the table's size takes, and the head of a frame.
const BEGINNING: usize = 16 + Head::LEN;

/// A message's head or its trailers, which can be written more than once.
pub(super) trait Block {
    fn write(&self, out: &mut impl Sink);
}

impl Block for request::Parts {
    fn write(&self, out: &mut impl Sink) {
        head::write_request(self, out);
    }
}

impl Block for (StatusCode, &HeaderMap) {
    fn write(&self, out: &mut impl Sink) {
        head::write_response(self.0, self.1, out);
    }
}

impl Block for HeaderMap {
    fn write(&self, out: &mut impl Sink) {
        write_fields(self, out);
    }
}

impl<T: Default> Core<T> {
    /// Sends a header block of `size` bytes at most.
    pub(super) fn send_block(
        &mut self,
        id: u32,
        end: bool,
        size: usize,
        block: &impl Block,
        turn: &mut Turn<'_>,
    ) {
        let due = self.progress.size_update == SizeUpdate::Due;
        if due {
            self.progress.size_update = SizeUpdate::Sent;
        }
        if size + BEGINNING > PAGE {
            return send_long(id, end, &Beginning { due, block }, turn.out);
        }
        let out = turn.out.room(size + BEGINNING);
        let start = Headers::begin(out);
        Beginning { due, block }.write(out);
        Headers::finish(out, start, id, end);
    }
}

/// A header block, after what the peer's decoder has to be told.
struct Beginning<'b, B> {
    due: bool,
    block: &'b B,
}

impl<B: Block> Block for Beginning<'_, B> {
    #[inline]
    fn write(&self, out: &mut impl Sink) {
        if self.due {
            // Nothing is ever inserted, so the least size is right for good.
            out.put(|out| encode::size_update(out, 0));
        }
        self.block.write(out);
    }
}

/// Sends what may not fit into a page: a field at a time, after it is known how long all of them are.
#[cold]
fn send_long(stream: u32, end: bool, block: &impl Block, out: &mut Output) {
    let mut length = Length { field: Vec::new(), len: 0 };
    block.write(&mut length);
    let Length { mut field, len } = length;
    field.clear();
    let mut long = Long { out, stream, end, field, left: len, within: 0, kind: Kind::Headers };
    block.write(&mut long);
}

/// Tells how long a header block is.
struct Length {
    field: Vec<u8>,
    len: usize,
}

impl Sink for Length {
    fn put(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        self.field.clear();
        encode(&mut self.field);
        self.len += self.field.len();
    }
}

/// Makes frames of a header block.
struct Long<'o> {
    out: &'o mut Output,
    stream: u32,
    end: bool,
    field: Vec<u8>,
    /// Bytes of the block that are to come.
    left: usize,
    /// Bytes of the present frame that are to come.
    within: usize,
    /// Of the next frame.
    kind: Kind,
}

impl Long<'_> {
    fn begin_frame(&mut self) {
        let kind = std::mem::replace(&mut self.kind, Kind::Continuation);
        self.within = self.left.min(DEFAULT_MAX_FRAME_SIZE as usize);
        let mut flags = 0;
        if kind == Kind::Headers && self.end {
            flags |= flag::END_STREAM;
        }
        if self.within == self.left {
            flags |= flag::END_HEADERS;
        }
        let len = self.within as u32;
        Head { len, kind, flags, stream: self.stream }.write(self.out.frames());
    }
}

impl Sink for Long<'_> {
    fn put(&mut self, encode: impl FnOnce(&mut Vec<u8>)) {
        let mut field = std::mem::take(&mut self.field);
        encode(&mut field);
        let mut rest = &field[..];
        while !rest.is_empty() {
            if self.within == 0 {
                self.begin_frame();
            }
            let here;
            (here, rest) = rest.split_at(rest.len().min(self.within));
            self.out.append(here);
            self.within -= here.len();
            self.left -= here.len();
        }
        field.clear();
        self.field = field;
    }
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn a_long_block_is_in_the_frames_that_a_short_one_would_be_in() {
        for len in [0, 1, 3_000, 16_384 - 12, 16_384, 50_000] {
            let mut trailers = HeaderMap::new();
            trailers.insert("first", HeaderValue::from_bytes(&vec![b'x'; len]).unwrap());
            for at in 0..len / 500 {
                let name = HeaderName::try_from(format!("field-{at}")).unwrap();
                trailers.insert(name, HeaderValue::from_static("value"));
            }
            for due in [false, true] {
                let block = Beginning { due, block: &trailers };
                let mut expected = Vec::new();
                let start = Headers::begin(&mut expected);
                block.write(&mut expected);
                Headers::finish(&mut expected, start, 5, true);

                let mut out = Output::default();
                send_long(5, true, &block, &mut out);
                let mut slices = [IoSlice::new(&[]); 64];
                let count = out.slices(&mut slices);
                assert!(slices[..count].iter().all(|slice| slice.len() <= PAGE));
                let sent: Vec<u8> =
                    slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
                assert!(sent == expected, "{len}, {due}");
            }
        }
    }
}
