//! A client and a server, and what is on its way between them.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::Body as _;

use super::super::super::input::Received;
use super::super::*;

/// One of the two.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) core: Core<()>,
    pub(crate) config: Config,
    pub(crate) out: Output,
    pub(crate) now: Tick,
    /// What was received, by streams.
    pub(crate) heads: BTreeMap<u32, Head>,
    pub(crate) bodies: BTreeMap<u32, Body>,
    pub(crate) writable: Vec<u32>,
    pub(crate) closed: BTreeMap<u32, Option<Error>>,
    pub(crate) other: Vec<Event<()>>,
}

impl End {
    pub(crate) fn new(role: Role, config: Config) -> Self {
        config.check().unwrap();
        let mut end = Self {
            core: Core::new(role, &config, 0),
            config,
            out: Output::default(),
            now: 0,
            heads: BTreeMap::new(),
            bodies: BTreeMap::new(),
            writable: Vec::new(),
            closed: BTreeMap::new(),
            other: Vec::new(),
        };
        end.with(|core, turn| core.start(turn));
        end
    }

    pub(crate) fn with<R>(&mut self, act: impl FnOnce(&mut Core<()>, &mut Turn<'_>) -> R) -> R {
        let turn = &mut Turn { config: &self.config, now: self.now, out: &mut self.out };
        act(&mut self.core, turn)
    }

    pub(crate) fn receive(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut received = Received::from(Bytes::copy_from_slice(bytes));
        let result = self.with(|core, turn| core.receive(&mut received, turn));
        self.settle();
        result
    }

    /// Handles events and notices, and gives content its turn.
    pub(crate) fn settle(&mut self) {
        while let Some(event) = self.core.next_event() {
            match event {
                Event::Opened(id) | Event::Response(id) => {
                    let Some(head) = self.core.take_head(id) else { continue };
                    self.heads.insert(id, head);
                    let body = self.core.take_body(id, &self.config);
                    self.bodies.insert(id, body);
                }
                Event::Writable(id) => self.writable.push(id),
                Event::Closed(mut stream) => {
                    let id = stream.id;
                    assert!(
                        self.closed.insert(id, stream.take_error()).is_none(),
                        "{id} is closed twice"
                    );
                }
                other => self.other.push(other),
            }
        }
        self.with(|core, turn| {
            core.take_notices(turn);
            core.flush(usize::MAX, turn);
        });
        if self.core.active.as_ref().is_some_and(|active| !active.events.is_empty()) {
            return self.settle();
        }
        self.core.rest();
    }

    /// What leaves, as one piece.
    pub(crate) fn take_output(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while !self.out.is_empty() {
            let mut slices = [std::io::IoSlice::new(&[]); 64];
            let count = self.out.slices(&mut slices);
            let start = bytes.len();
            slices[..count].iter().for_each(|slice| bytes.extend_from_slice(slice));
            let len = bytes.len() - start;
            self.out.advance(len);
        }
        bytes
    }

    /// Reads a piece of a message. `None`: nothing now. `Some(Ok(None))`: the end.
    pub(crate) fn read(&mut self, id: u32) -> Option<Result<Option<Bytes>, Error>> {
        let body = self.bodies.get_mut(&id)?;
        let cx = &mut Context::from_waker(Waker::noop());
        match Pin::new(body).poll_frame(cx) {
            Poll::Pending => None,
            Poll::Ready(None) => Some(Ok(None)),
            Poll::Ready(Some(Ok(frame))) => {
                Some(Ok(Some(frame.into_data().unwrap_or_else(|frame| {
                    assert!(frame.is_trailers());
                    Bytes::from_static(b"")
                }))))
            }
            Poll::Ready(Some(Err(error))) => Some(Err(error)),
        }
    }
}

/// Both, and what is on its way.
#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) client: End,
    pub(crate) server: End,
    pub(crate) to_server: Vec<u8>,
    pub(crate) to_client: Vec<u8>,
}

impl Pair {
    pub(crate) fn new(client: Config, server: Config) -> Self {
        Self {
            client: End::new(Role::Client, client),
            server: End::new(Role::Server, server),
            to_server: Vec::new(),
            to_client: Vec::new(),
        }
    }

    /// Two that have exchanged settings.
    pub(crate) fn ready() -> Self {
        let mut pair = Self::new(Config::default(), Config::default());
        pair.exchange();
        pair
    }

    pub(crate) fn collect(&mut self) {
        self.to_server.extend(self.client.take_output());
        self.to_client.extend(self.server.take_output());
    }

    /// Until nothing is on its way.
    pub(crate) fn exchange(&mut self) {
        loop {
            self.client.settle();
            self.server.settle();
            self.collect();
            if self.to_server.is_empty() && self.to_client.is_empty() {
                return;
            }
            let bytes = std::mem::take(&mut self.to_server);
            self.server.receive(&bytes).unwrap();
            let bytes = std::mem::take(&mut self.to_client);
            self.client.receive(&bytes).unwrap();
        }
    }

    pub(crate) fn open(&mut self, end: bool) -> u32 {
        self.client.with(|core, turn| core.open(&request(), end, (), turn)).unwrap()
    }
}

pub(crate) fn request() -> http::request::Parts {
    let request = http::Request::post("http://host/service/method")
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    request.body(()).unwrap().into_parts().0
}
