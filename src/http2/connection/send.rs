//! Messages, sent.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, request};

use super::super::frame::{Data, Headers};
use super::super::head::{list_size, write_fields, write_request, write_response};
use super::super::hpack::encode;
use super::super::limits::{SENT_FRAME, refund};
use super::{Core, DEFAULT_WINDOW, Direction, Error, ErrorCode, Event, Stream, Then, Turn};

impl<T: Default> Core<T> {
    /// Whether a client may open another stream now.
    pub(crate) fn can_open(&self) -> bool {
        self.takes_streams() && self.open_streams() < self.peer_streams as usize
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
        if list_size(&parts.headers) > self.peer_list as usize {
            return Err(Error::canceled(CALM_CODE));
        }
        let id = self.next_own;
        self.next_own += 2;
        let recv_window = turn.config.stream_window.max(DEFAULT_WINDOW);
        let mut stream = Stream::new(id, data, recv_window, self.peer_window);
        stream.sending = if end { Direction::Ended } else { Direction::Content };
        self.active().streams.push_back(Box::new(stream));
        let start = self.begin_block(turn);
        write_request(parts, turn.out.frames());
        Headers::finish(turn.out.frames(), start, id, end);
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
        let start = self.begin_block(turn);
        write_response(status, headers, turn.out.frames());
        Headers::finish(turn.out.frames(), start, id, end);
        self.finish(id, turn);
    }

    /// How many bytes of content a stream can send now. 0 as well while earlier content waits.
    pub(crate) fn capacity(&mut self, id: u32) -> usize {
        let connection = self.send_window.available();
        match self.stream(id) {
            Some(stream) if stream.pending.is_empty() => {
                stream.send_window.available().min(connection)
            }
            _ => 0,
        }
    }

    /// Sends content, as the windows and the other streams allow. An [`Event::Writable`] says when all of it is out.
    ///
    /// Only one piece waits at a time: the shell does not ask a body for another before.
    pub(crate) fn send(&mut self, id: u32, content: Bytes, end: bool) {
        let Some(active) = &mut self.active else { return };
        let Some(stream) = active.stream(id) else { return };
        stream.pending = content;
        if end {
            stream.then = Then::End;
        }
        active.enqueue(id);
    }

    /// Ends this side's direction, after the content that waits.
    pub(crate) fn end(&mut self, id: u32, trailers: Option<HeaderMap>, turn: &mut Turn<'_>) {
        let Some(active) = &mut self.active else { return };
        let Some(stream) = active.stream(id) else { return };
        stream.then = match trailers {
            Some(trailers) => Then::Trailers(Box::new(trailers)),
            None => Then::End,
        };
        if stream.pending.is_empty() && !stream.queued {
            self.end_sending(id, turn);
        } else {
            active.enqueue(id);
        }
    }

    /// Moves content to the output, a frame of each stream in turn, until `limit` bytes are there. Answers whether there is more that only
    /// waits for room in the output.
    pub(crate) fn flush(&mut self, limit: usize, turn: &mut Turn<'_>) -> bool {
        while let Some(active) = &mut self.active
            && let Some(id) = active.ring.pop_front()
        {
            let connection = self.send_window.available();
            let full = turn.out.len() >= limit;
            let Some(stream) = active.stream(id) else { continue };
            let waiting = stream.pending.len();
            if full || (connection == 0 && waiting > 0) {
                active.ring.push_front(id);
                return full;
            }
            let count = waiting.min(connection).min(stream.send_window.available()).min(SENT_FRAME);
            if count == 0 && waiting > 0 {
                // Its window opens it again.
                stream.queued = false;
                continue;
            }
            if count > 0 {
                let content = stream.pending.split_to(count);
                stream.send_window.consume(count);
                self.send_window.consume(count);
                self.budget.refund_control(refund::DATA_SENT);
                let last = stream.pending.is_empty();
                let end = last && matches!(stream.then, Then::End);
                Data::head(id, count, end).write(turn.out.frames());
                turn.out.payload(content);
                if !last {
                    active.ring.push_back(id);
                    continue;
                }
                stream.queued = false;
                if end {
                    stream.sending = Direction::Ended;
                    self.finish(id, turn);
                    continue;
                }
                if matches!(stream.then, Then::More) {
                    active.events.push_back(Event::Writable(id));
                    continue;
                }
            }
            stream.queued = false;
            self.end_sending(id, turn);
        }
        false
    }

    /// All content is out; what follows it does not wait for windows.
    fn end_sending(&mut self, id: u32, turn: &mut Turn<'_>) {
        let Some(stream) = self.stream(id) else { return };
        match std::mem::replace(&mut stream.then, Then::End) {
            Then::More | Then::End => Data::head(id, 0, true).write(turn.out.frames()),
            Then::Trailers(trailers) => {
                let start = self.begin_block(turn);
                write_fields(&trailers, turn.out.frames());
                Headers::finish(turn.out.frames(), start, id, true);
            }
        }
        if let Some(stream) = self.stream(id) {
            stream.sending = Direction::Ended;
        }
        self.finish(id, turn);
    }

    /// Begins a header block, with what the peer's decoder has to be told.
    pub(super) fn begin_block(&mut self, turn: &mut Turn<'_>) -> usize {
        let start = Headers::begin(turn.out.frames());
        if self.flags.size_update {
            // Nothing is ever inserted, so the least size is right for good.
            encode::size_update(turn.out.frames(), 0);
            (self.flags.size_update, self.flags.size_updated) = (false, true);
        }
        start
    }
}

const CALM_CODE: ErrorCode = super::super::limits::CALM;
