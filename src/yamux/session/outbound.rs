//! Sending: what streams write, and what goes ahead of it.

use std::io::IoSlice;
use std::task::{Poll, Waker};

use super::marks::Marks;
use super::{After, Core, Moment};
use crate::pool::PooledBuf;
use crate::yamux::error::Error;
use crate::yamux::header::{self, Flags, Header};
use crate::yamux::limits;

impl Core {
    /// Takes as much of `payload` as there is credit and room for.
    pub(in crate::yamux) fn write(
        &mut self,
        slot: u32,
        payload: &[IoSlice<'_>],
        waker: &Waker,
        after: &mut After,
    ) -> Poll<Result<usize, Error>> {
        if let Some(error) = self.write_error(slot) {
            return Poll::Ready(Err(error));
        }
        let total = payload.iter().fold(0_usize, |sum, slice| sum.saturating_add(slice.len()));
        if total == 0 {
            return Poll::Ready(Ok(0));
        }
        let stream = &mut self.table[slot];
        let credit = stream.send.credit();
        if credit == 0 {
            after.park(&mut stream.writer, waker);
            return Poll::Pending;
        }
        let wanted = total.min(credit as usize);
        let others_first = !self.blocked.is_empty() && !stream.marks.has(Marks::TURN);
        // More credit may come while other data is on its way.
        let joins_more = credit < limits::SMALL_GRANT && wanted < total && !self.batch.is_empty();
        let taken = if others_first || joins_more {
            0
        } else {
            let (id, max_frame) = (stream.id, self.steady.config.max_frame);
            let taken = self.batch.append(&self.steady.pool, id, payload, wanted, max_frame, after);
            match taken {
                Ok(taken) => taken,
                Err(error) => return Poll::Ready(Err(Error::Pool(error))),
            }
        };
        self.wake_driver(after);
        let stream = &mut self.table[slot];
        if taken == 0 {
            after.park(&mut stream.writer, waker);
            self.block(slot);
            return Poll::Pending;
        }
        stream.marks.take(Marks::TURN);
        stream.send.spend(taken as u32);
        self.steady.counts.sent += taken as u64;
        Poll::Ready(Ok(taken))
    }

    /// Why nothing more can be written.
    fn write_error(&self, slot: u32) -> Option<Error> {
        let stream = &self.table[slot];
        if let Some(error) = self.cut_error(slot) {
            return Some(error);
        }
        if stream.marks.has(Marks::FIN_OUT) || stream.marks.has(Marks::FIN_DUE) {
            return Some(Error::WriteAfterClose);
        }
        self.steady.ended.as_deref().cloned()
    }

    /// Ends this side's direction, behind what was written.
    pub(in crate::yamux) fn close_write(&mut self, slot: u32, after: &mut After) {
        let marks = self.table[slot].marks;
        let over = Marks::FIN_OUT.and(Marks::FIN_DUE).and(Marks::OFF_WIRE);
        if marks.has(over) || self.steady.ended.is_some() {
            return;
        }
        self.wake_driver(after);
        if !self.send_fin(slot, after) && self.steady.ended.is_none() {
            self.table[slot].marks.set(Marks::FIN_DUE);
            self.block(slot);
        }
    }

    /// Appends FIN; `false` if there is no room.
    fn send_fin(&mut self, slot: u32, after: &mut After) -> bool {
        let stream = self.table[slot].id;
        let fin = Header::WindowUpdate { stream, flags: Flags::FIN, delta: 0 };
        match self.batch.append_header(&self.steady.pool, fin, after) {
            Ok(false) => false,
            Ok(true) => {
                let marks = &mut self.table[slot].marks;
                marks.take(Marks::FIN_DUE);
                marks.set(Marks::FIN_OUT);
                if marks.has(Marks::FIN_IN) {
                    self.off_wire(slot, after);
                }
                true
            }
            Err(error) => {
                self.end(Error::Pool(error), after);
                false
            }
        }
    }

    fn block(&mut self, slot: u32) {
        if !self.table[slot].marks.has(Marks::BLOCKED) {
            self.table[slot].marks.set(Marks::BLOCKED);
            self.blocked.push(&mut self.table, slot);
        }
    }

    /// Gives those that wait for room their turn, as many as may fill a batch.
    fn release_blocked(&mut self, after: &mut After) {
        let mut room = limits::BATCH;
        while room > 0 {
            let Some(slot) = self.blocked.pop(&self.table) else { return };
            let stream = &mut self.table[slot];
            stream.marks.take(Marks::BLOCKED);
            if stream.marks.has(Marks::OFF_WIRE) {
                // Its writer has been told.
            } else if stream.marks.has(Marks::FIN_DUE) {
                room = room.saturating_sub(header::LEN);
                if !self.send_fin(slot, after) {
                    return self.block(slot);
                }
            } else {
                room = room.saturating_sub(self.steady.config.max_frame as usize);
                stream.marks.set(Marks::TURN);
                after.wake(&mut stream.writer);
            }
        }
    }

    /// Puts a stream into the list of streams with a frame to send.
    pub(super) fn make_due(&mut self, slot: u32, after: &mut After) {
        if !self.table[slot].marks.has(Marks::DUE) {
            self.table[slot].marks.set(Marks::DUE);
            self.due.push(&mut self.table, slot);
        }
        self.wake_driver(after);
    }

    /// Answers a frame of the peer.
    pub(super) fn answer(&mut self, header: Header, after: &mut After) {
        if self.steady.ended.is_none() {
            self.answers.push_back(header);
            self.wake_driver(after);
        }
    }

    /// Says what this side has decided by itself.
    pub(super) fn announce(&mut self, header: Header, after: &mut After) {
        if self.steady.ended.is_none() {
            self.announcements.push_back(header);
            self.wake_driver(after);
        }
    }

    /// Whether there is something to send.
    pub(in crate::yamux) fn has_output(&self) -> bool {
        !self.answers.is_empty()
            || !self.announcements.is_empty()
            || !self.due.is_empty()
            || !self.batch.is_empty()
            || self.steady.pings.is_due()
            || !self.blocked.is_empty()
    }

    /// Fills `to` with frames that go ahead of all data, and says how many bytes they have.
    pub(in crate::yamux) fn urgent(
        &mut self,
        to: &mut [u8],
        now: Moment,
        after: &mut After,
    ) -> usize {
        let mut len = 0;
        while to.len() - len >= header::LEN {
            let Some(header) = self.next_urgent(now, after) else { break };
            to[len..len + header::LEN].copy_from_slice(&header.encode());
            len += header::LEN;
        }
        len
    }

    fn next_urgent(&mut self, now: Moment, after: &mut After) -> Option<Header> {
        for queue in [&mut self.announcements, &mut self.answers] {
            if let Some(header) = queue.pop_front() {
                if queue.is_empty() && queue.capacity() > 4 {
                    queue.shrink_to(4);
                }
                return Some(header);
            }
        }
        while let Some(slot) = self.due.pop(&self.table) {
            let stream = &mut self.table[slot];
            stream.marks.take(Marks::DUE);
            let mut flags = Flags::NONE;
            if stream.marks.take(Marks::SYN_DUE) {
                flags = flags.with(Flags::SYN);
            }
            if stream.marks.take(Marks::ACK_DUE) {
                flags = flags.with(Flags::ACK);
            }
            let id = stream.id;
            let delta = self.grant(slot, flags != Flags::NONE, now);
            self.free_if_over(slot, after);
            if flags != Flags::NONE || delta > 0 {
                return Some(Header::WindowUpdate { stream: id, flags, delta });
            }
        }
        self.steady.pings.next_due(now).map(|value| Header::Ping { value })
    }

    /// Credit for the peer: what was consumed, if that is worth a frame or one is sent anyway.
    fn grant(&mut self, slot: u32, with_flag: bool, now: Moment) -> u32 {
        let stream = &mut self.table[slot];
        if stream.marks.has(Marks::FIN_IN)
            || stream.marks.has(Marks::NO_READER.and(Marks::OFF_WIRE))
        {
            return 0;
        }
        if with_flag {
            stream.granted_at = now.0 as u32;
            return stream.receive.grant();
        }
        if !stream.receive.is_due() {
            return 0;
        }
        if self.chunks.held() > self.steady.config.max_held / 2 || self.steady.pool.has_waiters() {
            self.withheld = Some(now);
            return 0;
        }
        self.grow(slot, now);
        let stream = &mut self.table[slot];
        stream.granted_at = now.0 as u32;
        stream.receive.grant()
    }

    /// A window that is used up within a round trip grows, if the way is long and the session has not grown enough.
    fn grow(&mut self, slot: u32, now: Moment) {
        let stream = &mut self.table[slot];
        let size = stream.receive.size();
        if size >= self.steady.config.max_window {
            return;
        }
        let Some(rtt) = self.steady.pings.recent_rtt(now) else {
            return self.steady.pings.measure();
        };
        let since_last = (now.0 as u32).wrapping_sub(stream.granted_at);
        let larger = size.saturating_mul(2).min(self.steady.config.max_window);
        if rtt >= limits::MIN_RTT_FOR_GROWTH
            && u128::from(since_last) < rtt.as_micros()
            && self.growth + (larger - size) <= limits::GROWTH
        {
            self.growth += larger - size;
            stream.grown += larger - size;
            stream.receive.grow(larger);
        }
    }

    /// The frames that were written, if nothing has to go ahead of them.
    pub(in crate::yamux) fn take_batch(&mut self, after: &mut After) -> Option<PooledBuf> {
        if !self.due.is_empty() || !self.answers.is_empty() || !self.announcements.is_empty() {
            return None;
        }
        let batch = self.batch.take();
        // Those that have waited fill the next one while this one is sent. Whoever had a turn and does not use it holds up nobody:
        // this is called again.
        self.release_blocked(after);
        batch
    }
}
