//! The task that reads and writes a client's connection.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Sleep;

use super::connection::{Connection, Progress};
use crate::http2::budget::{SECOND, Tick};
use crate::http2::error::Error;
use crate::pool::Ticket;

/// Reads in a row before other tasks have their turn.
const ROUNDS: usize = 5;

/// Reads and writes a client's connection. It is to be polled as long as there are calls: `tokio::spawn` it.
///
/// It ends when the connection has: after the last [`Client`](super::Client) is dropped and the last call has ended, or when the server or the
/// network ends it.
pub struct Driver {
    connection: Arc<Connection>,
    ticket: Option<Ticket>,
    timer: Option<Pin<Box<Sleep>>>,
    /// When the timer goes off.
    due: Tick,
}

impl Driver {
    pub(super) fn new(connection: Arc<Connection>) -> Self {
        Self { connection, ticket: None, timer: None, due: 0 }
    }

    /// When there is something to do that nobody wakes this task for.
    fn next_due(&self) -> Option<Tick> {
        let state = self.connection.state();
        if state.error.is_some() {
            return None;
        }
        let options = &self.connection.options;
        let settings = (!state.core.is_acknowledged()).then_some(options.settings_ticks());
        let watched = options
            .behavior
            .keepalive
            .is_some_and(|keepalive| keepalive.while_idle || state.core.open_streams() > 0);
        let keepalive = match (state.pinged, options.keepalive_ticks()) {
            (Some(due), _) => Some(due),
            (None, Some((interval, _))) if watched => Some(state.heard.saturating_add(interval)),
            _ => None,
        };
        [settings, keepalive].into_iter().flatten().min()
    }

    /// Does what is due. `false` if that ended the connection.
    fn do_due(&self, cx: &mut Context<'_>) -> bool {
        let now = self.connection.now();
        let error = {
            let mut state = self.connection.state();
            let due = state.pinged.filter(|due| *due <= now);
            let options = &self.connection.options;
            let ticks = options.keepalive_ticks();
            let (interval, timeout) = ticks.unwrap_or((u32::MAX, u32::MAX));
            // Not a word since the PING.
            let dead = due.is_some_and(|due| state.heard.saturating_add(timeout) < due);
            if !state.core.is_acknowledged() && now >= options.settings_ticks() {
                Some(Error::timeout("the server did not acknowledge the settings"))
            } else if dead {
                Some(Error::timeout("the server did not answer a PING"))
            } else {
                if due.is_some() {
                    // Something else has come since.
                    state.pinged = None;
                }
                let quiet = now.saturating_sub(state.heard) >= interval;
                drop(state);
                if quiet {
                    self.connection.ping(now.saturating_add(timeout), cx);
                }
                None
            }
        };
        let ended = error.is_some();
        if let Some(error) = error {
            self.connection.fail(error);
        }
        !ended
    }

    /// Waits for the next timer. `Ready` if it ended the connection.
    fn poll_timers(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let Some(due) = self.next_due() else {
                self.timer = None;
                return Poll::Pending;
            };
            if self.timer.is_none() || self.due != due {
                let ticks = due.saturating_sub(self.connection.now());
                let after = Duration::from_millis(u64::from(ticks) * 1_000 / u64::from(SECOND));
                self.timer = Some(Box::pin(tokio::time::sleep(after)));
                self.due = due;
            }
            let Some(timer) = &mut self.timer else { return Poll::Pending };
            std::task::ready!(timer.as_mut().poll(cx));
            self.timer = None;
            if self.connection.now() >= due && !self.do_due(cx) {
                return Poll::Ready(());
            }
        }
    }
}

impl Future for Driver {
    type Output = Result<(), Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        for _ in 0..ROUNDS {
            match this.connection.drive(cx, &mut this.ticket) {
                Progress::More => continue,
                Progress::Idle => {
                    if this.poll_timers(cx).is_pending() {
                        return Poll::Pending;
                    }
                }
                Progress::Ended => {}
            }
            return Poll::Ready(match this.connection.error() {
                Some(error) if error == Error::closed() => Ok(()),
                Some(error) => Err(error),
                None => Ok(()),
            });
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Whoever drops it ends the connection.
impl Drop for Driver {
    fn drop(&mut self) {
        if self.connection.error().is_none() {
            self.connection.fail(Error::closed());
        }
    }
}

impl fmt::Debug for Driver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Driver").finish_non_exhaustive()
    }
}
