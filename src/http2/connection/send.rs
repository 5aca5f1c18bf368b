//! Messages, sent.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, request};

use super::super::frame::Data;
use super::super::head::{PSEUDO, list_size, pseudo_size};
use super::super::limits::{SENT_FRAME, UNSENT, refund};
use super::super::settings::Config;
use super::{Core, DEFAULT_WINDOW, Direction, Error, ErrorCode, Event, Stream, Then, Tick, Turn};

impl<T: Default> Core<T> {
    /// Whether a client may open another stream now.
    pub(crate) fn can_open(&self) -> bool {
        self.takes_streams() && self.open_streams() < usize::from(self.peer_streams)
    }

    /// Opens a stream with a request's head. Answers its identifier.
    ///
    /// # Errors
    /// The head exceeds what the peer takes, or no stream can be opened: see [`can_open`](Self::can_open).
    pub(crate) fn open(
        &mut self,
        parts: &request::Parts,
        end: bool,
        data: T,
        turn: &mut Turn<'_>,
    ) -> Result<u32, Error> {
        if !self.can_open() {
            return Err(Error::unprocessed(ErrorCode::REFUSED_STREAM));
        }
        let listed = list_size(&parts.headers);
        if listed > self.peer_list as usize {
            return Err(Error::canceled(CALM_CODE));
        }
        let id = if self.last == 0 { 1 } else { self.last + 2 };
        self.last = id;
        let recv_window = turn.config.stream_window.max(DEFAULT_WINDOW);
        let mut stream = Stream::new(id, data, recv_window, self.peer_window);
        stream.sending = if end { Direction::Ended } else { Direction::Content };
        self.active().streams.push_back(Box::new(stream));
        self.send_block(id, end, pseudo_size(parts) + listed, parts, turn);
        Ok(id)
    }

    /// Sends a response's head. Nothing happens if the stream is gone.
    pub(crate) fn respond(
        &mut self,
        id: u32,
        status: StatusCode,
        headers: &HeaderMap,
        end: bool,
        turn: &mut Turn<'_>,
    ) {
        let Some(stream) = self.stream(id) else { return };
        stream.sending = if end { Direction::Ended } else { Direction::Content };
        self.send_block(id, end, PSEUDO + list_size(headers), &(status, headers), turn);
        self.finish(id, turn);
    }

    /// How many bytes of content a stream can send now. 0 as well while earlier content waits.
    #[cfg(test)]
    pub(crate) fn capacity(&mut self, id: u32) -> usize {
        let connection = self.send_window.available();
        match self.stream(id) {
            Some(stream) if stream.pending.is_empty() => {
                stream.send_window.available().min(connection)
            }
            _ => 0,
        }
    }

    /// Whether no content of this stream waits.
    pub(crate) fn can_send(&mut self, id: u32) -> bool {
        self.stream(id).is_some_and(|stream| stream.pending.is_empty())
    }

    /// Asks for an [`Event::Writable`] when there is room in the output.
    pub(crate) fn want_send(&mut self, id: u32) {
        let Some(active) = &mut self.active else { return };
        if let Some(stream) = active.stream(id)
            && !stream.queued
            && stream.pending.is_empty()
        {
            stream.queued = true;
            active.ring.push_back(id);
        }
    }

    /// Sends content, as the windows and the other streams allow. An [`Event::Writable`] says when all of it is out.
    ///
    /// Only one piece waits at a time: the shell does not ask a body for another before.
    pub(crate) fn send(&mut self, id: u32, content: Bytes, end: bool, now: Tick) {
        let Some(active) = &mut self.active else { return };
        let Some(stream) = active.stream(id) else { return };
        (stream.pending, stream.moved) = (content, now);
        if end {
            stream.then = Then::End;
        }
        active.enqueue(id);
    }

    /// As [`send`](Self::send). Answers `true`, instead of an event, if all of it is out at once and more can follow: a frame that fits,
    /// while no other stream has its turn.
    pub(crate) fn send_now(
        &mut self,
        id: u32,
        content: Bytes,
        end: bool,
        turn: &mut Turn<'_>,
    ) -> bool {
        let count = content.len();
        let connection = self.send_window.available();
        let alone = self.active.as_ref().is_some_and(|active| active.ring.is_empty());
        let Some(stream) = self.stream(id) else { return false };
        let room = stream.send_window.available().min(connection).min(SENT_FRAME);
        if !alone || count > room || turn.out.len() >= UNSENT {
            self.send(id, content, end, turn.now);
            return false;
        }
        stream.pending = content;
        if end {
            stream.then = Then::End;
        }
        self.send_frame(id, count, turn)
    }

    /// Moves the first `count` bytes that wait to the output. Answers whether that was all, and there may be more.
    fn send_frame(&mut self, id: u32, count: usize, turn: &mut Turn<'_>) -> bool {
        let Some(stream) = self.active.as_mut().and_then(|active| active.stream(id)) else {
            return false;
        };
        let content = stream.pending.split_to(count);
        stream.moved = turn.now;
        stream.send_window.consume(count);
        self.send_window.consume(count);
        self.budget.refund_control(refund::DATA_SENT);
        let end = stream.pending.is_empty() && matches!(stream.then, Then::End);
        Data::head(id, count, end).write(turn.out.frames());
        turn.out.payload(content);
        if end {
            stream.sending = Direction::Ended;
            self.finish(id, turn);
            return false;
        }
        stream.pending.is_empty() && matches!(stream.then, Then::More)
    }

    /// Ends this side's direction, after the content that waits.
    pub(crate) fn end(&mut self, id: u32, trailers: Option<HeaderMap>, turn: &mut Turn<'_>) {
        let Some(active) = &mut self.active else { return };
        let Some(stream) = active.stream(id) else { return };
        if stream.pending.is_empty() && !stream.queued {
            return self.send_end(id, trailers.as_ref(), turn);
        }
        stream.then = match trailers {
            Some(trailers) => Then::Trailers(Box::new(trailers)),
            None => Then::End,
        };
        active.enqueue(id);
    }

    /// Moves content to the output, a frame of each stream in turn, until `limit` bytes are there. Answers whether there is more that only
    /// waits for room in the output.
    pub(crate) fn flush(&mut self, limit: usize, turn: &mut Turn<'_>) -> bool {
        // Streams in a row that wait for the connection's window.
        let mut blocked = 0;
        while let Some(active) = &mut self.active
            && let Some(id) = active.ring.pop_front()
        {
            let connection = self.send_window.available();
            let full = turn.out.len() >= limit;
            let Some(stream) = active.stream(id) else { continue };
            let waiting = stream.pending.len();
            if full {
                active.ring.push_front(id);
                return true;
            }
            if connection == 0 && waiting > 0 {
                active.ring.push_back(id);
                blocked += 1;
                if blocked >= active.ring.len() {
                    return false;
                }
                continue;
            }
            let count = waiting.min(connection).min(stream.send_window.available()).min(SENT_FRAME);
            if count == 0 && waiting > 0 {
                // Its window opens it again.
                stream.queued = false;
                continue;
            }
            stream.queued = false;
            if count == 0 && !matches!(stream.then, Then::More) {
                self.end_sending(id, turn);
            } else if count == 0 || self.send_frame(id, count, turn) {
                self.active().events.push(Event::Writable(id));
            } else if let Some(stream) = self.stream(id)
                && stream.sending != Direction::Ended
            {
                // The rest, or the trailers, in its next turn.
                stream.queued = true;
                self.active().ring.push_back(id);
            }
        }
        false
    }

    /// The stream whose content has waited for window the longest, and since when, if streams that wait keep others out.
    fn blocked(&self, config: &Config) -> Option<(Tick, u32)> {
        let streams = &self.active.as_ref()?.streams;
        if streams.len() < config.max_concurrent_streams as usize {
            return None;
        }
        let waiting = streams.iter().filter(|stream| !stream.pending.is_empty());
        waiting.map(|stream| (stream.moved, stream.id)).min()
    }

    /// Since when content has waited for window and kept other streams out.
    pub(crate) fn blocked_since(&self, config: &Config) -> Option<Tick> {
        self.blocked(config).map(|(since, _)| since)
    }

    /// Resets the streams whose content has waited for window for `limit`, as long as they keep others out.
    pub(crate) fn reset_blocked(&mut self, limit: Tick, turn: &mut Turn<'_>) {
        while let Some((since, id)) = self.blocked(turn.config)
            && turn.now >= since.saturating_add(limit)
        {
            self.reset(id, ErrorCode::CANCEL, turn);
        }
    }

    /// All content is out; what follows it does not wait for windows.
    fn end_sending(&mut self, id: u32, turn: &mut Turn<'_>) {
        let Some(stream) = self.stream(id) else { return };
        match std::mem::replace(&mut stream.then, Then::End) {
            Then::More | Then::End => self.send_end(id, None, turn),
            Then::Trailers(trailers) => self.send_end(id, Some(&trailers), turn),
        }
    }

    fn send_end(&mut self, id: u32, trailers: Option<&HeaderMap>, turn: &mut Turn<'_>) {
        match trailers {
            None => Data::head(id, 0, true).write(turn.out.frames()),
            Some(trailers) => self.send_block(id, true, list_size(trailers), trailers, turn),
        }
        if let Some(stream) = self.stream(id) {
            stream.sending = Direction::Ended;
        }
        self.finish(id, turn);
    }
}

const CALM_CODE: ErrorCode = super::super::limits::CALM;
