//! From the connection to the protocol, whatever the pool has to spare.

use std::task::{Context, Poll};

use crate::pool::{BufferPool, Ticket};
use crate::ready::ReadyReader;
use crate::yamux::error::Error;
use crate::yamux::limits;
use crate::yamux::session::{Moment, Rest, Stalled};
use crate::yamux::shared::Shared;

/// Reads in a row with almost no bodies, after which the next is smaller.
const SPARSE_READS: u8 = 4;

/// How the driver reads.
pub(super) struct Reading {
    /// Its nominal size is that of the next read.
    pool: BufferPool,
    /// Reads in a row with almost no bodies.
    sparse: u8,
    /// What is there only at the pool's cap.
    slow: Option<Box<Slow>>,
}

#[derive(Default)]
struct Slow {
    /// The place in the pool's line.
    ticket: Option<Ticket>,
    /// One small buffer of this session's, so that frames without a body are read even when the pool has none.
    reserve: Option<BufferPool>,
    /// A body that waits for a buffer, and since when.
    stalled: Option<(Stalled, Moment)>,
}

impl Reading {
    pub(super) fn new(shared: &Shared) -> Self {
        Self { pool: shared.with(|core, _| core.pool().clone()), sparse: 0, slow: None }
    }

    /// Nothing that was read is looked at any more.
    pub(super) fn stop(&mut self) {
        self.slow = None;
    }

    /// When a body has waited long enough.
    pub(super) fn next_timeout(&self, shared: &Shared) -> Option<Moment> {
        let (_, since) = self.slow.as_ref()?.stalled.as_ref()?;
        Some(since.after(shared.with(|core, _| core.config().memory_patience)))
    }

    /// Reads once. `false` is the end of the connection.
    pub(super) fn poll(
        &mut self,
        io: &mut (impl ReadyReader + Unpin),
        shared: &Shared,
        cx: &mut Context<'_>,
        now: Moment,
    ) -> Result<Poll<bool>, Error> {
        if let Some(slow) = &mut self.slow
            && let Some((stalled, since)) = slow.stalled.take()
        {
            return self.resume(stalled, since, shared, cx, now);
        }
        let wants_input = shared.with(|core, _| {
            let wants = core.wants_input();
            if !wants {
                core.excuse_silence(now);
            }
            wants
        });
        if !wants_input {
            return Ok(Poll::Pending);
        }
        let mut ticket = self.slow.as_mut().and_then(|slow| slow.ticket.take());
        let read = io.poll_read_on_ready(cx, &self.pool, &mut ticket);
        let mut len = 0;
        let rest = match read {
            Poll::Ready(Ok(Some(buffer))) => {
                self.slow = None;
                len = buffer.len();
                Rest::Pooled(buffer)
            }
            Poll::Ready(Ok(None)) => return Ok(Poll::Ready(false)),
            Poll::Ready(Err(error)) => return Err(error.into()),
            Poll::Pending if ticket.is_none() => return Ok(Poll::Pending),
            Poll::Pending => {
                // The pool is at its cap, or the connection has nothing to say.
                let slow = self.slow.get_or_insert_default();
                let reserve = match &slow.reserve {
                    Some(reserve) => reserve,
                    None => slow.reserve.insert(reserve()?),
                };
                match io.poll_read_on_ready(cx, reserve, &mut None) {
                    Poll::Ready(Ok(Some(buffer))) => {
                        slow.ticket = ticket;
                        Rest::Copied(buffer.to_vec())
                    }
                    Poll::Ready(Ok(None)) => return Ok(Poll::Ready(false)),
                    Poll::Ready(Err(error)) => return Err(error.into()),
                    Poll::Pending => return Ok(Poll::Pending),
                }
            }
        };
        let (stalled, bodies) = shared.with(|core, after| {
            let before = core.received_bytes();
            let stalled = core.receive(rest, now, after)?;
            Ok::<_, Error>((stalled, core.received_bytes() - before))
        })?;
        if len > 0 {
            self.adapt(len, bodies);
        }
        self.stall(stalled, now);
        Ok(Poll::Ready(true))
    }

    fn stall(&mut self, stalled: Option<Stalled>, now: Moment) {
        if let Some(stalled) = stalled {
            let slow = self.slow.get_or_insert_default();
            slow.ticket = None;
            slow.stalled = Some((stalled, now));
        }
    }

    /// Goes on with a body, if there is a buffer for it or it has waited long enough.
    fn resume(
        &mut self,
        stalled: Stalled,
        since: Moment,
        shared: &Shared,
        cx: &mut Context<'_>,
        now: Moment,
    ) -> Result<Poll<bool>, Error> {
        let slow = self.slow.get_or_insert_default();
        let taken = self.pool.poll_take(cx, &mut slow.ticket, stalled.need);
        let next = shared.with(|core, after| {
            match taken {
                Poll::Ready(Ok(buffer)) => core.supply(buffer),
                Poll::Pending if now < since.after(core.config().memory_patience) => {
                    // It may be saying something, but nobody is listening.
                    core.excuse_silence(now);
                    return Ok(Err(stalled));
                }
                Poll::Pending | Poll::Ready(Err(_)) => core.give_up_body(after),
            }
            core.receive(stalled.rest, now, after).map(Ok)
        })?;
        match next {
            Ok(stalled) => {
                slow.ticket = None;
                self.stall(stalled, now);
                Ok(Poll::Ready(true))
            }
            Err(stalled) => {
                slow.stalled = Some((stalled, since));
                Ok(Poll::Pending)
            }
        }
    }

    /// The next read is larger if this one was full of bodies, and smaller if there were almost none in some: a flood of pings is read in
    /// small pieces, so that few answers wait. A single one is the end of a burst, and another size takes memory for its handle.
    fn adapt(&mut self, len: usize, bodies: u64) {
        let (size, bodies) = (self.pool.buffer_size(), bodies as usize);
        self.sparse = if bodies < size / 8 { self.sparse.saturating_add(1) } else { 0 };
        let next = if len >= size && bodies >= len / 2 && size < limits::MAX_READ {
            size * 2
        } else if self.sparse >= SPARSE_READS && size > limits::MIN_READ {
            size / 2
        } else {
            return;
        };
        self.sparse = 0;
        // A pool that is too small for it goes on with what it has.
        if let Ok(pool) = self.pool.with_buffer_size(next) {
            self.pool = pool;
        }
    }
}

/// A pool with one buffer of the smallest size.
fn reserve() -> Result<BufferPool, Error> {
    let size = 4 << 10;
    let builder =
        BufferPool::builder().buffer_size(size).retention(crate::pool::Retention::NeverKeep);
    let cap = BufferPool::capacity_for(size).unwrap_or(size);
    builder.cap(cap).build().map_err(|_| Error::Memory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_have_4_kib_to_128_kib() {
        let mut reading = Reading { pool: BufferPool::new(), sparse: 0, slow: None };
        for _ in 0..9 {
            let size = reading.pool.buffer_size();
            reading.adapt(size, size as u64);
        }
        assert_eq!(reading.pool.buffer_size(), 128 << 10);
        // Bursts end with a small read.
        for _ in 0..9 {
            reading.adapt(1, 1);
            reading.adapt(64 << 10, 64 << 10);
        }
        assert_eq!(reading.pool.buffer_size(), 128 << 10);
        // Pings only.
        for _ in 0..9 * SPARSE_READS {
            reading.adapt(reading.pool.buffer_size(), 0);
        }
        assert_eq!(reading.pool.buffer_size(), 4 << 10);
    }
}
