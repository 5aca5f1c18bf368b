//! Pings of this side: the application's, those that keep alive, and those that measure the way.

use std::task::{Poll, Waker};
use std::time::Duration;

use super::{After, Moment};
use crate::yamux::limits;

/// What was asked and not yet answered.
#[derive(Default)]
pub(super) struct Pings {
    next: u32,
    /// The latest round-trip time in microseconds, and when that was; 0 if there is none.
    rtt_micros: u32,
    rtt_at: Moment,
    /// Mostly there are none.
    #[expect(clippy::box_collection, reason = "an idle session has 8 bytes for it instead of 24")]
    open: Option<Box<Vec<Ping>>>,
}

struct Ping {
    value: u32,
    sent: Option<Moment>,
    answer: Option<Duration>,
    /// Whether somebody will ask for the answer.
    wanted: bool,
    waker: Option<Waker>,
}

impl Pings {
    fn open(&self) -> &[Ping] {
        self.open.as_deref().map_or(&[], Vec::as_slice)
    }

    fn open_mut(&mut self) -> &mut [Ping] {
        self.open.as_deref_mut().map_or(&mut [], Vec::as_mut_slice)
    }

    /// Asks, if not too many are under way. An answer that nobody wants is awaited once.
    pub(super) fn ask(&mut self, wanted: bool) -> Option<u32> {
        let open = self.open.get_or_insert_default();
        if wanted && open.len() >= limits::MAX_PINGS {
            return None;
        }
        if !wanted {
            open.retain(|ping| ping.wanted);
        }
        let value = self.next;
        self.next = self.next.wrapping_add(1);
        open.push(Ping { value, sent: None, answer: None, wanted, waker: None });
        Some(value)
    }

    /// Asks for the round-trip time, if nobody does already.
    pub(super) fn measure(&mut self) {
        if self.open.is_none() {
            self.ask(false);
        }
    }

    /// Whether one was sent since then, or is about to be.
    pub(super) fn is_asked_since(&self, then: Moment) -> bool {
        self.open().iter().any(|ping| ping.sent.is_none_or(|sent| sent >= then))
    }

    pub(super) fn is_due(&self) -> bool {
        self.open().iter().any(|ping| ping.sent.is_none())
    }

    pub(super) fn next_due(&mut self, now: Moment) -> Option<u32> {
        let ping = self.open_mut().iter_mut().find(|ping| ping.sent.is_none())?;
        ping.sent = Some(now);
        Some(ping.value)
    }

    /// An answer. One that was not asked for means nothing.
    pub(super) fn answered(&mut self, value: u32, now: Moment, after: &mut After) {
        let asked = |ping: &Ping| ping.value == value && ping.answer.is_none();
        let Some(at) = self.open().iter().position(asked) else { return };
        let ping = &mut self.open_mut()[at];
        let Some(sent) = ping.sent else { return };
        let time = now.since(sent);
        let wanted = ping.wanted;
        if wanted {
            ping.answer = Some(time);
            after.wake(&mut ping.waker);
        } else {
            self.remove(at);
        }
        self.rtt_micros = u32::try_from(time.as_micros()).unwrap_or(u32::MAX).max(1);
        self.rtt_at = now;
    }

    /// The time that the ping of this value took.
    pub(super) fn poll(
        &mut self,
        value: u32,
        waker: &Waker,
        after: &mut After,
    ) -> Poll<Option<Duration>> {
        let Some(at) = self.open().iter().position(|ping| ping.value == value) else {
            return Poll::Ready(None);
        };
        if let Some(time) = self.open()[at].answer {
            self.remove(at);
            return Poll::Ready(Some(time));
        }
        after.park(&mut self.open_mut()[at].waker, waker);
        Poll::Pending
    }

    /// Nobody waits for this one any more.
    pub(super) fn forget(&mut self, value: u32, after: &mut After) {
        if let Some(at) = self.open().iter().position(|ping| ping.value == value) {
            after.unpark(&mut self.open_mut()[at].waker);
            self.remove(at);
        }
    }

    fn remove(&mut self, at: usize) {
        if let Some(open) = &mut self.open {
            open.swap_remove(at);
            if open.is_empty() {
                self.open = None;
            }
        }
    }

    /// The session is over.
    pub(super) fn end(&mut self, after: &mut After) {
        for mut ping in self.open.take().into_iter().flat_map(|open| *open) {
            after.wake(&mut ping.waker);
        }
    }

    pub(super) fn rtt(&self) -> Option<Duration> {
        (self.rtt_micros > 0).then(|| Duration::from_micros(self.rtt_micros.into()))
    }

    /// The round-trip time, if it was measured lately.
    pub(super) fn recent_rtt(&self, now: Moment) -> Option<Duration> {
        self.rtt().filter(|_| now.since(self.rtt_at) < limits::RTT_AGE)
    }
}
