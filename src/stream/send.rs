//! Sending: many records for one system call, and nothing kept that the kernel took.

mod gather;
mod outbound;
mod seal;

use std::io;

use alts_handshaker::Role;

use super::channel::{Channel, Direction, Rare};
use super::window::LEAD_IN;
use crate::error::Error;
use crate::ready::Sink;
use crate::record::Counter;
use outbound::Outbound;

/// Records of up to so many bytes are sealed on the stack: enough for a 1 KiB message. Clearing that is cheaper than taking a
/// buffer from the pool.
const SMALL: usize = 2 << 10;
/// The most payload that is sealed at once, in bytes: with its records it fits the largest buffer of a pool, 32 MiB.
pub(super) const MAX_WRITE_BATCH: usize = 16 << 20;

/// The sending direction: what it keeps at all times.
#[derive(Debug)]
pub(crate) struct Sending {
    /// The number of the next record to send.
    counter: Counter,
    state: State,
}

/// Each state begins before the step that may fail, so that no step is done twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// A shutdown was asked for. What was written before it is still on its way to the kernel.
    Draining,
    /// The authenticated close is sealed, if there is to be one; the socket's half is still open.
    Closing,
    Closed,
}

/// What the sending direction holds in rare states.
#[derive(Debug, Default)]
pub(crate) struct Unsent {
    /// Sealed bytes that the kernel did not take yet.
    outbound: Option<Outbound>,
    /// The task that waits until the kernel has taken them, where it may be another one than the reader's.
    #[cfg(feature = "tokio")]
    writer: Option<std::task::Waker>,
    /// Why nothing can be sent any more.
    failure: Option<Box<Error>>,
    /// Nothing but the close was lost, since the socket takes nothing any more.
    lost_close: bool,
}

impl Sending {
    pub(super) fn new(role: Role) -> Self {
        Self { counter: Counter::new(role), state: State::Open }
    }

    /// How many records were sealed.
    #[inline]
    pub(super) fn records(&self) -> u64 {
        self.counter.records()
    }

    #[cfg(test)]
    pub(super) fn set_counter(&mut self, counter: Counter) {
        self.counter = counter;
    }
}

impl Direction for Sending {
    type Rare = Unsent;
}

impl Rare for Unsent {
    fn is_empty(&self) -> bool {
        self.outbound.is_none() && self.failure.is_none()
    }
}

impl<R: Direction> Channel<R, Sending> {
    /// Seals as much of `payload` as one batch takes and hands it to the socket. Returns how much that was; bytes that the
    /// kernel refused are kept, and the next call sends them first.
    ///
    /// # Errors
    /// `WouldBlock` if nothing was sealed, because together with what waits already it would be more than a batch. Any error
    /// of the socket is final, since part of a record may have been sent.
    pub(crate) fn write(
        &mut self,
        sink: &mut impl Sink,
        payload: &[io::IoSlice<'_>],
    ) -> io::Result<usize> {
        let written = self.write_some(sink, payload);
        self.tidy();
        written
    }

    /// Hands the kernel what it refused before, as far as it takes it.
    ///
    /// # Errors
    /// `WouldBlock` if something is left.
    pub(crate) fn drain(&mut self, sink: &mut impl Sink) -> io::Result<()> {
        let drained = self.drain_outbound(sink);
        self.tidy();
        drained
    }

    /// Everything that was written is with the kernel after this.
    pub(crate) fn flush(&mut self, sink: &mut impl Sink) -> io::Result<()> {
        let flushed = self.flush_all(sink);
        self.tidy();
        flushed
    }

    /// Ends the sending direction: with an authenticated close, if that was negotiated, then on the socket, even if the close
    /// cannot be sent.
    pub(crate) fn shutdown(&mut self, sink: &mut impl Sink) -> io::Result<()> {
        let shut = self.end(sink);
        self.tidy();
        shut
    }

    /// Whether sealed bytes wait for the kernel.
    #[inline]
    pub(crate) fn has_outbound(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.unsent.outbound.is_some())
    }

    /// Notes the task that waits until the sealed bytes are with the kernel.
    #[cfg(feature = "tokio")]
    pub(super) fn writer_waits(&mut self, waker: &std::task::Waker) {
        match &mut self.held {
            Some(held) if held.unsent.outbound.is_some() => match &mut held.unsent.writer {
                Some(writer) => writer.clone_from(waker),
                none => *none = Some(waker.clone()),
            },
            _ => {}
        }
    }

    /// The task that waits until the sealed bytes are with the kernel.
    #[cfg(feature = "tokio")]
    pub(super) fn waiting_writer(&self) -> Option<&std::task::Waker> {
        self.held.as_ref()?.unsent.writer.as_ref()
    }

    /// Whether the sending direction has ended, with or without an error.
    pub(super) fn is_closed(&self) -> bool {
        self.sending.state == State::Closed
    }

    /// Clears a failure to send the close, for a peer that has ended its own direction and reads no more. `false` if more than
    /// the close was lost.
    pub(super) fn forgive_lost_close(&mut self) -> bool {
        let Some(held) = self.held.as_mut().filter(|held| held.unsent.lost_close) else {
            return false;
        };
        held.unsent = Unsent::default();
        self.tidy();
        true
    }

    fn write_some(
        &mut self,
        sink: &mut impl Sink,
        payload: &[io::IoSlice<'_>],
    ) -> io::Result<usize> {
        self.not_failed()?;
        if self.sending.state != State::Open {
            return Err(Error::WriteAfterShutdown.into());
        }
        let total = payload.iter().fold(0_usize, |sum, slice| sum.saturating_add(slice.len()));
        match self.drain_outbound(sink) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return self.join_outbound(payload, total)?.ok_or(error);
            }
            drained => drained?,
        }
        if total == 0 {
            return Ok(0);
        }
        self.seal_and_send(sink, payload, self.share(total))
    }

    fn drain_outbound(&mut self, sink: &mut impl Sink) -> io::Result<()> {
        let Some(held) = &mut self.held else { return Ok(()) };
        let Some(outbound) = &mut held.unsent.outbound else { return Ok(()) };
        let (sent, result) = send(sink, outbound.unsent());
        outbound.advance(sent);
        match result {
            Ok(()) => held.unsent = Unsent::default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
            Err(error) => return Err(self.fail_sending(error)),
        }
        Ok(())
    }

    fn flush_all(&mut self, sink: &mut impl Sink) -> io::Result<()> {
        self.not_failed()?;
        self.drain_outbound(sink)?;
        match sink.flush() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                Err(self.fail_sending(error))
            }
            flushed => flushed,
        }
    }

    fn end(&mut self, sink: &mut impl Sink) -> io::Result<()> {
        if self.sending.state == State::Open {
            self.sending.state = State::Draining;
        }
        if self.sending.state == State::Draining {
            or_later(self.drain_outbound(sink))?;
            self.sending.state = State::Closing;
            if self.not_failed().is_ok()
                && self.terms.negotiated.close_notify
                && let Err(error) = self.seal_and_send(sink, &[], 0)
            {
                self.lose_close(error);
            }
        }
        if self.sending.state == State::Closing {
            if self.not_failed().is_ok() {
                // Only the close can be waiting here.
                match self.flush_all(sink) {
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                        self.lose_close(error);
                    }
                    flushed => flushed?,
                }
            }
            match sink.shutdown() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
                Err(error) if self.not_failed().is_ok() => self.lose_close(error),
                _ => {}
            }
            self.sending.state = State::Closed;
        }
        self.not_failed()
    }

    /// Makes `error` the end of the sending direction; it repeats from now on. Unsent bytes are dropped: the peer may have
    /// received part of them.
    fn fail_sending(&mut self, error: impl Into<Error>) -> io::Error {
        let error = error.into();
        let failure = Some(Box::new(error.clone()));
        self.held().unsent = Unsent { failure, ..Unsent::default() };
        error.into()
    }

    /// As [`fail_sending`](Self::fail_sending), where nothing but the close is lost.
    fn lose_close(&mut self, error: io::Error) {
        use io::ErrorKind::{BrokenPipe, NotConnected};
        let lost_close = matches!(error.kind(), BrokenPipe | NotConnected);
        self.fail_sending(error);
        self.held().unsent.lost_close = lost_close;
    }

    #[inline]
    fn not_failed(&self) -> io::Result<()> {
        match self.held.as_ref().and_then(|held| held.unsent.failure.as_deref()) {
            Some(error) => Err(error.clone().into()),
            None => Ok(()),
        }
    }

    /// Seals the first `count` bytes of `payload`, no bytes as one empty record, and hands the records to the socket. What the
    /// kernel does not take is kept. The result is less than `count` only when the counter ends.
    fn seal_and_send(
        &mut self,
        sink: &mut impl Sink,
        payload: &[io::IoSlice<'_>],
        count: usize,
    ) -> io::Result<usize> {
        let wire_len = self.wire_len(count);
        if wire_len <= SMALL {
            let mut small = [0; SMALL];
            let (taken, wire_len) = self.seal(&mut small[..wire_len], payload, count)?;
            let small = &small[..wire_len];
            let (sent, result) = send(sink, small);
            return self.keep(result, taken, || Outbound::exactly(&small[sent..]));
        }
        // Outside the cap that readers share, so that a writer never waits for them, nor they for it.
        let mut batch = self.terms.pool.take_beyond_cap(LEAD_IN + wire_len).map_err(Error::Pool)?;
        batch.set_range(LEAD_IN..LEAD_IN + wire_len);
        let (taken, wire_len) = self.seal(&mut batch, payload, count)?;
        batch.truncate(wire_len);
        let (sent, result) = send(sink, &batch);
        self.keep(result, taken, || {
            batch.advance(sent);
            Outbound::Pooled(batch)
        })
    }

    /// Keeps what the kernel did not take yet. It counts as written.
    #[inline]
    fn keep(
        &mut self,
        result: io::Result<()>,
        taken: usize,
        unsent: impl FnOnce() -> Outbound,
    ) -> io::Result<usize> {
        match result {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.held().unsent.outbound = Some(unsent());
            }
            Err(error) => return Err(self.fail_sending(error)),
        }
        Ok(taken)
    }

    /// Seals all of `payload`, `count` bytes, behind what waits for the kernel already, if that stays within one batch: then
    /// many small writes become one system call. `None` if it does not.
    fn join_outbound(
        &mut self,
        payload: &[io::IoSlice<'_>],
        count: usize,
    ) -> io::Result<Option<usize>> {
        if count == 0 || count > self.batch() {
            return Ok(None);
        }
        let limit = self.wire_len(self.batch());
        let wire_len = self.wire_len(count);
        let Some(mut outbound) = self.held.as_mut().and_then(|held| held.unsent.outbound.take())
        else {
            return Ok(None);
        };
        let Some(room) = outbound.room_for(wire_len, limit, &self.terms.pool) else {
            self.held().unsent.outbound = Some(outbound);
            return Ok(None);
        };
        let sealed = self.seal(room, payload, count);
        outbound.shorten(wire_len - sealed.as_ref().map_or(0, |&(_, filled)| filled));
        self.held().unsent.outbound = Some(outbound);
        sealed.map(|(taken, _)| Some(taken))
    }
}

/// Writes until the kernel has taken everything or takes no more. Returns how much it took.
fn send(sink: &mut impl Sink, sealed: &[u8]) -> (usize, io::Result<()>) {
    let mut sent = 0;
    while sent < sealed.len() {
        match sink.write(&sealed[sent..]) {
            Ok(0) => return (sent, Err(io::ErrorKind::WriteZero.into())),
            Ok(count) => sent += count,
            Err(error) => return (sent, Err(error)),
        }
    }
    (sent, Ok(()))
}

/// Passes on `WouldBlock` only: other errors are stored already.
fn or_later(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
        _ => Ok(()),
    }
}
