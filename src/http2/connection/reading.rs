//! What the application reads, and what it says while it does.

use std::sync::Arc;

use super::super::frame::{ErrorCode, WindowUpdate};
use super::super::inbox::Inbox;
use super::super::link::{Link, Notices, mark};
use super::super::settings::{Config, Role};
use super::{Body, Core, Head, Turn};

impl<T: Default> Core<T> {
    /// The head of a message, once.
    pub(crate) fn take_head(&mut self, id: u32) -> Option<Head> {
        self.stream(id)?.head.take()
    }

    /// The content of a message. One that has come as a whole counts as read.
    pub(crate) fn take_body(&mut self, id: u32, config: &Config) -> Body {
        let Some(stream) = self.stream(id) else { return Body::empty() };
        // One that keeps buffers of the pool stays within reach, to be copied when others need them.
        if stream.link.is_none() && stream.inbox.is_complete() && !stream.inbox.pins() {
            let inbox = std::mem::take(&mut stream.inbox);
            stream.inbox.end(None);
            self.recv_window.release(inbox.unread() as u32);
            return Body::complete(inbox);
        }
        match self.link(id, config) {
            Some(link) => Body::live(link),
            None => Body::empty(),
        }
    }

    /// Whether more content of a stream may come to a body that was taken.
    pub(crate) fn is_live(&mut self, id: u32) -> bool {
        self.stream(id).is_some_and(|stream| stream.link.is_some())
    }

    /// What wakes the connection for a stream.
    pub(crate) fn link(&mut self, id: u32, config: &Config) -> Option<Arc<Link>> {
        let active = self.active.as_mut()?;
        let new = || Notices::new(config.connection_window, config.stream_window);
        let notices = Arc::clone(active.notices.get_or_insert_with(new));
        let stream = active.stream(id)?;
        let inbox = &mut stream.inbox;
        let link = stream.link.get_or_insert_with(|| Link::new(id, notices, std::mem::take(inbox)));
        Some(Arc::clone(link))
    }

    /// Hears what bodies and wakers of streams have to say. Answers the streams that can go on, as a list that
    /// [`reuse`](Self::reuse) takes back.
    pub(crate) fn take_notices(&mut self, turn: &mut Turn<'_>) -> Vec<u32> {
        let mut ids = Vec::new();
        if let Some(active) = &mut self.active
            && let Some(notices) = &active.notices
        {
            ids = std::mem::take(&mut active.noticed);
            notices.take(&mut ids);
            self.recv_window.release(notices.take_consumed());
            ids.retain(|id| self.take_notice(*id, turn));
        }
        self.announce(turn);
        ids
    }

    /// Keeps the memory of a list.
    pub(crate) fn reuse(&mut self, mut ids: Vec<u32>) {
        if let Some(active) = &mut self.active {
            ids.clear();
            active.noticed = ids;
        }
    }

    /// Whether a stream can go on.
    fn take_notice(&mut self, id: u32, turn: &mut Turn<'_>) -> bool {
        let Some(stream) = self.stream(id) else { return false };
        let marks = stream.link.as_ref().map_or(0, |link| link.take_marks());
        if marks & mark::CONSUMED != 0 {
            let consumed = stream.take_consumed();
            stream.recv_window.release(consumed);
            stream.announce(turn);
        }
        if marks & mark::DROPPED != 0 && self.role == Role::Client {
            self.reset(id, ErrorCode::CANCEL, turn);
        }
        marks & mark::WOKEN != 0
    }

    /// Has `waker` woken when a stream has something to say. `false` if one has already.
    #[must_use]
    pub(crate) fn arm(&self, waker: &std::task::Waker) -> bool {
        let notices = self.active.as_ref().and_then(|active| active.notices.as_ref());
        notices.is_none_or(|notices| notices.arm(waker))
    }

    /// Lets the peer send as much more as was read.
    pub(super) fn announce(&mut self, turn: &mut Turn<'_>) {
        if let Some(increment) = self.recv_window.credit(turn.config.connection_window) {
            WindowUpdate { stream: 0, increment }.write(turn.out.frames());
        }
    }

    /// Whether unread content keeps buffers of the pool.
    pub(crate) fn pins(&mut self) -> bool {
        let Some(active) = self.active.as_mut().filter(|active| active.pins) else { return false };
        active.pins = active.streams.iter().any(|stream| stream.peek_inbox(Inbox::pins));
        active.pins
    }

    /// Copies unread content out of buffers of the pool.
    pub(crate) fn unpin(&mut self) {
        let Some(active) = &mut self.active else { return };
        active.pins = false;
        for stream in &mut active.streams {
            stream.change_inbox(Inbox::unpin);
        }
    }
}
