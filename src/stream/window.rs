//! Received bytes in a pooled buffer: opened ones first, sealed ones after them.

use std::io;
use std::ops::Range;

use crate::pool::PooledBuf;
use crate::record::{HEADER_LEN, Head, RecordError};

/// Where the bytes of a record start in a fresh buffer, so that its payload starts at a multiple of 64. On some processors
/// large copies are 29 times slower when source and destination are a few bytes apart modulo 4096, as they are when two
/// page-aligned buffers differ by a header.
pub(super) const LEAD_IN: usize = 64 - HEADER_LEN;

/// A pooled buffer and what is in it.
///
/// ```text
///  0        plain.start      plain.end   sealed.start          sealed.end      capacity
///  │  done  │   plaintext    │   done    │  records, the last  │     free      │
///  │        │                │           │  may be incomplete  │               │
/// ```
#[derive(Debug)]
pub(super) struct Window {
    buf: PooledBuf,
    plain: Range<u32>,
    sealed: Range<u32>,
}

impl Window {
    /// A window over `buf` in which nothing was received.
    #[inline]
    pub(super) fn new(buf: PooledBuf) -> Self {
        const START: u32 = LEAD_IN as u32;
        Self { buf, plain: START..START, sealed: START..START }
    }

    /// A window over what is visible in `buf`.
    pub(super) fn over(buf: PooledBuf) -> Self {
        let range = buf.range();
        let sealed = range.start as u32..range.end as u32;
        Self { plain: sealed.start..sealed.start, sealed, buf }
    }

    pub(super) fn buffer(&self) -> &PooledBuf {
        &self.buf
    }

    #[inline]
    pub(super) fn capacity(&self) -> usize {
        self.buf.capacity()
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.sealed.is_empty()
    }

    #[inline]
    pub(super) fn plaintext(&self) -> &[u8] {
        &self.buf.whole()[span(&self.plain)]
    }

    /// Removes `count` bytes that the caller has received from the plaintext.
    #[inline]
    pub(super) fn consume(&mut self, count: usize) {
        self.plain.start += count as u32;
    }

    /// Bytes that are not opened yet.
    #[inline]
    pub(super) fn sealed(&self) -> &[u8] {
        &self.buf.whole()[span(&self.sealed)]
    }

    /// Adds bytes that are not opened yet. There must be room.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        let end = self.sealed.end as usize;
        self.buf.whole_mut()[end..end + bytes.len()].copy_from_slice(bytes);
        self.sealed.end += bytes.len() as u32;
    }

    /// Room for more bytes behind the sealed ones.
    #[inline]
    pub(super) fn room(&self) -> usize {
        self.capacity() - self.sealed.end as usize
    }

    /// The most bytes of one record that fit, wherever it starts now.
    #[inline]
    pub(super) fn room_for_record(&self) -> usize {
        self.capacity() - LEAD_IN
    }

    /// Fills the room behind the sealed bytes by one call of `read`.
    #[inline]
    pub(super) fn fill(
        &mut self,
        read: impl FnOnce(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        let end = self.sealed.end as usize;
        let count = read(&mut self.buf.whole_mut()[end..])?;
        self.sealed.end += count as u32;
        Ok(count)
    }

    /// Moves the sealed bytes to the front. The plaintext must have been consumed.
    pub(super) fn compact(&mut self) {
        let len = self.sealed.len();
        self.buf.whole_mut().copy_within(span(&self.sealed), LEAD_IN);
        let start = LEAD_IN as u32;
        self.plain = start..start;
        self.sealed = start..start + len as u32;
    }

    /// Moves the sealed bytes to `buf`; the old buffer goes back to the pool.
    pub(super) fn move_to(&mut self, buf: PooledBuf) {
        let mut moved = Self::new(buf);
        moved.append(self.sealed());
        *self = moved;
    }

    /// The extent of the first sealed record, if all of it is here.
    #[inline]
    pub(super) fn next_record(&self) -> Result<Option<Range<usize>>, RecordError> {
        let start = self.sealed.start as usize;
        Ok(match Head::parse(self.sealed())? {
            Head::Record { wire_len } if wire_len <= self.sealed.len() => {
                Some(start..start + wire_len)
            }
            _ => None,
        })
    }

    /// Opens the whole record at `record`, the first sealed one, with `open`, which puts the plaintext right behind what is
    /// left of the earlier one, or where the record is if nothing is left.
    #[inline]
    pub(super) fn open_next(
        &mut self,
        record: Range<usize>,
        open: impl FnOnce(&mut [u8], Range<usize>, usize) -> Result<Range<usize>, RecordError>,
    ) -> Result<usize, RecordError> {
        let to =
            if self.plain.is_empty() { record.start + HEADER_LEN } else { self.plain.end as usize };
        let end = record.end as u32;
        let opened = open(self.buf.whole_mut(), record, to)?;
        let count = opened.len();
        if self.plain.is_empty() {
            self.plain.start = to as u32;
        }
        self.plain.end = opened.end as u32;
        self.sealed.start = end;
        Ok(count)
    }

    /// The buffer, with the plaintext visible. The sealed bytes must have been taken out.
    #[inline]
    pub(super) fn into_plaintext(self) -> PooledBuf {
        let Self { mut buf, plain, .. } = self;
        buf.set_range(span(&plain));
        buf
    }

    /// Removes a frame of `count` bytes that is no record from the front of the sealed bytes.
    pub(super) fn skip(&mut self, count: usize) {
        self.sealed.start += count as u32;
    }

    /// Forgets the sealed bytes.
    pub(super) fn clear_sealed(&mut self) {
        self.sealed.start = self.sealed.end;
    }
}

#[inline]
fn span(range: &Range<u32>) -> Range<usize> {
    range.start as usize..range.end as usize
}
