//! What happens because time has passed.

use std::task::{Poll, Waker};
use std::time::Duration;

use super::marks::Marks;
use super::table::Cut;
use super::{After, Closing, Core, Moment};
use crate::yamux::error::Error;
use crate::yamux::limits;

impl Core {
    /// Something was received.
    pub(super) fn heard(&mut self, now: Moment) {
        self.steady.heard_at = now;
    }

    /// When [`on_time`](Self::on_time) is due.
    pub(in crate::yamux) fn next_timeout(&self) -> Option<Moment> {
        let keep_alive = self.steady.config.keep_alive.map(|silence| {
            let asked_at = self.steady.heard_at.after(silence);
            match self.asked_for_life() {
                true => asked_at.after(self.steady.config.keep_alive_answer),
                false => asked_at,
            }
        });
        let withheld = self.withheld.map(|since| since.after(limits::WITHHELD_AGAIN));
        let closing = match self.steady.closing {
            Closing::No => None,
            // The time begins with the next look.
            Closing::Asked(_) => Some(Moment::default()),
            Closing::Until(until) => Some(until),
        };
        [keep_alive, withheld, closing, self.next_open_timeout()].into_iter().flatten().min()
    }

    /// Whether a ping is under way, so that silence means something.
    fn asked_for_life(&self) -> bool {
        self.steady.pings.is_asked_since(self.steady.heard_at)
    }

    /// Does what is due.
    ///
    /// # Errors
    /// The session ends: the peer is silent.
    pub(in crate::yamux) fn on_time(
        &mut self,
        now: Moment,
        after: &mut After,
    ) -> Result<(), Error> {
        if let Some(silence) = self.steady.config.keep_alive {
            let asked = self.asked_for_life();
            let asked_at = self.steady.heard_at.after(silence);
            if asked && now >= asked_at.after(self.steady.config.keep_alive_answer) {
                return Err(Error::KeepAlive);
            }
            if !asked && now >= asked_at {
                self.steady.pings.ask(false);
            }
        }
        if self.withheld.is_some_and(|since| now >= since.after(limits::WITHHELD_AGAIN)) {
            self.withheld = None;
            for slot in self.table.slots() {
                if self.table.get_mut(slot).is_some_and(|stream| {
                    stream.receive.is_due() && !stream.marks.has(Marks::FIN_IN.and(Marks::OFF_WIRE))
                }) {
                    self.make_due(slot, after);
                }
            }
        }
        self.open_timeouts(now, after);
        match self.steady.closing {
            Closing::Asked(limit) => self.steady.closing = Closing::Until(now.after(limit)),
            Closing::Until(until) if now >= until => {
                self.cut_all(after);
                return Err(Error::Deadline);
            }
            _ => {}
        }
        Ok(())
    }

    /// Streams that are still open have timed out.
    fn cut_all(&mut self, after: &mut After) {
        for slot in self.table.slots() {
            if self.table.get_mut(slot).is_some() {
                self.cut(slot, Cut::Here(0), after);
            }
        }
    }

    /// The peer has some time to acknowledge this stream, if so configured.
    pub(super) fn watch_open(&mut self, id: u32) {
        if self.steady.config.open_timeout.is_some() {
            self.opening.push_back((id, None));
        }
    }

    fn next_open_timeout(&self) -> Option<Moment> {
        let limit = self.steady.config.open_timeout?;
        let (_, since) = self.opening.front()?;
        // One that was opened since the last look is due for a look.
        Some(since.map_or(Moment::default(), |since| since.after(limit)))
    }

    fn open_timeouts(&mut self, now: Moment, after: &mut After) {
        let Some(limit) = self.steady.config.open_timeout else { return };
        for (_, since) in self.opening.iter_mut().rev() {
            if since.is_some() {
                break;
            }
            *since = Some(now);
        }
        while let Some(&(id, Some(since))) = self.opening.front() {
            let unacked =
                self.table.find(id).filter(|&slot| self.table[slot].marks.has(Marks::UNACKED));
            let late = now >= since.after(limit);
            if let Some(slot) = unacked {
                if !late {
                    return;
                }
                self.cut(slot, Cut::OpenTimeout, after);
            }
            self.opening.pop_front();
        }
    }

    /// Asks the peer for a sign of life. `None`: too many have asked already.
    pub(in crate::yamux) fn ping(
        &mut self,
        waker: &Waker,
        after: &mut After,
    ) -> Poll<Result<u32, Error>> {
        if let Some(error) = &self.steady.ended {
            return Poll::Ready(Err((**error).clone()));
        }
        let Some(value) = self.steady.pings.ask(true) else {
            self.park_waiter(waker);
            return Poll::Pending;
        };
        self.wake_driver(after);
        Poll::Ready(Ok(value))
    }

    /// How long the answer took.
    pub(in crate::yamux) fn poll_ping(
        &mut self,
        value: u32,
        waker: &Waker,
        after: &mut After,
    ) -> Poll<Result<Duration, Error>> {
        match self.steady.pings.poll(value, waker, after) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Some(time)) => {
                self.wake_waiters(after);
                Poll::Ready(Ok(time))
            }
            Poll::Ready(None) => {
                Poll::Ready(Err(self.steady.ended.as_deref().cloned().unwrap_or(Error::Closed)))
            }
        }
    }

    pub(in crate::yamux) fn forget_ping(&mut self, value: u32, after: &mut After) {
        self.steady.pings.forget(value, after);
        self.wake_waiters(after);
    }
}
