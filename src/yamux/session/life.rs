//! How streams and the session begin and end.

use std::task::{Poll, Waker};
use std::time::Duration;

use super::marks::Marks;
use super::table::{Cut, Stream};
use super::{After, Closing, Core};
use crate::yamux::error::Error;
use crate::yamux::header::{Flags, Header};
use crate::yamux::limits;

/// What a handle can do with its stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::yamux) enum Half {
    Read,
    Write,
}

impl Core {
    /// Opens a stream with a window of this size: its slot and id.
    pub(in crate::yamux) fn open(
        &mut self,
        window: u32,
        waker: &Waker,
        after: &mut After,
    ) -> Poll<Result<(u32, u32), Error>> {
        if let Some(error) = &self.steady.ended {
            return Poll::Ready(Err((**error).clone()));
        }
        if self.steady.peer_away {
            return Poll::Ready(Err(Error::GoAway { code: 0 }));
        }
        if self.steady.closing != Closing::No {
            return Poll::Ready(Err(Error::Closed));
        }
        if self.unacked >= limits::MAX_UNACKED {
            self.park_waiter(waker);
            return Poll::Pending;
        }
        // The last pair of ids stays unused, as it does with others.
        let id = self.steady.next_id;
        if id >= u32::MAX - 1 {
            return Poll::Ready(Err(Error::IdsExhausted));
        }
        self.steady.next_id += 2;
        let stream = Stream::new(id, Marks::UNACKED.and(Marks::SYN_DUE), window);
        let slot = self.table.insert(stream);
        self.unacked += 1;
        self.steady.counts.opened = self.steady.counts.opened.wrapping_add(1);
        self.watch_open(id);
        self.make_due(slot, after);
        Poll::Ready(Ok((slot, id)))
    }

    /// Accepts a stream: its slot and id. `None`: there will be no more.
    pub(in crate::yamux) fn accept(
        &mut self,
        waker: &Waker,
        after: &mut After,
    ) -> Poll<Result<Option<(u32, u32)>, Error>> {
        if let Some(slot) = self.accepting.pop(&self.table) {
            self.queued -= 1;
            self.steady.counts.accepted = self.steady.counts.accepted.wrapping_add(1);
            let stream = &mut self.table[slot];
            stream.marks.take(Marks::QUEUED.and(Marks::NO_READER).and(Marks::NO_WRITER));
            stream.marks.set(Marks::ACK_DUE);
            let id = stream.id;
            self.make_due(slot, after);
            return Poll::Ready(Ok(Some((slot, id))));
        }
        match self.steady.ended.as_deref() {
            Some(Error::Closed | Error::GoAway { code: 0 }) => Poll::Ready(Ok(None)),
            Some(error) => Poll::Ready(Err(error.clone())),
            None if self.steady.closing != Closing::No || self.steady.away => Poll::Ready(Ok(None)),
            None => {
                after.park(&mut self.steady.accepter, waker);
                Poll::Pending
            }
        }
    }

    /// Resets a stream.
    pub(in crate::yamux) fn reset(&mut self, slot: u32, code: u32, after: &mut After) {
        self.cut(slot, Cut::Here(code), after);
    }

    /// Ends a stream before its time. What the peer sent to the end stays readable if it was the peer who did it.
    pub(super) fn cut(&mut self, slot: u32, cut: Cut, after: &mut After) {
        let stream = &mut self.table[slot];
        if stream.marks.has(Marks::OFF_WIRE) {
            return;
        }
        stream.cut = cut;
        self.stop_storing(slot);
        let stream = &mut self.table[slot];
        let by_peer = matches!(cut, Cut::ByPeer(_));
        if !by_peer || !stream.marks.has(Marks::FIN_IN) {
            self.chunks.clear(&mut stream.inbox, after);
        }
        let mut flags = Flags::RST;
        if stream.marks.take(Marks::ACK_DUE) {
            // hashicorp's closes the session if the ACK of an accepted stream never comes.
            flags = flags.with(Flags::ACK);
        }
        if !by_peer && !stream.marks.has(Marks::SYN_DUE) {
            self.steady.counts.resets_out = self.steady.counts.resets_out.wrapping_add(1);
            let delta = match cut {
                Cut::Here(code) => code,
                _ => 0,
            };
            let stream = stream.id;
            let reset = Header::WindowUpdate { stream, flags, delta };
            match cut {
                Cut::Untaken | Cut::Memory => self.answer(reset, after),
                _ => self.announce(reset, after),
            }
        }
        self.off_wire(slot, after);
    }

    /// The stream is over on the wire: the peer will not mean it any more.
    pub(super) fn off_wire(&mut self, slot: u32, after: &mut After) {
        let stream = &mut self.table[slot];
        stream.marks.set(Marks::OFF_WIRE);
        after.wake(&mut stream.reader);
        after.wake(&mut stream.writer);
        let (id, marks) = (stream.id, stream.marks);
        self.table.forget_id(id);
        if !self.is_ours(id) {
            self.incoming -= 1;
        }
        if self.table[slot].marks.take(Marks::UNACKED) {
            self.unacked -= 1;
        }
        if self.table[slot].marks.take(Marks::ORPHAN) {
            self.orphans -= 1;
        }
        self.growth = self.growth.saturating_sub(self.table[slot].grown);
        if marks.has(Marks::DUE) && !marks.has(Marks::ACK_DUE) {
            self.table[slot].marks.take(Marks::DUE.and(Marks::SYN_DUE));
            self.due.remove(&mut self.table, slot);
        }
        if marks.has(Marks::QUEUED) && self.table[slot].cut != Cut::No {
            self.accepting.remove(&mut self.table, slot);
            self.queued -= 1;
            self.table[slot].marks.take(Marks::QUEUED);
        }
        self.wake_waiters(after);
        self.wake_driver(after);
        self.free_if_over(slot, after);
    }

    /// Frees a stream that is over and that nobody holds.
    pub(super) fn free_if_over(&mut self, slot: u32, after: &mut After) {
        let marks = self.table[slot].marks;
        let over = Marks::OFF_WIRE.and(Marks::NO_READER).and(Marks::NO_WRITER);
        if !marks.has_all(over) || marks.has(Marks::QUEUED.and(Marks::ACK_DUE)) {
            return;
        }
        if marks.has(Marks::DUE) {
            self.due.remove(&mut self.table, slot);
        }
        if marks.has(Marks::BLOCKED) {
            self.blocked.remove(&mut self.table, slot);
        }
        let mut stream = self.table.remove(slot);
        self.chunks.clear(&mut stream.inbox, after);
        after.unpark(&mut stream.reader);
        after.unpark(&mut stream.writer);
    }

    /// A handle is gone. A direction that was not ended is cut, so that the peer does not take it for complete.
    pub(in crate::yamux) fn drop_half(&mut self, slot: u32, half: Half, after: &mut After) {
        let stream = &mut self.table[slot];
        match half {
            Half::Read => {
                stream.marks.set(Marks::NO_READER);
                after.unpark(&mut stream.reader);
                self.chunks.clear(&mut stream.inbox, after);
            }
            Half::Write => {
                stream.marks.set(Marks::NO_WRITER);
                after.unpark(&mut stream.writer);
            }
        }
        let marks = stream.marks;
        if !marks.has(Marks::OFF_WIRE) {
            let closed = marks.has(Marks::FIN_OUT.and(Marks::FIN_DUE));
            if !closed && marks.has(Marks::NO_WRITER) {
                // This frees it, too.
                return self.cut(slot, Cut::Here(0), after);
            }
            if marks.has_all(Marks::NO_READER.and(Marks::NO_WRITER)) && !marks.has(Marks::FIN_IN) {
                if self.orphans >= limits::MAX_ORPHANS {
                    return self.cut(slot, Cut::Here(0), after);
                }
                self.orphans += 1;
                self.table[slot].marks.set(Marks::ORPHAN);
            }
        }
        self.free_if_over(slot, after);
    }

    /// Tells the peer that this side takes no streams; those that are open go on.
    pub(in crate::yamux) fn go_away(&mut self, after: &mut After) {
        if !self.steady.away && self.steady.ended.is_none() {
            self.steady.away = true;
            self.refuse_queued(after);
            self.announce(Header::GoAway { code: 0 }, after);
            after.wake(&mut self.steady.accepter);
        }
    }

    /// Neither takes nor opens streams, and ends when those that are open have ended, or after `limit`.
    pub(in crate::yamux) fn close(&mut self, limit: Duration, after: &mut After) {
        if self.steady.ended.is_some() {
            return;
        }
        self.steady.closing = Closing::Asked(limit);
        self.refuse_queued(after);
        after.wake(&mut self.steady.accepter);
        self.wake_waiters(after);
        self.wake_driver(after);
    }

    /// Streams that nobody has accepted are reset.
    fn refuse_queued(&mut self, after: &mut After) {
        while let Some(slot) = self.accepting.pop(&self.table) {
            self.queued -= 1;
            self.steady.counts.refused = self.steady.counts.refused.wrapping_add(1);
            self.table[slot].marks.take(Marks::QUEUED);
            self.cut(slot, Cut::Here(0), after);
        }
    }

    pub(in crate::yamux) fn add_handle(&mut self) {
        self.steady.handles += 1;
    }

    /// With the last handle nobody can accept or open any more. Streams go on.
    pub(in crate::yamux) fn drop_handle(&mut self, after: &mut After) {
        self.steady.handles -= 1;
        if self.steady.handles == 0 {
            self.refuse_queued(after);
            self.wake_driver(after);
        }
    }

    /// Whether nothing is left to do but to say so and to close.
    pub(in crate::yamux) fn is_done(&self) -> bool {
        let closing = self.steady.closing != Closing::No || self.steady.handles == 0;
        closing && self.table.on_wire() == 0
    }

    /// Waits until the driver has done all it can, and says why it ended.
    pub(in crate::yamux) fn poll_finished(&mut self, waker: &Waker) -> Poll<Error> {
        if !self.steady.finished {
            self.park_waiter(waker);
            return Poll::Pending;
        }
        Poll::Ready(self.steady.ended.as_deref().cloned().unwrap_or(Error::Closed))
    }

    /// The driver has done all it can.
    pub(in crate::yamux) fn finish(&mut self, after: &mut After) {
        self.end(Error::DriverDropped, after);
        self.steady.finished = true;
        self.wake_waiters(after);
    }

    pub(in crate::yamux) fn ended(&self) -> Option<&Error> {
        self.steady.ended.as_deref()
    }

    /// The session is over, and every stream fails once its bytes are read. The first reason is final.
    pub(in crate::yamux) fn end(&mut self, error: Error, after: &mut After) {
        if self.steady.ended.is_some() {
            return;
        }
        self.steady.ended = Some(Box::new(error));
        self.refuse_queued(after);
        for slot in self.table.slots() {
            if let Some(stream) = self.table.get_mut(slot) {
                after.wake(&mut stream.reader);
                after.wake(&mut stream.writer);
                let marks = stream.marks;
                let nobody = Marks::NO_READER.and(Marks::NO_WRITER);
                if marks.has_all(nobody) && !marks.has(Marks::OFF_WIRE) {
                    self.off_wire(slot, after);
                }
            }
        }
        self.steady.pings.end(after);
        after.wake(&mut self.steady.accepter);
        self.wake_waiters(after);
        self.wake_driver(after);
    }

    /// What GoAway says in the end.
    pub(in crate::yamux) fn last_word(&mut self, after: &mut After) {
        let code = self.ended().map_or(0, Error::go_away_code);
        self.answers.clear();
        self.announcements.clear();
        self.announcements.push_back(Header::GoAway { code });
        while self.due.pop(&self.table).is_some() {}
        after.buffer(self.batch.take());
    }
}
