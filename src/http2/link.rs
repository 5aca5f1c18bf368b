//! What connects a stream's parts that live elsewhere (a body, a waker) with their connection.

use std::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

use super::inbox::Inbox;

/// What a stream has to say to its connection.
pub(crate) mod mark {
    /// It is in the list.
    pub(super) const LISTED: u8 = 1;
    /// What works for it can go on.
    pub(crate) const WOKEN: u8 = 2;
    /// Bytes were read that the peer has to hear of.
    pub(crate) const CONSUMED: u8 = 4;
    /// The body was dropped.
    pub(crate) const DROPPED: u8 = 8;
}

/// A stream as seen by its body and by those that it waits for. Only streams that do not finish at once have one.
#[derive(Debug)]
pub(crate) struct Link {
    id: u32,
    marks: AtomicU8,
    notices: Arc<Notices>,
    inbox: Mutex<Inbox>,
}

impl Link {
    pub(crate) fn new(id: u32, notices: Arc<Notices>, inbox: Inbox) -> Arc<Self> {
        Arc::new(Self { id, marks: AtomicU8::new(0), notices, inbox: Mutex::new(inbox) })
    }

    /// No code that could panic runs under this lock.
    pub(crate) fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The application has read `count` bytes.
    pub(crate) fn consume(&self, mut inbox: MutexGuard<'_, Inbox>, count: usize) {
        if inbox.settled {
            return;
        }
        let count = count as u32;
        inbox.consumed += count;
        let tell = !inbox.is_complete() && inbox.consumed >= self.notices.stream_credit;
        drop(inbox);
        self.notices.consume(count);
        if tell {
            self.tell(mark::CONSUMED);
        }
    }

    /// The application reads no more.
    pub(crate) fn abandon(&self) {
        let mut inbox = self.inbox();
        inbox.abandoned = true;
        let unread = inbox.discard();
        // It may be this link itself.
        let waker = inbox.waker.take();
        let settled = inbox.settled;
        let complete = inbox.is_complete();
        drop(inbox);
        drop(waker);
        if settled {
            return;
        }
        self.notices.consume(unread as u32);
        if !complete {
            self.tell(mark::DROPPED);
        }
    }

    fn tell(&self, what: u8) {
        let before = self.marks.fetch_or(what | mark::LISTED, Ordering::AcqRel);
        if before & mark::LISTED == 0 {
            self.notices.push(self.id);
        }
    }

    /// What it had to say.
    pub(crate) fn take_marks(&self) -> u8 {
        self.marks.swap(0, Ordering::AcqRel)
    }
}

impl Wake for Link {
    fn wake(self: Arc<Self>) {
        self.tell(mark::WOKEN);
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.tell(mark::WOKEN);
    }
}

/// What the streams of a connection have to say to it.
#[derive(Debug)]
pub(crate) struct Notices {
    list: Mutex<List>,
    /// Bytes that were read by all of them and that the connection has not heard of.
    consumed: AtomicU32,
    /// At so many it is woken.
    connection_credit: u32,
    /// At so many of one stream it is woken.
    stream_credit: u32,
}

#[derive(Debug, Default)]
struct List {
    /// Streams, and 0 for what was read.
    ids: Vec<u32>,
    waker: Option<Waker>,
}

impl Notices {
    pub(crate) fn new(connection_window: u32, stream_window: u32) -> Arc<Self> {
        Arc::new(Self {
            list: Mutex::default(),
            consumed: AtomicU32::new(0),
            connection_credit: (connection_window / 2).max(1),
            stream_credit: (stream_window / 2).max(1),
        })
    }

    fn list(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn consume(&self, count: u32) {
        let before = self.consumed.fetch_add(count, Ordering::AcqRel);
        if before < self.connection_credit && before + count >= self.connection_credit {
            self.push(0);
        }
    }

    fn push(&self, id: u32) {
        let mut list = self.list();
        list.ids.push(id);
        let waker = if list.ids.len() == 1 { list.waker.take() } else { None };
        drop(list);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Bytes that were read since it was asked last.
    pub(crate) fn take_consumed(&self) -> u32 {
        self.consumed.swap(0, Ordering::AcqRel)
    }

    /// Takes the streams that have something to say, in exchange for an empty list. Nobody is woken until the next [`arm`](Self::arm).
    pub(crate) fn take(&self, ids: &mut Vec<u32>) {
        debug_assert!(ids.is_empty());
        let mut list = self.list();
        list.waker = None;
        std::mem::swap(ids, &mut list.ids);
    }

    /// Has `waker` woken by the next notice. `false` if there is one already.
    #[must_use]
    pub(crate) fn arm(&self, waker: &Waker) -> bool {
        let mut list = self.list();
        if !list.ids.is_empty() {
            return false;
        }
        match &mut list.waker {
            Some(old) => old.clone_from(waker),
            none => *none = Some(waker.clone()),
        }
        true
    }
}
