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
    batch: Option<PooledBuf>,
    /// Bytes up to the next boundary between frames in the batch.
    boundary: u32,
    /// Frames without a body that the connection did not take.
    urgent: Option<Box<[u8]>>,
    /// Since when the connection takes nothing.
    blocked: Option<Moment>,
    unflushed: bool,
}

impl Writing {
    /// Everything has been handed to the connection and flushed.
    pub(super) fn is_idle(&self) -> bool {
        self.batch.is_none() && self.urgent.is_none() && !self.unflushed
    }

    /// The connection will wake the driver.
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked.is_some()
    }

    /// When the connection has taken nothing for too long.
    pub(super) fn next_timeout(&self, shared: &Shared) -> Option<Moment> {
        let limit = shared.with(|core, _| core.config().write_timeout)?;
        Some(self.blocked?.after(limit))
    }

    /// Sends no more than the frame that is under way.
    pub(super) fn finish_frame(&mut self) {
        if let Some(batch) = &mut self.batch {
            batch.truncate(self.boundary as usize);
        }
        self.batch.take_if(|batch| batch.is_empty());
    }

    /// Sends once. `Pending`: the connection takes nothing, or there is nothing.
    pub(super) fn poll(
        &mut self,
        io: &mut (impl AsyncWrite + Unpin),
        shared: &Shared,
        cx: &mut Context<'_>,
        now: Moment,
    ) -> Result<Poll<()>, Error> {
        let mut fresh = [0; URGENT];
        let fresh_len = shared.with(|core, after| {
            let len = if self.urgent.is_none() { core.urgent(&mut fresh, now, after) } else { 0 };
            if self.batch.is_none() {
                self.batch = core.take_batch(after);
                self.boundary = 0;
            }
            len
        });
        let kept = self.urgent.take();
        let urgent = kept.as_deref().unwrap_or(&fresh[..fresh_len]);
        let batch = self.batch.as_deref().unwrap_or_default();
        if urgent.is_empty() && batch.is_empty() {
            return self.flush(io, shared, cx, now);
        }
        let (begun, whole) = batch.split_at(self.boundary as usize);
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
            self.urgent = Some(urgent[of_urgent..].into());
        }
        self.advance(of_begun);
        self.advance(of_whole);
        if count == 0 {
            return self.wait(shared, now);
        }
        self.blocked = None;
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
            self.blocked = None;
        }
        Ok(Poll::Pending)
    }

    fn wait(&mut self, shared: &Shared, now: Moment) -> Result<Poll<()>, Error> {
        self.blocked.get_or_insert(now);
        match self.next_timeout(shared) {
            Some(at) if now >= at => Err(Error::WriteTimeout),
            _ => Ok(Poll::Pending),
        }
    }

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
