//! The future that moves a session's bytes. It only translates between the connection and the protocol.

mod receiving;
mod sending;
mod session;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use tokio::time::{Instant, Sleep, sleep_until};

use super::error::Error;
use super::limits;
use super::session::{Core, Moment};
use super::shared::Shared;
use crate::ready::ReadyReader;

pub use session::Session;

use receiving::Reading;
use sending::Writing;

/// Turns of reading and writing before other tasks get one.
const TURNS: u32 = 4;

/// Moves the bytes of a [`Session`]: spawn it, or poll it together with what uses the session. Nothing happens without it.
///
/// It is done when the session is: `Ok` if the end was one that both sides can have wanted, otherwise why the session ended. It ends
/// by itself when all handles of the session and all streams are gone. Dropping it closes the connection and fails what is open.
///
/// It needs a runtime with time enabled, unless the [`Config`](super::Config) sets no time limit at all.
#[must_use = "a session does nothing unless its driver is polled"]
pub struct Driver<S> {
    io: S,
    shared: Arc<Shared>,
    reading: Reading,
    writing: Writing,
    stage: Stage,
    start: Instant,
    timer: Option<Pin<Box<Sleep>>>,
    /// Why the connection takes nothing any more, and how long the peer may still say something.
    broken: Option<Box<(Error, Moment)>>,
}

/// How far the end has come.
enum Stage {
    Running,
    /// The last frames are sent.
    Parting(Box<End>),
    /// What still comes is dropped.
    Lingering(Box<End>),
    Over,
}

struct End {
    result: Result<(), Error>,
    until: Moment,
    /// Bytes that were dropped.
    dropped: usize,
    /// The peer has nothing more to say.
    peer_ended: bool,
}

impl<S: ReadyReader + AsyncWrite + Unpin> Driver<S> {
    pub(super) fn new(io: S, shared: Arc<Shared>) -> Self {
        Self {
            io,
            reading: Reading::new(&shared),
            shared,
            writing: Writing::default(),
            stage: Stage::Running,
            start: Instant::now(),
            timer: None,
            broken: None,
        }
    }

    fn now(&self) -> Moment {
        Moment::after_start(Instant::now() - self.start)
    }

    /// Runs until the session ends.
    fn run(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        for _ in 0..TURNS {
            let now = self.now();
            let done = self.shared.with(|core, after| {
                if core.next_timeout().is_some_and(|at| now >= at) {
                    core.on_time(now, after)?;
                }
                if let Some(error) = core.ended() {
                    return Err(error.clone());
                }
                Ok(core.is_done() && !core.has_output())
            })?;
            if done && self.writing.is_idle() {
                self.shared.with(|core, after| core.end(Error::Closed, after));
                return Poll::Ready(Ok(()));
            }
            let received = self.reading.poll(&mut self.io, &self.shared, cx, now)?;
            if matches!(received, Poll::Ready(false)) {
                return Poll::Ready(self.shared.with(Core::end_of_connection));
            }
            let sent = self.send(cx, now)?;
            if received.is_pending() && sent.is_pending() {
                let parked = self.shared.with(|core, after| {
                    core.park_driver(cx.waker(), after);
                    let stopped = self.broken.is_some() || self.writing.is_blocked();
                    let waits = stopped || !core.has_output();
                    let parked = waits && core.ended().is_none() && !core.is_done();
                    parked.then(|| core.next_timeout())
                });
                if self.shared.rest() {
                    self.writing.rest();
                }
                if let Some(next) = parked
                    && self.sleep(cx, next).is_pending()
                {
                    return Poll::Pending;
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Sends. When the connection takes nothing any more, what the peer has sent before, perhaps the reason, is still read.
    fn send(&mut self, cx: &mut Context<'_>, now: Moment) -> Result<Poll<()>, Error> {
        if let Some(broken) = &self.broken {
            let (error, until) = &**broken;
            return if now >= *until { Err(error.clone()) } else { Ok(Poll::Pending) };
        }
        match self.writing.poll(&mut self.io, &self.shared, cx, now) {
            Err(error @ Error::Io { .. }) => {
                let until = now.after(self.shared.with(|core, _| core.config().linger));
                self.broken = Some(Box::new((error, until)));
                Ok(Poll::Pending)
            }
            sent => sent,
        }
    }

    /// Waits for the next moment at which something is due. The timer is not set back by what happens in between.
    fn sleep(&mut self, cx: &mut Context<'_>, of_session: Option<Moment>) -> Poll<()> {
        let next = match &self.stage {
            Stage::Parting(end) | Stage::Lingering(end) => [Some(end.until), None, None, None],
            Stage::Over => [None; 4],
            Stage::Running => [
                self.broken.as_ref().map(|broken| broken.1),
                of_session,
                self.reading.next_timeout(&self.shared),
                self.writing.next_timeout(&self.shared),
            ],
        };
        let Some(next) = next.into_iter().flatten().min() else { return Poll::Pending };
        let now = self.now();
        if next <= now {
            return Poll::Ready(());
        }
        let at = self.start + next.since_start();
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        if at < timer.deadline() || timer.is_elapsed() {
            timer.as_mut().reset(at);
        }
        timer.as_mut().poll(cx)
    }

    /// Tells the peer, if it can be told, and closes.
    fn part(&mut self, result: Result<(), Error>) {
        let broken = matches!(result, Err(Error::Io { .. } | Error::WriteTimeout));
        let peer_ended = matches!(result, Err(Error::Lost | Error::Truncated)) || broken;
        let result = match result {
            Err(error @ Error::Io { .. }) => {
                self.shared.with(|core, after| core.connection_failed(error, after))
            }
            result => result,
        };
        let now = self.now();
        let linger = self.shared.with(|core, after| {
            if let Err(error) = &result {
                core.end(error.clone(), after);
            }
            core.last_word(after);
            core.config().linger
        });
        self.reading.stop();
        self.writing.finish_frame();
        let end = Box::new(End { result, until: now.after(linger), dropped: 0, peer_ended });
        self.stage = match broken {
            true => Stage::Lingering(end),
            false => Stage::Parting(end),
        };
    }

    fn poll_parting(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let now = self.now();
        while let Stage::Parting(end) = &self.stage {
            if now >= end.until {
                return Poll::Ready(());
            }
            match self.writing.poll(&mut self.io, &self.shared, cx, now) {
                Err(_) => return Poll::Ready(()),
                Ok(Poll::Ready(())) => continue,
                Ok(Poll::Pending) if !self.writing.is_idle() => return Poll::Pending,
                Ok(Poll::Pending) => {}
            }
            match Pin::new(&mut self.io).poll_shutdown(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => {}
            }
            if let Stage::Parting(end) = std::mem::replace(&mut self.stage, Stage::Over) {
                self.stage = Stage::Lingering(end);
            }
        }
        let Stage::Lingering(end) = &mut self.stage else { return Poll::Ready(()) };
        while !end.peer_ended && now < end.until && end.dropped < limits::LINGER_BYTES {
            let pool = self.shared.with(|core, _| core.pool().clone());
            match self.io.poll_read_on_ready(cx, &pool, &mut None) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(Some(buffer))) => end.dropped += buffer.len(),
                Poll::Ready(_) => end.peer_ended = true,
            }
        }
        Poll::Ready(())
    }
}

impl<S: ReadyReader + AsyncWrite + Unpin> Future for Driver<S> {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        loop {
            if matches!(this.stage, Stage::Running) {
                match this.run(cx) {
                    Poll::Pending => return Poll::Pending,
                    Poll::Ready(result) => this.part(result),
                }
            }
            if this.poll_parting(cx).is_ready() {
                let stage = std::mem::replace(&mut this.stage, Stage::Over);
                this.shared.with(Core::finish);
                return match stage {
                    Stage::Parting(end) | Stage::Lingering(end) => Poll::Ready(end.result),
                    _ => Poll::Ready(Ok(())),
                };
            }
            if this.sleep(cx, None).is_pending() {
                return Poll::Pending;
            }
        }
    }
}

impl<S> Drop for Driver<S> {
    fn drop(&mut self) {
        self.shared.with(Core::finish);
    }
}

impl<S> fmt::Debug for Driver<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}
