//! The protocol: what arrives goes in as bytes, what is to be sent comes out as bytes, and `now` is an argument.
//!
//! The caller, which is the driver and the handles of streams,
//!
//! 1. gives what it has read to [`receive`](Core::receive), unless [`wants_input`](Core::wants_input) says no;
//! 2. sends what [`urgent`](Core::urgent) writes at the next boundary between frames, and then the batch from
//!    [`take_batch`](Core::take_batch), which begins and ends at one;
//! 3. calls [`on_time`](Core::on_time) at [`next_timeout`](Core::next_timeout);
//! 4. opens, reads, writes and so on for the application, with the waker to call where the answer is `Pending`;
//! 5. and runs what each call left in [`After`] when it has unlocked the session.
//!
//! The driver's own waker is called like the others when there is something to send or to end.

mod after;
mod batch;
mod chunks;
mod inbound;
mod life;
mod marks;
mod outbound;
mod pings;
mod reading;
mod table;
#[cfg(test)]
mod tests;
mod timing;

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use super::config::{Checked, Config};
use super::error::Error;
use super::header::{self, Header};
use super::stats::SessionStats;
use crate::pool::{BufferPool, PooledBuf};

pub(super) use after::After;
use batch::Batch;
use chunks::Chunks;
use inbound::{Body, Kept};
pub(super) use inbound::{Rest, Stalled};
pub(super) use life::Half;
use pings::Pings;
use table::{Link, List, Table};

/// Microseconds since the session began.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(super) struct Moment(u64);

impl Moment {
    pub(super) fn after_start(elapsed: Duration) -> Self {
        Self(u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX))
    }

    pub(super) fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(Self::after_start(time).0))
    }

    pub(super) fn since_start(self) -> Duration {
        Duration::from_micros(self.0)
    }

    fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// Which ids are this side's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    /// Odd ones.
    Client,
    /// Even ones.
    Server,
}

/// How far this side's end of the session has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Closing {
    No,
    /// No new streams; those that are open go on for so long.
    Asked(Duration),
    /// The same, until then.
    Until(Moment),
}

/// What a session has while it is idle, and no stream is open.
pub(super) struct Steady {
    config: Arc<Checked>,
    pool: BufferPool,
    side: Side,
    next_id: u32,
    handles: u32,
    /// GoAway 0 was sent: from then on this side takes no streams.
    away: bool,
    peer_away: bool,
    closing: Closing,
    ended: Option<Box<Error>>,
    /// The driver has done all it can do.
    finished: bool,
    heard_at: Moment,
    /// When the second began in which frames without effect are counted, in milliseconds, modulo 2^32.
    empty_since: u32,
    pings: Pings,
    driver: Option<Waker>,
    accepter: Option<Waker>,
    /// Tasks that wait to open a stream, or for the end of the session.
    #[expect(clippy::box_collection, reason = "an idle session has 8 bytes for it instead of 24")]
    waiters: Option<Box<Vec<Waker>>>,
    counts: Counts,
}

/// A session without its connection.
pub(super) struct Core {
    steady: Steady,
    table: Table,
    chunks: Chunks,

    // What arrives.
    header: [u8; header::LEN],
    header_len: u8,
    body: Option<Body>,
    /// What stays in the buffer that is being read.
    kept: Option<Kept>,
    /// A buffer for the body that waited for it.
    spare: Option<PooledBuf>,

    // What is sent.
    /// What the peer's frames call for. While too many wait, no more of its frames are read.
    answers: VecDeque<Header>,
    /// What this side has to say by itself.
    announcements: VecDeque<Header>,
    due: List,
    batch: Batch,
    blocked: List,
    /// Credit was not granted for lack of memory.
    withheld: Option<Moment>,

    // Streams.
    /// Streams of the peer on the wire, and those of them that wait to be accepted.
    incoming: u32,
    queued: u32,
    unacked: u32,
    orphans: u32,
    /// What windows have grown by.
    growth: u32,
    accepting: List,
    /// Streams of this side and since when they wait to be acknowledged, if that has a limit.
    opening: VecDeque<(u32, Option<Moment>)>,
}

/// What is counted from the start of the session.
#[derive(Clone, Copy, Default)]
pub(super) struct Counts {
    pub(super) received: u64,
    pub(super) sent: u64,
    pub(super) opened: u32,
    pub(super) accepted: u32,
    pub(super) refused: u32,
    pub(super) resets_in: u32,
    pub(super) resets_out: u32,
    /// Frames without effect, in this second alone.
    pub(super) empty_frames: u32,
}

impl Steady {
    pub(super) fn new(side: Side, config: Config, pool: BufferPool) -> Self {
        Self {
            config: config.0,
            pool,
            side,
            next_id: match side {
                Side::Client => 1,
                Side::Server => 2,
            },
            handles: 1,
            away: false,
            peer_away: false,
            closing: Closing::No,
            ended: None,
            finished: false,
            heard_at: Moment::default(),
            empty_since: 0,
            pings: Pings::default(),
            driver: None,
            accepter: None,
            waiters: None,
            counts: Counts::default(),
        }
    }
}

impl Core {
    pub(super) fn new(steady: Steady) -> Self {
        Self {
            steady,
            table: Table::new(),
            chunks: Chunks::new(),
            header: [0; header::LEN],
            header_len: 0,
            body: None,
            kept: None,
            spare: None,
            answers: VecDeque::new(),
            announcements: VecDeque::new(),
            due: List::new(Link::Due),
            batch: Batch::default(),
            blocked: List::new(Link::Waiting),
            withheld: None,
            incoming: 0,
            queued: 0,
            unacked: 0,
            orphans: 0,
            growth: 0,
            accepting: List::new(Link::Waiting),
            opening: VecDeque::new(),
        }
    }

    /// Whether nothing would be lost with everything but what is steady.
    pub(super) fn is_idle(&self) -> bool {
        self.table.is_empty()
            && self.header_len == 0
            && self.body.is_none()
            && self.answers.is_empty()
            && self.announcements.is_empty()
            && self.batch.is_empty()
            && self.opening.is_empty()
            && self.withheld.is_none()
    }

    /// Keeps what is steady.
    pub(super) fn rest(self) -> Steady {
        self.steady
    }

    pub(super) fn config(&self) -> &Checked {
        &self.steady.config
    }

    pub(super) fn pool(&self) -> &BufferPool {
        &self.steady.pool
    }

    /// Whether this id is one that this side opens.
    fn is_ours(&self, id: u32) -> bool {
        (id % 2 == 1) == (self.steady.side == Side::Client)
    }

    fn wake_driver(&mut self, after: &mut After) {
        after.wake(&mut self.steady.driver);
    }

    /// Notes the driver, which has nothing left to do.
    pub(super) fn park_driver(&mut self, waker: &Waker, after: &mut After) {
        after.park(&mut self.steady.driver, waker);
    }

    fn park_waiter(&mut self, waker: &Waker) {
        let waiters = self.steady.waiters.get_or_insert_default();
        if !waiters.iter().any(|waiter| waiter.will_wake(waker)) {
            waiters.push(waker.clone());
        }
    }

    /// Bytes of bodies, from the start.
    pub(super) fn received_bytes(&self) -> u64 {
        self.steady.counts.received
    }

    pub(super) fn stats(&self) -> SessionStats {
        let counts = self.steady.counts;
        SessionStats {
            streams: self.table.on_wire(),
            incoming: self.incoming,
            queued: self.queued,
            opened: counts.opened,
            accepted: counts.accepted,
            refused: counts.refused,
            resets_received: counts.resets_in,
            resets_sent: counts.resets_out,
            received_bytes: counts.received,
            sent_bytes: counts.sent,
            held_bytes: self.chunks.held(),
            waiting_bytes: self.batch.len(),
            rtt: self.steady.pings.rtt(),
        }
    }

    fn wake_waiters(&mut self, after: &mut After) {
        for waker in self.steady.waiters.take().into_iter().flat_map(|waiters| *waiters) {
            after.wake(&mut Some(waker));
        }
    }
}
