//! What the server has sent, and what must have come of it.

use std::collections::BTreeMap;

use alts::http2::frame::{ErrorCode, Head, Kind, Setting, Settings, flag};

use crate::choices::Choices;

/// What a call came to.
#[derive(Debug, Default)]
pub(super) struct Came {
    pub(super) status: Option<u16>,
    pub(super) content: Vec<u8>,
    pub(super) ended: bool,
    pub(super) error: Option<String>,
}

/// What a call must come to.
#[derive(Clone, Debug, Default)]
pub(super) struct Fate {
    status: Option<u16>,
    content: Vec<u8>,
    ended: bool,
    /// The server ended it before its end, so that some of what came may be dropped.
    broken: bool,
    /// The application reads no more than so many bytes.
    most: usize,
}

impl Fate {
    pub(super) fn check(&self, came: &Came) {
        let context = format!(
            "{:?}, {} bytes, ended: {}, broken: {}; came: {:?}, {} bytes, ended: {}, {:?}",
            self.status,
            self.content.len(),
            self.ended,
            self.broken,
            came.status,
            came.content.len(),
            came.ended,
            came.error,
        );
        assert!(self.content.starts_with(&came.content), "other content: {context}");
        if came.status.is_some() {
            assert_eq!(came.status, self.status, "{context}");
        }
        if self.ended && !self.broken {
            assert_eq!(came.status, self.status, "{context}");
            let stopped = came.content.len() >= self.most;
            assert!(stopped || came.ended && came.content == self.content, "{context}");
        }
        if came.ended {
            assert!(self.ended && came.content == self.content, "an end that never was: {context}");
        } else {
            assert!(came.error.is_some() || came.content.len() >= self.most, "{context}");
        }
    }
}

struct Stream {
    call: usize,
    /// What this side may send, and the client.
    to_client: i64,
    to_server: i64,
}

pub(super) struct Model {
    fates: Vec<Fate>,
    streams: BTreeMap<u32, Stream>,
    /// The client's windows, for a stream and for the connection.
    window: i64,
    connection: i64,
    /// What this side may send, and the client.
    to_client: i64,
    to_server: i64,
    /// The server's window for a new stream.
    initial: i64,
    /// Windows that the client has not acknowledged, oldest first.
    unacknowledged: Vec<i64>,
    /// The code that the client must end the connection with.
    code: Option<ErrorCode>,
    ended_with: Option<u32>,
}

impl Model {
    pub(super) fn new(window: u32, connection: u32) -> Self {
        Self {
            fates: Vec::new(),
            streams: BTreeMap::new(),
            window: window.into(),
            connection: connection.into(),
            to_client: 65_535,
            to_server: 65_535,
            initial: 65_535,
            unacknowledged: Vec::new(),
            code: None,
            ended_with: None,
        }
    }

    pub(super) fn call_begun(&mut self, most: usize) {
        self.fates.push(Fate { most, ..Fate::default() });
    }

    /// Streams on which the server may send.
    pub(super) fn open(&self) -> Vec<u32> {
        let open = |(_, stream): &(&u32, &Stream)| {
            !self.fates[stream.call].ended && !self.fates[stream.call].broken
        };
        self.streams.iter().filter(open).map(|(id, _)| *id).collect()
    }

    pub(super) fn is_over(&self) -> bool {
        self.code.is_some()
    }

    /// A response's head. `false` if there was one.
    pub(super) fn headers(&mut self, id: u32, status: u16, ends: bool) -> bool {
        let fate = &mut self.fates[self.streams[&id].call];
        if fate.status.is_some() {
            return false;
        }
        if status >= 200 {
            (fate.status, fate.ended) = (Some(status), ends);
        }
        true
    }

    /// The content of a frame, as far as windows let it; `None` if the stream is not that far.
    pub(super) fn content(&mut self, id: u32, len: usize, ends: bool) -> Option<Vec<u8>> {
        let stream = self.streams.get_mut(&id)?;
        let fate = &mut self.fates[stream.call];
        fate.status?;
        let room = usize::try_from(stream.to_client.min(self.to_client)).unwrap_or(0);
        let len = len.min(room);
        stream.to_client -= i64::try_from(len).unwrap();
        self.to_client -= i64::try_from(len).unwrap();
        let start = fate.content.len();
        let content: Vec<u8> = (start..start + len).map(|at| (at / 3) as u8).collect();
        fate.content.extend_from_slice(&content);
        fate.ended = ends;
        Some(content)
    }

    pub(super) fn reset(&mut self, id: u32) {
        self.fates[self.streams[&id].call].broken = true;
    }

    pub(super) fn credit(&mut self, id: u32, increment: u32) {
        match self.streams.get_mut(&id) {
            Some(stream) => stream.to_server += i64::from(increment),
            None => self.to_server += i64::from(increment),
        }
    }

    pub(super) fn initial_window(&mut self, size: u32) {
        self.unacknowledged.push(size.into());
    }

    pub(super) fn fault(&mut self, code: ErrorCode) {
        self.code = Some(code);
        for fate in self.fates.iter_mut().filter(|fate| !fate.ended) {
            fate.broken = true;
        }
    }

    pub(super) fn client_sent(&mut self, head: &Head, payload: &[u8]) {
        let number = |at: usize| {
            let bytes = payload[at..at + 4].try_into().unwrap();
            u32::from_be_bytes(bytes)
        };
        match head.kind {
            Kind::Headers if !self.streams.contains_key(&head.stream) => {
                let call = self.streams.len();
                let stream = Stream { call, to_client: self.window, to_server: self.initial };
                assert!(self.streams.insert(head.stream, stream).is_none());
                assert!(call < self.fates.len(), "a stream without a call");
            }
            Kind::Data => {
                self.to_server -= i64::from(head.len);
                let stream = self.streams.get_mut(&head.stream).unwrap();
                stream.to_server -= i64::from(head.len);
                let fits = self.to_server >= 0 && (stream.to_server >= 0 || head.len == 0);
                assert!(fits, "the client sends more than it may");
            }
            Kind::WindowUpdate => {
                let increment = i64::from(number(0));
                match self.streams.get_mut(&head.stream) {
                    Some(stream) => {
                        stream.to_client += increment;
                        assert!(stream.to_client <= self.window, "more credit than was used");
                    }
                    None if head.stream == 0 => {
                        self.to_client += increment;
                        assert!(self.to_client <= self.connection, "more credit than was used");
                    }
                    None => panic!("credit for a stream that there is not"),
                }
            }
            Kind::Reset => {
                self.fates[self.streams[&head.stream].call].broken = true;
            }
            // The first is for those that the story begins with, which say nothing.
            Kind::Settings if head.has(flag::ACK) && !self.unacknowledged.is_empty() => {
                let size = self.unacknowledged.remove(0);
                for stream in self.streams.values_mut() {
                    stream.to_server += size - self.initial;
                }
                self.initial = size;
            }
            Kind::Settings if head.has(flag::ACK) => {}
            Kind::Settings => {
                let settings = Settings::parse(head, payload).unwrap();
                assert!(settings.iter().any(|setting| setting == Setting::EnablePush(false)));
            }
            Kind::GoAway => self.ended_with = Some(number(4)),
            _ => {}
        }
    }

    /// A connection with a fault was ended with the code of that fault, and one without a fault was not ended.
    pub(super) fn check_end(&self) {
        assert_eq!(self.ended_with, self.code.map(|code| code.0));
    }

    pub(super) fn fates(&self) -> Vec<Fate> {
        self.fates.clone()
    }
}

/// What ends every connection, and the code that it is ended with.
pub(super) fn fault(choices: &mut Choices<'_>) -> (Vec<u8>, ErrorCode) {
    let (protocol, size) = (ErrorCode::PROTOCOL_ERROR, ErrorCode::FRAME_SIZE_ERROR);
    let faults: [(Kind, u8, u32, &[u8], ErrorCode); 14] = [
        (Kind::Data, 0, 0, b"on the connection", protocol),
        (Kind::Data, 0, 1_001, b"never opened", protocol),
        (Kind::Headers, flag::END_HEADERS, 2, &[0x88], protocol),
        (Kind::Headers, flag::END_HEADERS, 1_001, &[0x88], protocol),
        (
            Kind::Headers,
            flag::END_HEADERS,
            1,
            &[0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
            ErrorCode::COMPRESSION_ERROR,
        ),
        (Kind::Continuation, flag::END_HEADERS, 1, &[], protocol),
        (Kind::PushPromise, flag::END_HEADERS, 1, &[0, 0, 0, 2, 0x82], protocol),
        (Kind::Ping, 0, 0, b"seven..", size),
        (Kind::Ping, 0, 1, b"on one..", protocol),
        (Kind::Settings, 0, 0, b"five!", size),
        (Kind::Settings, flag::ACK, 0, b"sixsix", size),
        (Kind::WindowUpdate, 0, 0, &[0; 4], protocol),
        (Kind::WindowUpdate, 0, 0, &[0x7F, 0xFF, 0xFF, 0xFF], ErrorCode::FLOW_CONTROL_ERROR),
        (Kind::GoAway, 0, 3, &[0; 8], protocol),
    ];
    let (kind, flags, stream, payload, code) = choices.pick(&faults);
    let mut bytes = Vec::new();
    Head { len: payload.len() as u32, kind, flags, stream }.write(&mut bytes);
    bytes.extend_from_slice(payload);
    if code == ErrorCode::FLOW_CONTROL_ERROR {
        // One may just fit into a window that is used up.
        bytes = bytes.repeat(2);
    }
    (bytes, code)
}
