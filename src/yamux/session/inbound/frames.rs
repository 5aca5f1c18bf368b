//! What each frame of the peer does.

use super::Body;
use crate::yamux::error::{Error, Violation};
use crate::yamux::header::{Flags, Header};
use crate::yamux::limits;
use crate::yamux::session::marks::Marks;
use crate::yamux::session::table::{Cut, NONE, Stream};
use crate::yamux::session::{After, Closing, Core, Moment, Steady};

impl Core {
    pub(super) fn on_frame(
        &mut self,
        header: Header,
        now: Moment,
        after: &mut After,
    ) -> Result<(), Error> {
        match header {
            Header::Data { stream, flags, len } => self.on_data(stream, flags, len, now, after),
            Header::WindowUpdate { stream, flags, delta } => {
                self.on_window_update(stream, flags, delta, now, after)
            }
            Header::Ping { value } => {
                self.answer(Header::Pong { value }, after);
                self.empty_frame(now)
            }
            Header::Pong { value } => {
                self.steady.pings.answered(value, now, after);
                self.empty_frame(now)
            }
            Header::GoAway { code: 0 } => {
                self.steady.peer_away = true;
                self.wake_waiters(after);
                self.wake_driver(after);
                self.empty_frame(now)
            }
            Header::GoAway { code } => Err(Error::GoAway { code }),
        }
    }

    /// Counts a frame that moved nothing.
    fn empty_frame(&mut self, now: Moment) -> Result<(), Error> {
        let Steady { counts, empty_since, .. } = &mut self.steady;
        let millis = (now.0 / 1_000) as u32;
        if millis.wrapping_sub(*empty_since) >= 1_000 {
            *empty_since = millis;
            counts.empty_frames = 0;
        }
        counts.empty_frames += 1;
        match counts.empty_frames > limits::MAX_EMPTY_FRAMES {
            true => Err(Violation::Flood.into()),
            false => Ok(()),
        }
    }

    /// What Data and window updates have in common: SYN, ACK and RST. The stream, if the frame means one that is there.
    fn on_stream(
        &mut self,
        id: u32,
        flags: Flags,
        code: u32,
        now: Moment,
        after: &mut After,
    ) -> Result<Option<u32>, Error> {
        if flags.has(Flags::SYN) && !self.on_syn(id, flags, after)? {
            self.empty_frame(now)?;
            return Ok(None);
        }
        let Some(slot) = self.table.find(id) else {
            self.empty_frame(now)?;
            return Ok(None);
        };
        if flags.has(Flags::RST) {
            self.steady.counts.resets_in = self.steady.counts.resets_in.wrapping_add(1);
            self.cut(slot, Cut::ByPeer(code), after);
            self.empty_frame(now)?;
            return Ok(None);
        }
        if self.table[slot].marks.take(Marks::UNACKED) {
            self.unacked -= 1;
            self.wake_waiters(after);
        } else if flags.has(Flags::ACK) {
            self.empty_frame(now)?;
        }
        Ok(Some(slot))
    }

    /// Whether there is a new stream.
    fn on_syn(&mut self, id: u32, flags: Flags, after: &mut After) -> Result<bool, Error> {
        if id == 0 || self.is_ours(id) {
            return Err(Violation::SynOfThisSide { stream: id }.into());
        }
        if self.table.find(id).is_some() {
            return Err(Violation::SynTwice { stream: id }.into());
        }
        if flags.has(Flags::RST) {
            return Ok(false);
        }
        // A stream takes its place until the peer reads that it was dropped.
        let unread = self.announcements.len();
        let max_incoming = self.steady.config.max_incoming;
        let refuse = self.steady.away
            || self.steady.closing != Closing::No
            || self.steady.handles == 0
            || self.incoming >= max_incoming
            || unread >= max_incoming as usize
            || self.queued >= self.steady.config.backlog;
        if refuse {
            self.steady.counts.refused = self.steady.counts.refused.wrapping_add(1);
            let reset = Header::WindowUpdate { stream: id, flags: Flags::RST, delta: 0 };
            self.answer(reset, after);
            return Ok(false);
        }
        let marks = Marks::QUEUED.and(Marks::NO_READER).and(Marks::NO_WRITER);
        let slot = self.table.insert(Stream::new(id, marks, self.steady.config.window));
        self.incoming += 1;
        self.queued += 1;
        self.accepting.push(&mut self.table, slot);
        after.wake(&mut self.steady.accepter);
        Ok(true)
    }

    fn on_data(
        &mut self,
        id: u32,
        flags: Flags,
        len: u32,
        now: Moment,
        after: &mut After,
    ) -> Result<(), Error> {
        let slot = self.on_stream(id, flags, 0, now, after)?;
        let mut body = Body { slot: NONE, left: len, fin: false };
        if let Some(slot) = slot {
            let stream = &mut self.table[slot];
            let credit = stream.receive.credit();
            if len > 0 && stream.marks.has(Marks::FIN_IN) {
                // It ended its direction: what is this, then?
                self.cut(slot, Cut::Untaken, after);
            } else if !stream.receive.receive(len) {
                return Err(Violation::CreditExceeded { stream: id, len, credit }.into());
            } else if len > 0 && stream.marks.has(Marks::ORPHAN) {
                self.cut(slot, Cut::Untaken, after);
            } else {
                body = Body { slot, left: len, fin: flags.has(Flags::FIN) };
            }
        }
        if len > 0 {
            self.body = Some(body);
        } else if slot.is_some() && (!body.fin || !self.fin_in(body.slot, after)) {
            // One that is for no stream is counted already.
            self.empty_frame(now)?;
        }
        Ok(())
    }

    fn on_window_update(
        &mut self,
        id: u32,
        flags: Flags,
        delta: u32,
        now: Moment,
        after: &mut After,
    ) -> Result<(), Error> {
        let Some(slot) = self.on_stream(id, flags, delta, now, after)? else { return Ok(()) };
        let stream = &mut self.table[slot];
        if !stream.send.add(delta) {
            return Err(Violation::CreditOverflow { stream: id }.into());
        }
        if delta > 0 {
            after.wake(&mut stream.writer);
        }
        let empty = match flags.has(Flags::FIN) {
            true => !self.fin_in(slot, after),
            false => flags == Flags::NONE,
        };
        if empty && delta == 0 {
            self.empty_frame(now)?;
        }
        Ok(())
    }

    /// The peer has ended its direction. A second time means nothing, and the answer is `false`.
    pub(super) fn fin_in(&mut self, slot: u32, after: &mut After) -> bool {
        let stream = &mut self.table[slot];
        if stream.marks.has(Marks::FIN_IN) {
            return false;
        }
        stream.marks.set(Marks::FIN_IN);
        after.wake(&mut stream.reader);
        if stream.marks.has(Marks::FIN_OUT) {
            self.off_wire(slot, after);
        }
        true
    }
}
