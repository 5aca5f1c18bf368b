//! Data frames on their way out: written by the application into one buffer, many frames behind one another, while the buffer before
//! is being sent.

use std::io::IoSlice;

use super::After;
use crate::pool::{BufferPool, PoolError, PooledBuf};
use crate::yamux::header::{self, Flags, Header};
use crate::yamux::limits::BATCH;

/// A frame shorter than this is not begun at the end of a batch if more could be in it, in bytes.
const MIN_FRAGMENT: usize = 4 << 10;
/// What is written at first is taken for a small message up to this size, and gets a small buffer.
const SMALL: usize = 4 << 10;

/// The batch that is being filled.
#[derive(Default)]
pub(super) struct Batch {
    /// What is visible in it is whole frames.
    buffer: Option<PooledBuf>,
    /// The last frame is Data of this stream, and can become longer; 0 if there is none.
    open: u32,
    /// Where its header is.
    open_at: u32,
}

/// Reads through slices in order.
pub(super) struct Gather<'payload> {
    slices: &'payload [IoSlice<'payload>],
    offset: usize,
}

impl<'payload> Gather<'payload> {
    pub(super) fn new(slices: &'payload [IoSlice<'payload>]) -> Self {
        Self { slices, offset: 0 }
    }

    /// Fills `to`; the slices have that much left.
    fn copy_to(&mut self, mut to: &mut [u8]) {
        while !to.is_empty() {
            let Some((slice, rest)) = self.slices.split_first() else { return };
            let from = &slice[self.offset..];
            let count = from.len().min(to.len());
            let (now, later) = to.split_at_mut(count);
            now.copy_from_slice(&from[..count]);
            to = later;
            self.offset += count;
            if count == from.len() {
                self.slices = rest;
                self.offset = 0;
            }
        }
    }
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_none()
    }

    /// Bytes in it.
    pub(super) fn len(&self) -> usize {
        self.buffer.as_ref().map_or(0, PooledBuf::len)
    }

    pub(super) fn take(&mut self) -> Option<PooledBuf> {
        self.open = 0;
        self.buffer.take()
    }

    /// Appends frames with the first `count` bytes of `payload`, each of at most `max_frame`, or lengthens the last one. The
    /// result is how many bytes there was room for.
    pub(super) fn append(
        &mut self,
        pool: &BufferPool,
        stream: u32,
        payload: &[IoSlice<'_>],
        count: usize,
        max_frame: u32,
        after: &mut After,
    ) -> Result<usize, PoolError> {
        let mut payload = Gather::new(payload);
        self.make_room(pool, count + header::LEN, after)?;
        let mut taken = 0;
        let Some(buffer) = &mut self.buffer else { return Ok(0) };
        while taken < count {
            let (start, end) = (buffer.range().start, buffer.range().end);
            let room = buffer.capacity() - end;
            let open_at = self.open_at as usize;
            let open_len = end.saturating_sub(open_at + header::LEN) as u32;
            let (at, len, body) = if self.open == stream && open_len < max_frame {
                let more = (count - taken).min((max_frame - open_len) as usize).min(room);
                (end, open_len + more as u32, more)
            } else {
                let more = (count - taken).min(max_frame as usize);
                if room < header::LEN + more.min(MIN_FRAGMENT) {
                    break;
                }
                let more = more.min(room - header::LEN);
                self.open = stream;
                self.open_at = end as u32;
                (end + header::LEN, more as u32, more)
            };
            if body == 0 {
                break;
            }
            let header = Header::Data { stream, flags: Flags::NONE, len };
            let whole = buffer.whole_mut();
            whole[self.open_at as usize..][..header::LEN].copy_from_slice(&header.encode());
            payload.copy_to(&mut whole[at..at + body]);
            buffer.set_range(start..at + body);
            taken += body;
        }
        Ok(taken)
    }

    /// Appends a header without a body; `false` if there is no room for it.
    pub(super) fn append_header(
        &mut self,
        pool: &BufferPool,
        header: Header,
        after: &mut After,
    ) -> Result<bool, PoolError> {
        self.make_room(pool, header::LEN, after)?;
        let Some(buffer) = &mut self.buffer else { return Ok(false) };
        let range = buffer.range();
        if buffer.capacity() - range.end < header::LEN {
            return Ok(false);
        }
        buffer.whole_mut()[range.end..][..header::LEN].copy_from_slice(&header.encode());
        buffer.set_range(range.start..range.end + header::LEN);
        self.open = 0;
        Ok(true)
    }

    /// Sees to a buffer: a small one for a small message, a large one when that is not enough. Outside the cap that readers share, so
    /// that writers never wait for them, nor they for writers; there are two for a session.
    fn make_room(
        &mut self,
        pool: &BufferPool,
        wanted: usize,
        after: &mut After,
    ) -> Result<(), PoolError> {
        match &self.buffer {
            None => {
                let size = if wanted <= SMALL { SMALL } else { BATCH };
                let mut buffer = pool.take_beyond_cap(size)?;
                buffer.set_range(0..0);
                self.buffer = Some(buffer);
            }
            Some(small)
                if small.capacity() < BATCH && small.capacity() - small.range().end < wanted =>
            {
                let mut large = pool.take_beyond_cap(BATCH)?;
                let range = small.range();
                large.whole_mut()[range.clone()].copy_from_slice(small);
                large.set_range(range);
                after.buffer(self.buffer.replace(large));
            }
            Some(_) => {}
        }
        Ok(())
    }
}
