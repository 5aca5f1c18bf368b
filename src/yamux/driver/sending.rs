//! From the protocol to the connection: one call for a header and its body, and for many frames.

use std::io::{ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;

use crate::pool::PooledBuf;
use crate::yamux::error::Error;
use crate::yamux::header::{self, Header};
use crate::yamux::session::Moment;
use crate::yamux::shared::Shared;

/// Frames that go ahead of data in one call.
const URGENT: usize = 64 * header::LEN;

/// What is on its way to the connection.
#[derive(Default)]
pub(super) struct Writing {
    /// Kept as long as streams are open.
    held: Option<Box<Held>>,
    unflushed: bool,
}

#[derive(Default)]
struct Held {
    batch: Option<PooledBuf>,
    /// Bytes up to the next boundary between frames in the batch.
    boundary: u32,
    /// Frames without a body that the connection did not take.
    urgent: Option<Box<[u8]>>,
    /// Since when the connection takes nothing.
    blocked: Option<Moment>,
}

impl Writing {
    /// Everything has been handed to the connection and flushed.
    pub(super) fn is_idle(&self) -> bool {
        !self.unflushed
            && self.held.as_ref().is_none_or(|held| held.batch.is_none() && held.urgent.is_none())
    }

    /// The connection will wake the driver.
    pub(super) fn is_blocked(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.blocked.is_some())
    }

    /// Gives back what is needed only while streams are open.
    pub(super) fn rest(&mut self) {
        if self.is_idle() {
            self.held = None;
        }
    }

    /// When the connection has taken nothing for too long.
    pub(super) fn next_timeout(&self, shared: &Shared) -> Option<Moment> {
        let since = self.held.as_ref()?.blocked?;
        let limit = shared.with(|core, _| core.config().write_timeout)?;
        Some(since.after(limit))
    }

    /// Sends no more than the frame that is under way.
    pub(super) fn finish_frame(&mut self) {
        let Some(held) = &mut self.held else { return };
        if let Some(batch) = &mut held.batch {
            batch.truncate(held.boundary as usize);
        }
        held.batch.take_if(|batch| batch.is_empty());
    }

    /// Sends once. `Pending`: the connection takes nothing, or there is nothing.
    pub(super) fn poll(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        shared: &Shared,
        cx: &mut Context<'_>,
        now: Moment,
    ) -> Result<Poll<()>, Error> {
        let held = self.held.get_or_insert_default();
        let mut fresh = [0; URGENT];
        let fresh_len = shared.with(|core, after| {
            let len = if held.urgent.is_none() { core.urgent(&mut fresh, now, after) } else { 0 };
            if held.batch.is_none() {
                held.batch = core.take_batch(after);
                held.boundary = 0;
            }
            len
        });
        let kept = held.urgent.take();
        let urgent = kept.as_deref().unwrap_or(&fresh[..fresh_len]);
        let batch = held.batch.as_deref().unwrap_or_default();
        if urgent.is_empty() && batch.is_empty() {
            return self.flush(io, shared, cx, now);
        }
        let (begun, whole) = batch.split_at(held.boundary as usize);
        let slices = [begun, urgent, whole].map(IoSlice::new);
        let slices = match (begun.is_empty(), whole.is_empty()) {
            (true, true) => &slices[1..2],
            (true, false) if urgent.is_empty() => &slices[2..],
            (true, false) => &slices[1..],
            (false, _) => &slices[..],
        };
        let written = Pin::new(io).poll_write_vectored(cx, slices);
        let begun_len = begun.len();
        let count = match written {
            Poll::Ready(Ok(0)) => return Err(std::io::Error::from(ErrorKind::WriteZero).into()),
            Poll::Ready(Ok(count)) => count,
            Poll::Ready(Err(error)) => return Err(error.into()),
            Poll::Pending => 0,
        };
        let of_begun = count.min(begun_len);
        let of_urgent = (count - of_begun).min(urgent.len());
        let of_whole = count - of_begun - of_urgent;
        if of_urgent < urgent.len() {
            held.urgent = Some(urgent[of_urgent..].into());
        }
        held.advance(of_begun);
        held.advance(of_whole);
        if count == 0 {
            return self.wait(shared, now);
        }
        held.blocked = None;
        self.unflushed = true;
        Ok(Poll::Ready(()))
    }

    fn flush(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        shared: &Shared,
        cx: &mut Context<'_>,
        now: Moment,
    ) -> Result<Poll<()>, Error> {
        if self.unflushed {
            match Pin::new(io).poll_flush(cx) {
                Poll::Pending => return self.wait(shared, now),
                Poll::Ready(flushed) => flushed?,
            }
            self.unflushed = false;
            if let Some(held) = &mut self.held {
                held.blocked = None;
            }
        }
        Ok(Poll::Pending)
    }

    fn wait(&mut self, shared: &Shared, now: Moment) -> Result<Poll<()>, Error> {
        self.held.get_or_insert_default().blocked.get_or_insert(now);
        match self.next_timeout(shared) {
            Some(at) if now >= at => Err(Error::WriteTimeout),
            _ => Ok(Poll::Pending),
        }
    }
}

impl Held {
    /// So many bytes of the batch are sent.
    fn advance(&mut self, mut count: usize) {
        let Some(batch) = &mut self.batch else { return };
        while count > 0 {
            if self.boundary == 0 {
                self.boundary = match batch.first_chunk().map(|header| Header::decode(*header)) {
                    Some(Ok(Header::Data { len, .. })) => len + header::LEN as u32,
                    _ => header::LEN as u32,
                };
            }
            let here = count.min(self.boundary as usize);
            batch.advance(here);
            self.boundary -= here as u32;
            count -= here;
        }
        self.batch.take_if(|batch| batch.is_empty());
    }
}
