//! What an application reads, and the credit that it gives back.

use std::task::{Poll, Waker};

use super::marks::Marks;
use super::table::Cut;
use super::{After, Core};
use crate::pool::PooledBuf;
use crate::yamux::error::Error;

impl Core {
    /// Gives up to `room` received bytes to `take`, in one or more pieces, and says how many there were: 0 is the end.
    pub(in crate::yamux) fn read(
        &mut self,
        slot: u32,
        room: usize,
        mut take: impl FnMut(&[u8]),
        waker: &Waker,
        after: &mut After,
    ) -> Poll<Result<usize, Error>> {
        if room == 0 {
            return Poll::Ready(Ok(0));
        }
        let mut copied = 0;
        let inbox = &mut self.table[slot].inbox;
        while copied < room
            && let Some(chunk) = self.chunks.first(*inbox)
        {
            let count = chunk.len().min(room - copied);
            take(&chunk[..count]);
            chunk.advance(count);
            copied += count;
            if chunk.is_empty()
                && let Some(chunk) = self.chunks.pop(inbox)
            {
                after.drop_buffer(chunk);
            }
        }
        if copied > 0 {
            self.consumed(slot, copied, after);
            return Poll::Ready(Ok(copied));
        }
        self.end_of_stream(slot, waker, after).map_ok(|()| 0)
    }

    /// Hands up the first received buffer; `None` is the end.
    pub(in crate::yamux) fn take_chunk(
        &mut self,
        slot: u32,
        waker: &Waker,
        after: &mut After,
    ) -> Poll<Result<Option<PooledBuf>, Error>> {
        if let Some(chunk) = self.chunks.pop(&mut self.table[slot].inbox) {
            self.consumed(slot, chunk.len(), after);
            return Poll::Ready(Ok(Some(chunk)));
        }
        self.end_of_stream(slot, waker, after).map_ok(|()| None)
    }

    /// Bytes, an error and the end count as readable.
    pub(in crate::yamux) fn readable(
        &mut self,
        slot: u32,
        waker: &Waker,
        after: &mut After,
    ) -> Poll<()> {
        if !self.table[slot].inbox.is_empty() {
            return Poll::Ready(());
        }
        self.end_of_stream(slot, waker, after).map(|_| ())
    }

    /// Nothing is left to read: because the peer has ended its direction, for another reason, or for now.
    fn end_of_stream(
        &mut self,
        slot: u32,
        waker: &Waker,
        after: &mut After,
    ) -> Poll<Result<(), Error>> {
        let error = self.cut_error(slot);
        let stream = &mut self.table[slot];
        if stream.marks.has(Marks::FIN_IN) && !matches!(stream.cut, Cut::Here(_) | Cut::Untaken) {
            return Poll::Ready(Ok(()));
        }
        if let Some(error) = error {
            return Poll::Ready(Err(error));
        }
        if let Some(error) = &self.steady.ended {
            return Poll::Ready(Err((**error).clone()));
        }
        after.park(&mut stream.reader, waker);
        Poll::Pending
    }

    /// Why the stream ended before its time.
    pub(super) fn cut_error(&self, slot: u32) -> Option<Error> {
        match self.table[slot].cut {
            Cut::No => None,
            Cut::ByPeer(code) => Some(Error::Reset { code }),
            Cut::Here(code) => Some(Error::ResetByThisSide { code }),
            Cut::Untaken => Some(Error::ResetByThisSide { code: 0 }),
            Cut::OpenTimeout => Some(Error::OpenTimeout),
            Cut::Memory => Some(Error::Memory),
        }
    }

    fn consumed(&mut self, slot: u32, count: usize, after: &mut After) {
        let stream = &mut self.table[slot];
        stream.receive.consume(count as u32);
        let over = Marks::FIN_IN.and(Marks::OFF_WIRE);
        if stream.receive.is_due() && !stream.marks.has(over) && self.steady.ended.is_none() {
            self.make_due(slot, after);
        }
    }
}
