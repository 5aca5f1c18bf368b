//! Frames, received.

use super::super::frame::{
    GoAway, Head, Kind, PREFACE, Ping, Priority, Reset, Setting, Settings, flag,
};
use super::super::input::Received;
use super::{
    Active, Core, Direction, Error, ErrorCode, Event, Greeting, Initiator, Reason, Role, Scope,
    SizeUpdate, Tick, Turn, Violation, WindowUpdate, hpack, weight,
};

impl<T> Active<T> {
    pub(super) fn is_within_frame(&self) -> bool {
        !self.partial.is_empty() || self.content.is_some() || self.block.is_some()
    }
}

impl<T: Default> Core<T> {
    /// Takes a read. All of it is consumed.
    ///
    /// # Errors
    /// The connection is over. GOAWAY is in the output, and all streams are closed.
    pub(crate) fn receive(
        &mut self,
        received: &mut Received,
        turn: &mut Turn<'_>,
    ) -> Result<(), Error> {
        let waiting = turn.out.len();
        let result = self.receive_frames(received, turn);
        self.announce(turn);
        turn.out.count_replies(waiting);
        result.inspect_err(|error| self.fail(error, turn))
    }

    fn receive_frames(
        &mut self,
        received: &mut Received,
        turn: &mut Turn<'_>,
    ) -> Result<(), Error> {
        let mut at = 0;
        if self.progress.greeting < Greeting::Settings && received.bytes().starts_with(b"HTTP/1") {
            let what = "it answered with HTTP/1; HTTP/2 is spoken here by prior knowledge only";
            return Err(Error::ending(Reason::Foreign(what), ErrorCode::PROTOCOL_ERROR));
        }
        while at < received.bytes().len() {
            let len = received.bytes().len();
            if self.active().content.is_some() {
                at = self.receive_content(received, at, turn)?;
            } else if !self.active().partial.is_empty()
                || self.progress.greeting == Greeting::Nothing
            {
                at = self.complete(received.bytes(), at, turn)?;
            } else if let Some(bytes) = received.bytes()[at..].first_chunk() {
                let head = Head::parse(bytes);
                self.check_head(&head)?;
                let start = at + Head::LEN;
                let end = start + head.len as usize;
                if head.kind == Kind::Data {
                    self.begin_content(&head, turn)?;
                    at = start;
                    if head.len == 0 {
                        at = self.receive_content(received, at, turn)?;
                    }
                } else if end <= len {
                    self.receive_frame(&head, &received.bytes()[start..end], turn)?;
                    at = end;
                } else {
                    self.keep(&received.bytes()[at..], turn.now);
                    at = len;
                }
            } else {
                self.keep(&received.bytes()[at..], turn.now);
                at = len;
            }
        }
        Ok(())
    }

    /// Keeps the beginning of a frame.
    fn keep(&mut self, bytes: &[u8], now: Tick) {
        let active = self.active();
        (active.partial, active.since) = (bytes.to_vec(), now);
    }

    /// Completes what began in an earlier read, or the preface. Answers where the read goes on.
    fn complete(
        &mut self,
        bytes: &[u8],
        mut at: usize,
        turn: &mut Turn<'_>,
    ) -> Result<usize, Error> {
        let mut partial = std::mem::take(&mut self.active().partial);
        if partial.is_empty() {
            self.active().since = turn.now;
        }
        let mut fill = |partial: &mut Vec<u8>, len: usize| {
            let missing = len.saturating_sub(partial.len()).min(bytes.len() - at);
            partial.reserve_exact(missing);
            partial.extend_from_slice(&bytes[at..at + missing]);
            at += missing;
            partial.len() >= len
        };
        if self.progress.greeting == Greeting::Nothing {
            let complete = fill(&mut partial, PREFACE.len());
            if !PREFACE.starts_with(&partial) {
                return Err(foreign(&partial));
            }
            match complete {
                true => self.progress.greeting = Greeting::Preface,
                false => self.active().partial = partial,
            }
            return Ok(at);
        }
        if !fill(&mut partial, Head::LEN) {
            self.active().partial = partial;
            return Ok(at);
        }
        let Some(head) = partial.first_chunk().map(Head::parse) else { return Ok(at) };
        self.check_head(&head)?;
        if head.kind == Kind::Data {
            // Only its head was cut.
            self.begin_content(&head, turn)?;
            if head.len == 0 {
                let nothing = &mut Received::from(bytes::Bytes::new());
                self.receive_content(nothing, 0, turn)?;
            }
        } else if fill(&mut partial, Head::LEN + head.len as usize) {
            self.receive_frame(&head, &partial[Head::LEN..], turn)?;
        } else {
            self.active().partial = partial;
        }
        Ok(at)
    }

    /// What a head alone can show to be wrong.
    fn check_head(&mut self, head: &Head) -> Result<(), Violation> {
        if head.len > super::super::frame::DEFAULT_MAX_FRAME_SIZE {
            return Err(Violation::size("a frame is larger than SETTINGS_MAX_FRAME_SIZE allows"));
        }
        if self.progress.greeting < Greeting::Settings
            && (head.kind != Kind::Settings || head.has(flag::ACK))
        {
            return Err(Violation::protocol("the first frame is not SETTINGS"));
        }
        let within = self.active().block.as_ref().map(|block| block.stream);
        match (within, head.kind) {
            (None, Kind::Continuation) => {
                Err(Violation::protocol("CONTINUATION does not follow HEADERS"))
            }
            (Some(stream), kind) if kind != Kind::Continuation || stream != head.stream => {
                Err(Violation::protocol("a header block is interrupted by another frame"))
            }
            _ => Ok(()),
        }
    }

    fn receive_frame(
        &mut self,
        head: &Head,
        payload: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<(), Error> {
        let result = match head.kind {
            Kind::Headers => self.receive_headers(head, payload, turn),
            Kind::Continuation => self.receive_continuation(head, payload, turn),
            Kind::WindowUpdate => self.receive_window_update(head, payload, turn),
            Kind::Reset => self.receive_reset(head, payload, turn),
            Kind::Settings => self.receive_settings(head, payload, turn),
            Kind::Ping => self.receive_ping(head, payload, turn),
            Kind::GoAway => {
                self.charge(turn)?;
                return self.receive_go_away(head, payload);
            }
            Kind::PushPromise => Err(Violation::protocol("PUSH_PROMISE is not allowed")),
            Kind::Priority => {
                let charged = self.charge(turn);
                charged.and_then(|()| Priority::parse(head, payload).map(drop))
            }
            Kind::Data | Kind::Unknown(_) => self.charge(turn),
        };
        match result {
            Err(violation) if violation.scope == Scope::Stream => {
                if self.is_idle(head.stream) {
                    let Violation { code, what, .. } = violation;
                    return Err(Violation::connection(code, what).into());
                }
                Ok(self.reset_for(head.stream, violation, turn)?)
            }
            result => Ok(result?),
        }
    }

    /// For a frame that carries nothing.
    pub(super) fn charge(&mut self, turn: &Turn<'_>) -> Result<(), Violation> {
        self.budget.charge_control(weight::FRAME, turn.now)
    }

    fn receive_window_update(
        &mut self,
        head: &Head,
        payload: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        self.charge(turn)?;
        let WindowUpdate { stream: id, increment } = WindowUpdate::parse(head, payload)?;
        if id == 0 {
            return self.send_window.grow(increment).map_err(|_| {
                let what = "WINDOW_UPDATE makes the connection's window exceed 2^31 - 1";
                Violation::connection(ErrorCode::FLOW_CONTROL_ERROR, what)
            });
        }
        if self.is_idle(id) {
            return Err(Violation::protocol("WINDOW_UPDATE on a stream that was never opened"));
        }
        let active = self.active();
        if let Some(stream) = active.stream(id) {
            stream.send_window.grow(increment).map_err(|_| {
                let what = "WINDOW_UPDATE makes the stream's window exceed 2^31 - 1";
                Violation::stream(ErrorCode::FLOW_CONTROL_ERROR, what)
            })?;
            active.enqueue(id);
        }
        Ok(())
    }

    fn receive_reset(
        &mut self,
        head: &Head,
        payload: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        let Reset { stream: id, code } = Reset::parse(head, payload)?;
        if self.is_idle(id) {
            return Err(Violation::protocol("RST_STREAM on a stream that was never opened"));
        }
        let role = self.role;
        let Some(stream) = self.stream(id) else { return self.charge(turn) };
        // RFC 9113, section 8.1: a server may not need the rest of a request that it has answered.
        let answered = role == Role::Client
            && stream.receiving == Direction::Ended
            && code == ErrorCode::NO_ERROR;
        self.remove(id, (!answered).then(|| Error::reset(code)));
        self.budget.charge_reset(weight::RESET, turn.now)
    }

    fn receive_ping(
        &mut self,
        head: &Head,
        payload: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        self.charge(turn)?;
        let ping = Ping::parse(head, payload)?;
        if ping.ack {
            self.active().events.push(Event::Pong(ping.data));
        } else {
            Ping { ack: true, ..ping }.write(turn.out.frames());
        }
        Ok(())
    }

    fn receive_settings(
        &mut self,
        head: &Head,
        payload: &[u8],
        turn: &mut Turn<'_>,
    ) -> Result<(), Violation> {
        let settings = Settings::parse(head, payload)?;
        if settings == Settings::Ack {
            self.charge(turn)?;
            if !std::mem::replace(&mut self.progress.acknowledged, true) {
                self.decoder.set_limit(turn.config.header_table_size);
            }
            return Ok(());
        }
        self.budget.charge_control(weight::SETTINGS, turn.now)?;
        self.progress.greeting = Greeting::Settings;
        for setting in settings.iter() {
            match setting {
                Setting::HeaderTableSize(size) => {
                    if size < hpack::DEFAULT_TABLE_SIZE
                        && self.progress.size_update == SizeUpdate::Unneeded
                    {
                        self.progress.size_update = SizeUpdate::Due;
                    }
                }
                Setting::EnablePush(true) if self.role == Role::Client => {
                    return Err(Violation::protocol("a server enables push"));
                }
                Setting::MaxConcurrentStreams(count) => {
                    self.peer_streams = count.min(u16::MAX.into()) as u16;
                    self.active().events.push(Event::Limits);
                }
                Setting::InitialWindowSize(size) => self.resize_windows(size)?,
                Setting::MaxHeaderListSize(size) => self.peer_list = size,
                Setting::EnablePush(_) | Setting::MaxFrameSize(_) | Setting::Unknown(..) => {}
            }
        }
        Settings::write_ack(turn.out.frames());
        Ok(())
    }

    /// The peer's initial window applies to the streams that are open, too (RFC 9113, section 6.9.2).
    fn resize_windows(&mut self, size: u32) -> Result<(), Violation> {
        let difference = i64::from(size) - i64::from(self.peer_window);
        self.peer_window = size;
        let active = self.active();
        for stream in &mut active.streams {
            stream.send_window.shift(difference).map_err(|_| {
                let what = "SETTINGS_INITIAL_WINDOW_SIZE makes a stream's window exceed 2^31 - 1";
                Violation::connection(ErrorCode::FLOW_CONTROL_ERROR, what)
            })?;
            if !stream.queued && !stream.pending.is_empty() && stream.can_send() {
                stream.queued = true;
                active.ring.push_back(stream.id);
            }
        }
        Ok(())
    }

    fn receive_go_away(&mut self, head: &Head, payload: &[u8]) -> Result<(), Error> {
        let GoAway { last_stream, code, debug } = GoAway::parse(head, payload)?;
        self.progress.peer_closing = true;
        let debug = &debug[..debug.len().min(DEBUG_LEN)];
        let text: String = String::from_utf8_lossy(debug).escape_debug().collect();
        let reason = Reason::GoAway(text.into());
        let error = Error::new(reason, code, Initiator::Peer, Scope::Connection);
        if self.role == Role::Client {
            for id in self.ids().into_iter().filter(|id| *id > last_stream) {
                self.remove(id, Some(Error::unprocessed(code)));
            }
        }
        self.active().events.push(Event::GoAway(Box::new(error)));
        Ok(())
    }
}

/// Of a peer's GOAWAY so many bytes are kept: enough for the words of every known implementation.
const DEBUG_LEN: usize = 256;

/// What a peer speaks that does not begin with the preface.
fn foreign(begin: &[u8]) -> Error {
    const METHODS: [&[u8]; 8] =
        [b"GET ", b"POST", b"PUT ", b"HEAD", b"DELE", b"OPTI", b"PATC", b"CONN"];
    let what = if METHODS.iter().any(|method| begin.starts_with(&method[..begin.len().min(4)])) {
        "it sent an HTTP/1 request; this port speaks HTTP/2 by prior knowledge only"
    } else if begin.starts_with(&[0x16, 3]) || begin == [0x16] {
        "it began a TLS handshake; this port does not speak TLS"
    } else {
        "its first bytes are not HTTP/2's preface"
    };
    Error::ending(Reason::Foreign(what), ErrorCode::PROTOCOL_ERROR)
}
