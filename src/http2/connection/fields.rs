//! HEADERS and CONTINUATION, received.

use super::super::frame::{Continuation, Head as FrameHead, Headers};
use super::super::head::{Block, Fields, PSEUDO, content_length};
use super::super::limits::{CALM, CONTINUATIONS, LIST_ABUSE_RATIO};
use super::{
    Core, DEFAULT_WINDOW, Direction, ErrorCode, Event, Head, Role, Stream, Tick, Turn, Violation,
    weight,
};

/// A header block of which not all frames have come.
#[derive(Debug)]
pub(super) struct Partial {
    pub(super) stream: u32,
    pub(super) since: Tick,
    end_stream: bool,
    continuations: u8,
    fragments: Vec<u8>,
}

/// What a header block is for.
enum Target {
    /// A new stream.
    New,
    /// One that is open.
    Open(Block),
    /// One that is gone, or that is not wanted: the block is decoded for the table alone.
    Nothing,
    /// One that must not have any.
    Wrong(Violation),
}

impl<T: Default> Core<T> {
    pub(super) fn receive_headers(
        &mut self,
        head: &FrameHead,
        payload: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        let headers = Headers::parse(head, payload)?;
        let (stream, end_stream) = (headers.stream, headers.end_stream);
        if headers.end_headers {
            return self.receive_block(stream, end_stream, headers.fragment, turn);
        }
        let fragments = headers.fragment.to_vec();
        let partial = Partial { stream, since: turn.now, end_stream, continuations: 0, fragments };
        self.active().block = Some(Box::new(partial));
        Ok(())
    }

    pub(super) fn receive_continuation(
        &mut self,
        head: &FrameHead,
        payload: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        let continuation = Continuation::parse(head, payload)?;
        // That there is one was checked with the head.
        let Some(mut partial) = self.active().block.take() else { return Ok(()) };
        partial.continuations += 1;
        let len = partial.fragments.len() + continuation.fragment.len();
        if partial.continuations > CONTINUATIONS || len > turn.config.max_header_block() {
            let what = "a header block is too long or in too many frames";
            return Err(Violation::connection(CALM, what));
        }
        partial.fragments.extend_from_slice(continuation.fragment);
        if continuation.end_headers {
            let Partial { stream, end_stream, fragments, .. } = *partial;
            return self.receive_block(stream, end_stream, &fragments, turn);
        }
        self.active().block = Some(partial);
        Ok(())
    }

    fn target(&mut self, id: u32, end_stream: bool) -> Target {
        let role = self.role;
        let of_client = id % 2 == 1;
        if !of_client {
            return Target::Wrong(Violation::protocol("HEADERS on a stream that a server opens"));
        }
        let idle = self.is_idle(id);
        if let Some(stream) = self.stream(id) {
            return match (stream.receiving, role) {
                (Direction::Head, _) => Target::Open(Block::Response),
                (Direction::Content, _) if !end_stream => Target::Wrong(Violation::stream(
                    ErrorCode::PROTOCOL_ERROR,
                    "trailers do not end the stream",
                )),
                (Direction::Content, _) => Target::Open(Block::Trailers),
                (Direction::Ended, _) => Target::Wrong(Violation::stream(
                    ErrorCode::STREAM_CLOSED,
                    "HEADERS after END_STREAM",
                )),
            };
        }
        match (idle, role) {
            (true, Role::Server) if !self.progress.closing => Target::New,
            (true, Role::Client) => {
                Target::Wrong(Violation::protocol("HEADERS on a stream that was never opened"))
            }
            _ => Target::Nothing,
        }
    }

    /// Decodes a complete header block, and does what it is for.
    fn receive_block(
        &mut self,
        id: u32,
        end_stream: bool,
        block: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        let limit = turn.config.max_header_list_size as usize;
        let target = self.target(id, end_stream);
        let kind = match target {
            Target::New => Block::Request,
            Target::Open(kind) => kind,
            Target::Nothing | Target::Wrong(_) => Block::Trailers,
        };
        let mut fields = Fields::new(kind);
        let mut pseudo = false;
        let listed = self.decoder.decode(block, limit, |name, value| {
            pseudo |= name.first() == Some(&b':');
            fields.field(name, value);
        });
        let listed = listed.map_err(|_| {
            let what = "a header block cannot be decoded";
            Violation::connection(ErrorCode::COMPRESSION_ERROR, what)
        })?;
        if listed.size > limit.saturating_mul(LIST_ABUSE_RATIO) {
            return Err(Violation::connection(CALM, "a header list is far beyond the limit"));
        }
        match target {
            Target::Wrong(violation) => Err(violation),
            Target::Nothing if pseudo && self.role == Role::Server && id <= self.last => {
                let what = "a request has an identifier that is not above all before";
                Err(Violation::connection(ErrorCode::STREAM_CLOSED, what))
            }
            Target::Nothing => self.charge(turn),
            Target::New => self.receive_request(id, end_stream, fields, listed.over_limit, turn),
            Target::Open(_) if listed.over_limit => {
                let what = "a header list is beyond the limit";
                Err(Violation::stream(CALM, what))
            }
            Target::Open(_) => match fields.finish()? {
                Head::Trailers(trailers) => self.end_receiving(id, Some(trailers), turn),
                head => self.receive_response(id, end_stream, head, turn),
            },
        }
    }

    fn receive_request(
        &mut self,
        id: u32,
        end_stream: bool,
        fields: Fields,
        over_limit: bool,
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        self.last = id;
        if self.open_streams() >= turn.config.max_concurrent_streams as usize {
            return self.refuse(id, turn);
        }
        if over_limit {
            return self.refuse_list(id, end_stream, turn);
        }
        let memory = fields.memory();
        let held = self.active().head_memory;
        // One head is always taken: the limit of a list is its limit.
        if held > 0 && held + memory > turn.config.max_head_memory() {
            return self.refuse(id, turn);
        }
        let head = fields.finish()?;
        // A client may not know this side's setting yet, and believe that it has the default.
        let recv_window = match self.progress.acknowledged {
            true => turn.config.stream_window,
            false => turn.config.stream_window.max(DEFAULT_WINDOW),
        };
        let mut stream = Stream::new(id, T::default(), recv_window, self.peer_window);
        if let Head::Request(parts) = &head {
            stream.promised = content_length(&parts.headers)?;
        }
        stream.head = Some(head);
        stream.receiving = Direction::Content;
        stream.head_memory = memory as u32;
        let active = self.active();
        active.head_memory += memory;
        active.streams.push_back(Box::new(stream));
        active.events.push(Event::Opened(id));
        if end_stream {
            self.end_receiving(id, None, turn)?;
        }
        Ok(())
    }

    /// Refuses a request that the client can send again.
    fn refuse(&mut self, id: u32, turn: &mut Turn<'_>) -> Result<(), Violation> {
        let code = ErrorCode::REFUSED_STREAM;
        super::super::frame::Reset { stream: id, code }.write(turn.out.frames());
        self.budget.charge_reset(weight::RESET, turn.now)
    }

    /// Answers a request whose header list is too large.
    fn refuse_list(
        &mut self,
        id: u32,
        end_stream: bool,
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        self.budget.charge_reset(weight::PROVOKED, turn.now)?;
        let status = http::StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        self.send_block(id, true, PSEUDO, &(status, &http::HeaderMap::new()), turn);
        if !end_stream {
            let code = ErrorCode::NO_ERROR;
            super::super::frame::Reset { stream: id, code }.write(turn.out.frames());
        }
        Ok(())
    }

    fn receive_response(
        &mut self,
        id: u32,
        end_stream: bool,
        head: Head,
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        let Head::Response(parts) = &head else { return Ok(()) };
        if parts.status.is_informational() {
            let what = "an interim response ends the stream";
            return match end_stream {
                true => Err(Violation::stream(ErrorCode::PROTOCOL_ERROR, what)),
                false => self.charge(turn),
            };
        }
        let promised = content_length(&parts.headers)?;
        // RFC 9113, section 8.1.1: these have no content, whatever they promise. HEAD, which a client knows of, has none either.
        let empty = end_stream || matches!(parts.status.as_u16(), 204 | 304);
        let active = self.active();
        if let Some(stream) = active.stream(id) {
            stream.promised = if empty { None } else { promised };
            stream.head = Some(head);
            stream.receiving = Direction::Content;
            active.events.push(Event::Response(id));
        }
        if end_stream {
            self.end_receiving(id, None, turn)?;
        }
        Ok(())
    }
}
