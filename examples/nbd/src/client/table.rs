//! The requests of one connection: those that wait to be sent, and those that wait for replies.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use alts::pool::PooledBuf;
use bytes::Bytes;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::check::{ReadCheck, StatusCheck, Violation};
use super::error::{Error, Refusal};
use crate::wire::flags::CommandFlags;
use crate::wire::reply::Extent;
use crate::wire::request::{Command, Request};

/// What callers and the connection's task share.
#[derive(Debug)]
pub(super) struct Table {
    state: Mutex<State>,
    /// Something is to be sent.
    pub(super) news: Notify,
    places: Arc<Semaphore>,
    ended: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<u64, Entry>,
    unsent: VecDeque<u64>,
    last_cookie: u64,
    /// No request is accepted any more; those in flight are completed.
    closing: bool,
    failed: Option<Error>,
    /// The id of `base:allocation` on this connection.
    allocation: u32,
    changes: Changes,
}

/// Which writes a flush has covered. Counted are answered ones without FUA.
#[derive(Debug, Default)]
struct Changes {
    answered: u64,
    flushed: u64,
    /// Flushes with a smaller cookie cover writes that may be lost.
    doubtful_before: u64,
}

/// A request in flight.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) request: Request,
    payload: Bytes,
    pub(super) expects: Expects,
    pub(super) refused: Option<Refusal>,
    waiter: oneshot::Sender<Result<Answer, Error>>,
    sent: bool,
    /// Of a flush: the writes that were answered before it was sent.
    covers: u64,
    _place: OwnedSemaphorePermit,
}

/// What the reply has besides success or failure.
#[derive(Debug)]
pub(super) enum Expects {
    Nothing,
    Data(ReadCheck, PooledBuf),
    Extents(StatusCheck),
}

/// A reply, checked.
#[derive(Debug)]
pub(super) enum Answer {
    Done,
    Data(PooledBuf),
    Extents(Vec<Extent>),
}

/// What to send next.
#[derive(Debug)]
pub(super) enum Next {
    Request(Request, Bytes),
    Disconnect,
    Nothing,
}

/// A place among the requests in flight, and what is asked for.
#[derive(Debug)]
pub(super) struct Submission {
    pub(super) place: OwnedSemaphorePermit,
    pub(super) command: Command,
    pub(super) flags: CommandFlags,
    pub(super) offset: u64,
    pub(super) len: u32,
    pub(super) payload: Bytes,
    /// For a read.
    pub(super) buf: Option<PooledBuf>,
}

impl Table {
    pub(super) fn new(requests_in_flight: usize, allocation: Option<u32>) -> Self {
        let allocation = allocation.unwrap_or_default();
        Self {
            state: Mutex::new(State { allocation, ..State::default() }),
            news: Notify::new(),
            places: Arc::new(Semaphore::new(requests_in_flight.clamp(1, 1 << 16))),
            ended: watch::Sender::new(false),
        }
    }

    /// Waits for a place among the requests in flight.
    pub(super) async fn place(&self) -> Result<OwnedSemaphorePermit, Error> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        place.map_err(|_| self.state().failed.clone().unwrap_or(Error::Disconnected))
    }

    /// Has a request sent.
    pub(super) fn submit(
        &self,
        submission: Submission,
    ) -> Result<oneshot::Receiver<Result<Answer, Error>>, Error> {
        let Submission { place, command, flags, offset, len, payload, buf } = submission;
        let mut state = self.state();
        if let Some(error) = &state.failed {
            return Err(error.clone());
        }
        if state.closing {
            return Err(Error::Disconnected);
        }
        state.last_cookie += 1;
        let cookie = state.last_cookie;
        let request = Request { flags, command, cookie, offset, len };
        let expects = match (command, buf) {
            (Command::Read, Some(buf)) => {
                let one_chunk = flags.contains(CommandFlags::DF);
                Expects::Data(ReadCheck::new(&request, one_chunk), buf)
            }
            (Command::BlockStatus, _) => {
                let one = flags.contains(CommandFlags::REQ_ONE);
                Expects::Extents(StatusCheck::new(&request, one, state.allocation))
            }
            _ => Expects::Nothing,
        };
        let (waiter, answer) = oneshot::channel();
        let entry = Entry {
            request,
            payload,
            expects,
            refused: None,
            waiter,
            sent: false,
            covers: 0,
            _place: place,
        };
        state.entries.insert(cookie, entry);
        state.unsent.push_back(cookie);
        drop(state);
        self.news.notify_one();
        Ok(answer)
    }

    /// The next request to send, which counts as sent from here on.
    pub(super) fn next(&self) -> Next {
        let state = &mut *self.state();
        while let Some(cookie) = state.unsent.pop_front() {
            // A caller that has gone before its request was sent does not want it any more.
            if state.entries.get(&cookie).is_none_or(|entry| entry.waiter.is_closed()) {
                state.entries.remove(&cookie);
                continue;
            }
            if let Some(entry) = state.entries.get_mut(&cookie) {
                entry.sent = true;
                entry.covers = state.changes.answered;
                return Next::Request(entry.request, entry.payload.clone());
            }
        }
        match state.closing && state.entries.is_empty() {
            true => Next::Disconnect,
            false => Next::Nothing,
        }
    }

    /// Whether no reply is awaited.
    pub(super) fn is_quiet(&self) -> bool {
        self.state().entries.is_empty()
    }

    /// Whether the connection has served its purpose.
    pub(super) fn is_finished(&self) -> bool {
        let state = self.state();
        state.closing && state.entries.is_empty()
    }

    /// The request that a reply belongs to. It comes back to the table unless it is completed.
    pub(super) fn taken(&self, cookie: u64) -> Result<Taken<'_>, Violation> {
        let mut state = self.state();
        match state.entries.remove(&cookie) {
            Some(entry) if entry.sent => Ok(Taken { table: self, entry: Some(entry) }),
            Some(entry) => {
                state.entries.insert(cookie, entry);
                Err(Violation::UnknownCookie(cookie))
            }
            None if cookie > 0 && cookie <= state.last_cookie => {
                Err(Violation::AnsweredTwice(cookie))
            }
            None => Err(Violation::UnknownCookie(cookie)),
        }
    }

    /// Accepts no more requests. Those in flight are completed, then the connection ends.
    pub(super) fn close(&self) {
        self.state().closing = true;
        self.news.notify_one();
    }

    /// Waits until the connection has ended, and tells why, if it was not by this side's wish.
    pub(super) async fn ended(&self) -> Result<(), Error> {
        // An error means that there is nobody who could end it.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
        match &self.state().failed {
            None | Some(Error::Disconnected) => Ok(()),
            Some(error) => Err(error.clone()),
        }
    }

    /// The connection has ended: every request fails with this error from here on.
    pub(super) fn end(&self, error: &Error) {
        let mut state = self.state();
        let error = state.failed.get_or_insert_with(|| error.clone()).clone();
        let entries = std::mem::take(&mut state.entries);
        state.unsent.clear();
        drop(state);
        for entry in entries.into_values() {
            let _ = entry.waiter.send(Err(error.clone()));
        }
        self.places.close();
        self.ended.send_replace(true);
    }

    /// Queues all unanswered requests again, in the order of their submission, for a new connection. Each of them may have been
    /// carried out already, and all of them can be repeated.
    pub(super) fn rewind(&self, allocation: Option<u32>) {
        let state = &mut *self.state();
        state.allocation = allocation.unwrap_or_default();
        state.entries.retain(|_, entry| !entry.waiter.is_closed());
        for entry in state.entries.values_mut() {
            (entry.sent, entry.refused) = (false, None);
            match &mut entry.expects {
                Expects::Nothing => {}
                Expects::Data(check, _) => check.restart(),
                Expects::Extents(check) => check.restart(state.allocation),
            }
        }
        let mut unsent: Vec<_> = state.entries.keys().copied().collect();
        unsent.sort_unstable();
        state.unsent = unsent.into();
        if state.changes.answered > state.changes.flushed {
            state.changes.doubtful_before = u64::MAX;
        }
    }

    fn complete(&self, entry: Entry) {
        let Entry { request, expects, refused, waiter, covers, .. } = entry;
        let mut result = match refused {
            Some(refusal) => Err(Error::Refused(refusal)),
            None => Ok(match expects {
                Expects::Nothing => Answer::Done,
                Expects::Data(_, buf) => Answer::Data(buf),
                Expects::Extents(check) => Answer::Extents(check.into_extents()),
            }),
        };
        let mut state = self.state();
        let next_cookie = state.last_cookie + 1;
        let changes = &mut state.changes;
        if request.command == Command::Flush && result.is_ok() {
            changes.flushed = changes.flushed.max(covers);
            if request.cookie < changes.doubtful_before {
                // Those that were asked for before the caller knows are as doubtful.
                changes.doubtful_before = changes.doubtful_before.min(next_cookie);
                result = Err(Error::UnsavedWrites);
            }
        }
        if request.command.writes() && !request.flags.contains(CommandFlags::FUA) {
            // Whatever the answer, something may have been written.
            changes.answered += 1;
        }
        let finished = state.closing && state.entries.is_empty();
        drop(state);
        if finished {
            self.news.notify_one();
        }
        let _ = waiter.send(result);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request whose reply is being read. Dropping it puts the request back, whatever has arrived of the reply.
#[derive(Debug)]
pub(super) struct Taken<'a> {
    table: &'a Table,
    entry: Option<Entry>,
}

impl Taken<'_> {
    pub(super) fn entry(&mut self) -> &mut Entry {
        self.entry.as_mut().expect("it is there until it is completed, which consumes this")
    }

    /// The reply has ended.
    pub(super) fn complete(mut self) {
        if let Some(entry) = self.entry.take() {
            self.table.complete(entry);
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            self.table.state().entries.insert(entry.request.cookie, entry);
        }
    }
}
