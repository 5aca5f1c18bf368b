//! One direction of a relay.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::end::RelayEnd;
use super::options::RelayOptions;
use super::summary::{CopyReason, End};
use crate::pool::{BufferPool, PooledBuf, Ticket};

/// Bytes moved before other tasks, and the other direction, get a turn.
const TURN: u64 = 1 << 20;

/// What is on its way from one side to the other.
///
/// ```text
///            readable                    written                       source ended
///  Waiting ───────────► Piped, Buffered ─────────► Waiting ── … ── Waiting ───────────► Ending ─► Ended
/// ```
#[derive(Debug)]
pub(super) struct Direction {
    state: State,
    pub(super) bytes: u64,
    /// Its place in the queue for a buffer.
    ticket: Option<Ticket>,
    /// The receiver may keep what it took, until it is flushed.
    unflushed: bool,
    /// Why bytes were not spliced though there were enough of them.
    pub(super) copied: Option<CopyReason>,
    /// Whether what follows is spliced: since a read filled a whole buffer, and until an eighth of one was all that had arrived. A
    /// sender in bulk is often found with less than a buffer.
    #[cfg(target_os = "linux")]
    bulk: bool,
}

#[derive(Debug)]
enum State {
    Waiting,
    #[cfg(target_os = "linux")]
    Piped(super::pipe::Lease),
    Buffered(PooledBuf),
    /// Out of the pool, so that a receiver that has stopped does not keep a buffer from others; and how much of it is written.
    Parked(Box<[u8]>, usize),
    Ending,
    Ended(End),
}

impl Direction {
    pub(super) fn new() -> Self {
        Self {
            state: State::Waiting,
            bytes: 0,
            ticket: None,
            unflushed: false,
            copied: None,
            #[cfg(target_os = "linux")]
            bulk: false,
        }
    }

    pub(super) fn end(&self) -> Option<End> {
        match self.state {
            State::Ended(end) => Some(end),
            _ => None,
        }
    }

    /// Ends it from outside, unless it has ended. What is under way is dropped.
    pub(super) fn stop(&mut self, end: End) {
        if self.end().is_none() {
            self.state = State::Ended(end);
            self.ticket = None;
        }
    }

    /// Moves bytes as long as both sides allow, and answers how it ended.
    pub(super) fn poll<A: RelayEnd, B: RelayEnd>(
        &mut self,
        from: &mut A,
        to: &mut B,
        options: &RelayOptions,
        cx: &mut Context<'_>,
    ) -> Poll<End> {
        let turn_end = self.bytes.saturating_add(TURN);
        loop {
            if let State::Ended(end) = self.state {
                return Poll::Ready(end);
            }
            if self.bytes >= turn_end {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let stepped = match &self.state {
                State::Waiting => self.poll_receive(from, to, options, cx),
                State::Ending => Pin::new(&mut *to).poll_shutdown(cx).map(|result| {
                    // A receiver that is gone needs no end; it had everything before.
                    let gone =
                        result.err().filter(|error| error.kind() != io::ErrorKind::NotConnected);
                    Err(gone.map_or(End::Clean, |error| End::WriteFailed(error.kind())))
                }),
                _ => self.poll_send(to, &options.pool, cx),
            };
            match stepped {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(end)) => self.state = State::Ended(end),
            }
        }
    }

    /// Waits for bytes with nothing in hand.
    fn poll_receive<A: RelayEnd, B: RelayEnd>(
        &mut self,
        from: &mut A,
        to: &mut B,
        options: &RelayOptions,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), End>> {
        let received = self.poll_take(from, to, options, cx);
        if received.is_pending() && self.unflushed {
            match Pin::new(to).poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(End::WriteFailed(error.kind()))),
            }
        }
        match ready!(received) {
            Ok(Some(state)) => self.state = state,
            Ok(None) if from.ended_cleanly() => self.state = State::Ending,
            Ok(None) => return Poll::Ready(Err(End::Truncated)),
            Err(error) => return Poll::Ready(Err(End::ReadFailed(error.kind()))),
        }
        Poll::Ready(Ok(()))
    }

    /// What has arrived, in a pipe or a buffer; `None` at the end of the stream.
    fn poll_take<A: RelayEnd, B: RelayEnd>(
        &mut self,
        from: &mut A,
        to: &B,
        options: &RelayOptions,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Option<State>>> {
        #[cfg(target_os = "linux")]
        if let Some(taken) = self.poll_splice(from, to, options, cx) {
            return taken;
        }
        #[cfg(not(target_os = "linux"))]
        {
            let _ = to;
            self.copied = Some(CopyReason::Disabled);
        }
        let taken = from.poll_read_on_ready(cx, &options.pool, &mut self.ticket);
        #[cfg(target_os = "linux")]
        if taken.is_pending() && self.ticket.is_some() && !self.bulk && self.may_splice() {
            // The pool is at its cap, and a pipe needs none of it. Without a pipe the place in the queue remains.
            self.bulk = true;
            return self.poll_splice(from, to, options, cx).unwrap_or(Poll::Pending);
        }
        let taken = ready!(taken);
        #[cfg(target_os = "linux")]
        if let Ok(Some(buf)) = &taken {
            self.bulk = buf.len() >= options.pool.buffer_size();
        }
        Poll::Ready(taken.map(|buf| buf.map(State::Buffered)))
    }

    /// As `poll_take`, by splice; `None` if the bytes are to be copied.
    ///
    /// A message that fits a buffer costs less by copying: four system calls for a round trip instead of six, since a short read
    /// says that the socket is drained, and a short splice does not.
    #[cfg(target_os = "linux")]
    fn poll_splice<A: RelayEnd, B: RelayEnd>(
        &mut self,
        from: &A,
        to: &B,
        options: &RelayOptions,
        cx: &mut Context<'_>,
    ) -> Option<Poll<io::Result<Option<State>>>> {
        if !self.may_splice() {
            return None;
        }
        let (Some(from), Some(_), Some(pipes)) = (from.bare(), to.bare(), &options.pipes) else {
            let disabled = options.pipes.is_none();
            self.copied = Some(if disabled { CopyReason::Disabled } else { CopyReason::NotBare });
            return None;
        };
        if !self.bulk {
            return None;
        }
        loop {
            match from.poll_readable(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Some(Poll::Ready(Err(error))),
                Poll::Pending => return Some(Poll::Pending),
            }
            let Some(mut pipe) = pipes.take() else {
                self.copied = Some(CopyReason::NoPipe);
                return None;
            };
            // A buffer that is granted to it now goes to the next.
            self.ticket = None;
            return match from.fill(&mut pipe) {
                Ok(0) => Some(Poll::Ready(Ok(None))),
                Ok(filled) => {
                    self.bulk = filled >= options.pool.buffer_size() / 8;
                    Some(Poll::Ready(Ok(Some(State::Piped(pipe)))))
                }
                // The readiness was false, and is cleared now.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) if super::splice::is_refused(&error) => {
                    self.copied = Some(CopyReason::Refused);
                    None
                }
                Err(error) => Some(Poll::Ready(Err(error))),
            };
        }
    }

    /// Whether nothing is known that rules splice out for this relay's whole life.
    #[cfg(target_os = "linux")]
    fn may_splice(&self) -> bool {
        matches!(self.copied, None | Some(CopyReason::NoPipe))
    }

    /// Writes what is under way.
    fn poll_send<B: RelayEnd>(
        &mut self,
        to: &mut B,
        pool: &BufferPool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), End>> {
        let sent = match &mut self.state {
            #[cfg(target_os = "linux")]
            State::Piped(pipe) => {
                let Some(to) = to.bare() else { return Poll::Ready(Err(End::Aborted)) };
                ready!(to.poll_writable(cx)).and_then(|()| to.drain(pipe))
            }
            State::Buffered(buf) => match Pin::new(to).poll_write(cx, buf) {
                Poll::Ready(result) => result,
                Poll::Pending => {
                    if is_scarce(pool) {
                        self.state = State::Parked(buf[..].into(), 0);
                    }
                    return Poll::Pending;
                }
            },
            State::Parked(rest, written) => ready!(Pin::new(to).poll_write(cx, &rest[*written..])),
            State::Waiting | State::Ending | State::Ended(_) => return Poll::Ready(Ok(())),
        };
        match sent {
            Ok(0) => Poll::Ready(Err(End::WriteFailed(io::ErrorKind::WriteZero))),
            Ok(count) => {
                self.sent(count);
                Poll::Ready(Ok(()))
            }
            // A readiness that was false: asking again registers the waker.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Ready(Ok(())),
            Err(error) => Poll::Ready(Err(End::WriteFailed(error.kind()))),
        }
    }

    fn sent(&mut self, count: usize) {
        self.bytes += count as u64;
        let done = match &mut self.state {
            #[cfg(target_os = "linux")]
            State::Piped(pipe) => pipe.filled == 0,
            State::Buffered(buf) => {
                buf.advance(count);
                self.unflushed = true;
                buf.is_empty()
            }
            State::Parked(rest, written) => {
                *written += count;
                self.unflushed = true;
                *written == rest.len()
            }
            State::Waiting | State::Ending | State::Ended(_) => false,
        };
        if done {
            self.state = State::Waiting;
        }
    }
}

/// Whether more than half of the pool's cap is in use.
fn is_scarce(pool: &BufferPool) -> bool {
    let stats = pool.stats();
    stats.in_use_bytes > stats.cap_bytes / 2
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    use crate::pool::BufferPool;
    use crate::relay::{PipePool, RelayOptions, relay};

    /// It waits for a buffer since there is no pipe either, then both are there at once.
    #[tokio::test]
    async fn a_place_in_the_queue_is_left_for_a_pipe() {
        let pipes = PipePool::new(1, 1 << 20);
        let options = RelayOptions {
            pool: BufferPool::builder().cap(33 << 10).build().unwrap(),
            pipes: Some(pipes.clone()),
            ..RelayOptions::default()
        };
        let pipe = pipes.take().unwrap();
        let buffer = options.pool.take(options.pool.buffer_size()).unwrap();
        let (mut left, a) = UnixStream::pair().unwrap();
        let (b, mut right) = UnixStream::pair().unwrap();
        let relaying = tokio::spawn(relay(a, b, &options));
        left.write_all(b"hello").await.unwrap();
        while options.pool.stats().waiting == 0 {
            tokio::task::yield_now().await;
        }
        drop((pipe, buffer));
        right.read_exact(&mut [0; 5]).await.unwrap();
        assert_eq!(pipes.stats().opened, 1);
        assert_eq!(
            options.pool.stats().in_use_buffers,
            0,
            "none is kept for a direction that is idle"
        );
        assert!(!relaying.is_finished());
    }
}
