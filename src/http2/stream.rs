//! One exchange: a request and its response.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;

use super::body::Body;
use super::budget::Tick;
use super::error::Error;
use super::head::Head;
use super::inbox::Inbox;
use super::link::Link;
use super::window::{RecvWindow, SendWindow};

/// How far one direction of a stream is.
///
/// ```text
///  Head ──HEADERS──► Content ──END_STREAM──► Ended
///    └──HEADERS + END_STREAM──────────────────▲
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Head,
    Content,
    Ended,
}

/// What follows the content that is being sent.
#[derive(Debug)]
pub(super) enum Then {
    /// More, when the shell has it.
    More,
    /// Nothing.
    End,
    Trailers(Box<HeaderMap>),
}

/// A stream that is open in at least one direction. `T` is what the shell keeps with it.
#[derive(Debug)]
pub(crate) struct Stream<T> {
    pub(super) id: u32,
    pub(super) data: T,
    pub(super) receiving: Direction,
    pub(super) sending: Direction,
    /// Until somebody asks for it.
    pub(super) head: Option<Head>,
    /// Until the link has it.
    pub(super) inbox: Inbox,
    pub(super) link: Option<Arc<Link>>,
    /// Bytes of content that `content-length` promises and that have not come.
    pub(super) promised: Option<u64>,
    pub(super) recv_window: RecvWindow,
    pub(super) send_window: SendWindow,
    /// What the head that was received takes in memory, in bytes.
    pub(super) head_memory: u32,
    /// Content that waits for its turn or for window.
    pub(super) pending: Bytes,
    /// When content began to wait, or some of it left.
    pub(super) moved: Tick,
    pub(super) then: Then,
    /// It waits for its turn to send.
    pub(super) queued: bool,
    /// Why it is over.
    pub(super) error: Option<Error>,
}

impl<T> Stream<T> {
    pub(super) fn new(id: u32, data: T, recv_window: u32, send_window: u32) -> Self {
        Self {
            id,
            data,
            receiving: Direction::Head,
            sending: Direction::Head,
            head: None,
            inbox: Inbox::default(),
            link: None,
            promised: None,
            recv_window: RecvWindow::new(recv_window),
            send_window: SendWindow::new(send_window),
            head_memory: 0,
            pending: Bytes::new(),
            moved: 0,
            then: Then::More,
            queued: false,
            error: None,
        }
    }

    /// What the shell keeps with it.
    pub(crate) fn data_mut(&mut self) -> &mut T {
        &mut self.data
    }

    /// A message that ended before its head was [taken](super::connection::Core::take_head), whole. Once, of a stream that is over.
    pub(crate) fn take_message(&mut self) -> Option<(Head, Body)> {
        let head = self.head.take()?;
        let body = match self.link.take() {
            Some(link) => Body::live(link),
            None => Body::complete(std::mem::take(&mut self.inbox)),
        };
        Some((head, body))
    }

    /// Why a stream is over. `None` if both directions ended in order.
    pub(crate) fn take_error(&mut self) -> Option<Error> {
        self.error.take()
    }

    /// Does something with what has been received, and wakes its reader.
    pub(super) fn with_inbox<R>(&mut self, change: impl FnOnce(&mut Inbox) -> R) -> R {
        let Some(link) = &self.link else { return change(&mut self.inbox) };
        let mut inbox = link.inbox();
        let result = change(&mut inbox);
        let waker = inbox.waker.take();
        drop(inbox);
        if let Some(waker) = waker {
            waker.wake();
        }
        result
    }

    /// Whether somebody waits for more of what is received.
    pub(crate) fn is_awaited(&self) -> bool {
        self.link.as_ref().is_some_and(|link| link.inbox().waker.is_some())
    }

    /// Looks at what has been received.
    pub(super) fn peek_inbox<R>(&self, look: impl FnOnce(&Inbox) -> R) -> R {
        match &self.link {
            Some(link) => look(&link.inbox()),
            None => look(&self.inbox),
        }
    }

    /// Does something with what has been received of which its reader takes no notice.
    pub(super) fn change_inbox<R>(&mut self, change: impl FnOnce(&mut Inbox) -> R) -> R {
        match &self.link {
            Some(link) => change(&mut link.inbox()),
            None => change(&mut self.inbox),
        }
    }

    /// The stream is over: its unread bytes are given back, and what is read from now on counts no more. With an error the message is cut
    /// off if it is not complete. Answers how many bytes were unread.
    pub(super) fn settle(&mut self, error: Option<&Error>) -> u32 {
        self.with_inbox(|inbox| {
            let unread = inbox.unread();
            inbox.settled = true;
            if let Some(error) = error {
                inbox.fail(error.clone());
            }
            unread as u32
        })
    }

    pub(super) fn is_over(&self) -> bool {
        self.receiving == Direction::Ended && self.sending == Direction::Ended
    }

    /// Whether there is something to send that does not wait for window.
    pub(super) fn can_send(&self) -> bool {
        if self.sending == Direction::Ended {
            // A late WINDOW_UPDATE must not end it twice.
            false
        } else if self.pending.is_empty() {
            !matches!(self.then, Then::More)
        } else {
            self.send_window.available() > 0
        }
    }
}
