//! One handshake over a socket, whatever drives the socket.

use std::io;
use std::task::{Context, Poll};
use std::time::SystemTime;

use alts_handshaker::{AlertCode, HandshakeResult, HandshakeSession, Role};

use super::endpoint::Endpoint;
use crate::error::{Error, Truncation};
use crate::pool::{BufferPool, PooledBuf};
use crate::ready::{Sink, Source};

/// Once a peer has sent this much, the header of its first frame, it no longer counts as silent.
const FIRST_BYTES: usize = 8;

/// What is read at a time: most handshakes have no longer message. The buffer is not under the pool's cap, or handshakes would
/// starve behind readers that keep theirs. One is out only until the session has taken what is in it, and the limits on
/// handshakes are the limit on these.
const READ_LEN: usize = 4 << 10;

/// The steps of a handshake, for a loop to call in turn: [`send`](Self::send) until all is sent, then, unless there
/// is a result, [`receive`](Self::receive) once, then [`step`](Self::step).
#[derive(Debug)]
pub(super) struct Handshaking {
    session: Box<dyn HandshakeSession>,
    /// A client begins without input.
    begun: bool,
    out: Vec<u8>,
    sent: usize,
    received: usize,
    /// Received before the handshake had a place.
    first: Box<[u8]>,
    input: Option<PooledBuf>,
    result: Option<HandshakeResult>,
}

impl Handshaking {
    pub(super) fn start(
        endpoint: &Endpoint,
        options: &alts_handshaker::HandshakeOptions,
    ) -> Result<Self, Error> {
        Ok(Self {
            session: endpoint.handshaker.start(endpoint.role, options)?,
            begun: endpoint.role == Role::Server,
            out: Vec::new(),
            sent: 0,
            received: 0,
            first: Box::default(),
            input: None,
            result: None,
        })
    }

    /// Input that was received already.
    #[cfg(feature = "tokio")]
    pub(super) fn preload(&mut self, first: Box<[u8]>) {
        self.first = first;
    }

    /// Sends the bytes of the last step.
    pub(super) fn send(&mut self, sink: &mut impl Sink) -> io::Result<()> {
        while self.sent < self.out.len() {
            match sink.write(&self.out[self.sent..])? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                count => self.sent += count,
            }
        }
        if self.sent > 0 {
            sink.flush()?;
            self.out = Vec::new();
            self.sent = 0;
        }
        Ok(())
    }

    pub(super) fn has_unsent(&self) -> bool {
        !self.out.is_empty()
    }

    /// Receives input for the next step, if it takes any.
    pub(super) fn receive(
        &mut self,
        source: &mut impl Source,
        pool: &BufferPool,
    ) -> io::Result<()> {
        if !self.begun || self.input.is_some() {
            return Ok(());
        }
        let early = std::mem::take(&mut self.first);
        let input = if early.is_empty() {
            source.readable()?;
            let mut input = pool.take_beyond_cap(READ_LEN).map_err(Error::Pool)?;
            let count = source.read(&mut input)?;
            input.truncate(count);
            input
        } else {
            let mut input = pool.take_beyond_cap(early.len()).map_err(Error::Pool)?;
            input[..early.len()].copy_from_slice(&early);
            input.truncate(early.len());
            input
        };
        if input.is_empty() {
            let at = match self.received {
                0 => Truncation::BeforeHandshake,
                _ => Truncation::Handshake,
            };
            return Err(Error::Truncated { at }.into());
        }
        self.received = self.received.saturating_add(input.len());
        self.input = Some(input);
        Ok(())
    }

    /// Whether the session has finished.
    pub(super) fn has_result(&self) -> bool {
        self.result.is_some()
    }

    /// Whether the peer still counts as silent.
    pub(super) fn awaits_first_bytes(&self) -> bool {
        self.received < FIRST_BYTES
    }

    /// Gives the input to the session.
    pub(super) fn step(
        &mut self,
        cx: &mut Context<'_>,
        now: SystemTime,
    ) -> Poll<Result<(), Error>> {
        let received = self.input.as_deref().unwrap_or_default();
        let step = std::task::ready!(self.session.poll_step(cx, received, now, &mut self.out))?;
        self.begun = true;
        let given = received.len();
        if step.consumed > given || (step.consumed < given && step.result.is_none()) {
            let fault = "the handshaker did not take the bytes it was given";
            return Poll::Ready(Err(alts_handshaker::Error::Unavailable(fault.into()).into()));
        }
        match &mut self.input {
            Some(input) if step.consumed < given => input.advance(step.consumed),
            input => *input = None,
        }
        self.result = step.result;
        Poll::Ready(Ok(()))
    }

    /// While input is awaited: whether the handshaker has ended the handshake meanwhile.
    #[cfg(feature = "tokio")]
    pub(super) fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        match self.begun && self.input.is_none() {
            true => self.session.poll_ended(cx).map(Error::from),
            false => Poll::Pending,
        }
    }

    /// Prepares an alert about a limit of this side.
    pub(super) fn fail(&mut self, code: AlertCode) {
        self.session.fail(code, &mut self.out);
    }

    /// The result, once there is one and everything is sent, and the bytes that the peer sent after the handshake.
    pub(super) fn finish(&mut self) -> Option<(HandshakeResult, Option<PooledBuf>)> {
        if self.has_unsent() {
            return None;
        }
        Some((self.result.take()?, self.input.take()))
    }
}
