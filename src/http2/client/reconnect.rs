//! The connection that calls are made on, and the next one when it ends.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::time::Instant;

use super::Availability;
use super::connection::Connection;
use super::driver::Driver;
use super::error::CallError;
use super::options::{Backoff, Options};
use super::transport::Dial;
use crate::http2::error::Error;

/// What all clones of a client share.
pub(super) struct Shared {
    pub(super) options: Arc<Options>,
    link: Mutex<Link>,
}

struct Link {
    /// `None`: there is one connection and no other.
    dial: Option<Box<dyn Dial>>,
    state: State,
    /// Attempts in a row that failed.
    failures: u32,
    /// The number of the attempt that was begun last.
    attempt: u64,
}

/// What a call remembers while it waits for a connection.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// The first attempt that it has waited for. The call fails with that attempt or the next, however short the pause after it is.
    since: Option<u64>,
}

enum State {
    Idle,
    Connecting(Vec<Waker>),
    Connected(Arc<Connection>),
    Failed(Box<Failure>),
}

struct Failure {
    attempt: u64,
    until: Instant,
    error: CallError,
}

impl Shared {
    pub(super) fn new(options: Arc<Options>, dial: Option<Box<dyn Dial>>) -> Arc<Self> {
        let link = Mutex::new(Link { dial, state: State::Idle, failures: 0, attempt: 0 });
        Arc::new(Self { options, link })
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn availability(&self) -> Availability {
        match &self.link().state {
            State::Connecting(_) => Availability::Connecting,
            State::Failed(failure) if Instant::now() < failure.until => Availability::Failing,
            _ => Availability::Usable,
        }
    }

    /// Uses a connection from now on.
    pub(super) fn connected(&self, connection: &Arc<Connection>) {
        let mut link = self.link();
        let before = std::mem::replace(&mut link.state, State::Connected(Arc::clone(connection)));
        link.failures = 0;
        drop(link);
        wake(before);
    }

    fn failed(&self, error: CallError) {
        let mut link = self.link();
        let pause = pause(self.options.behavior.backoff, link.failures);
        link.failures = link.failures.saturating_add(1);
        tracing::debug!(%error, ?pause, "no connection");
        let failed = Failure { attempt: link.attempt, until: Instant::now() + pause, error };
        let failed = State::Failed(Box::new(failed));
        let before = std::mem::replace(&mut link.state, failed);
        drop(link);
        wake(before);
    }

    /// A connection that takes calls. Begins to make one if there is none.
    pub(super) fn poll_connection(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        waiting: &mut Waiting,
    ) -> Poll<Result<Arc<Connection>, CallError>> {
        let mut link = self.link();
        let Link { dial, state, attempt, .. } = &mut *link;
        match state {
            State::Connected(connection) if connection.is_usable() => {
                waiting.since = None;
                return Poll::Ready(Ok(Arc::clone(connection)));
            }
            State::Connecting(wakers) => {
                waiting.since.get_or_insert(*attempt);
                if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
                    wakers.push(cx.waker().clone());
                }
                return Poll::Pending;
            }
            State::Failed(failure)
                if waiting.since.is_some_and(|since| since <= failure.attempt)
                    || Instant::now() < failure.until =>
            {
                return Poll::Ready(Err(failure.error.clone()));
            }
            State::Connected(connection) if dial.is_none() => {
                let error = connection.error().unwrap_or_else(Error::closed);
                return Poll::Ready(Err(error.into()));
            }
            _ => {}
        }
        let Some(dial) = dial else { return Poll::Ready(Err(Error::closed().into())) };
        let dialing = dial.dial(self.options.target.clone());
        *attempt += 1;
        waiting.since.get_or_insert(*attempt);
        let old = std::mem::replace(&mut link.state, State::Connecting(vec![cx.waker().clone()]));
        drop(link);
        if let State::Connected(old) = old {
            // Calls that are open there go on.
            old.abandon();
        }
        let shared = Arc::downgrade(self);
        let options = Arc::clone(&self.options);
        tokio::spawn(async move {
            let dialed = tokio::time::timeout(options.behavior.connect_timeout, dialing).await;
            let dialed = match dialed {
                Ok(dialed) => dialed,
                Err(_) => Err("it took too long to connect".into()),
            };
            // Without a client nobody needs it.
            let Some(shared) = shared.upgrade() else { return };
            match dialed {
                Ok(io) => {
                    let connection = Connection::new(io, options);
                    tokio::spawn(Driver::new(Arc::clone(&connection)));
                    shared.connected(&connection);
                }
                Err(error) => shared.failed(options.connect_error(error)),
            }
        });
        Poll::Pending
    }
}

fn wake(state: State) {
    if let State::Connecting(wakers) = state {
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// The last client is gone.
impl Drop for Shared {
    fn drop(&mut self) {
        let link = self.link.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let State::Connected(connection) = &link.state {
            connection.abandon();
        }
    }
}

/// How long to wait after so many failures.
fn pause(backoff: Backoff, failures: u32) -> Duration {
    /// 30 years, which can still be added to the time.
    const LONGEST: f64 = 30.0 * 365.0 * 24.0 * 3_600.0;
    let factor = 1.6_f64.powi(failures.min(64).cast_signed());
    let seconds = (backoff.first.as_secs_f64() * factor).min(backoff.longest.as_secs_f64());
    let seconds = seconds.min(LONGEST);
    // Between 0.8 and 1.2 of it, so that the clients of a server that came back do not come all at once.
    let chance = RandomState::new().hash_one(failures) as f64 / u64::MAX as f64;
    Duration::from_secs_f64(seconds * (0.8 + 0.4 * chance))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_longest() {
        let (first, longest) = (Duration::from_secs(1), Duration::from_secs(120));
        let backoff = Backoff { first, longest };
        for (failures, expected) in [(0, 1.0), (1, 1.6), (2, 2.56), (20, 120.0), (u32::MAX, 120.0)]
        {
            let pause = pause(backoff, failures).as_secs_f64();
            assert!((0.8 * expected..=1.2 * expected).contains(&pause), "{failures}: {pause}");
        }
        assert_ne!(pause(backoff, 0), pause(backoff, 0));
    }
}
