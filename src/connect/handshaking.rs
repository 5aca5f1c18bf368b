//! One handshake over a socket, whatever drives the socket.

use std::io;
use std::task::{Context, Poll};
use std::time::SystemTime;

use alts_handshaker::{AlertCode, HandshakeResult, HandshakeSession, Role};

use super::endpoint::Endpoint;
use crate::error::{Error, Truncation};
use crate::pool::{BufferPool, PooledBuf};
use crate::ready::{Sink, Source};

/// A peer that has sent this much has shown that it speaks: the header of its first frame.
const FIRST_BYTES: usize = 8;

/// What is read at a time: most handshakes have no longer message. The buffer is not under the pool's cap, or handshakes would
/// starve behind readers that keep theirs. One is out only until the session has taken what is in it, and the limits on
/// handshakes are the limit on these.
const READ_LEN: usize = 4 << 10;

/// The three things there are to do, for a loop to call in turn: [`send`](Self::send) until all is sent, then, unless there
/// is a result, [`receive`](Self::receive) once, then [`step`](Self::step).
#[derive(Debug)]
pub(super) struct Handshaking {
    session: Box<dyn HandshakeSession>,
    role: Role,
    /// A client begins without input.
    begun: bool,
    out: Vec<u8>,
    sent: usize,
    received: usize,
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
            role: endpoint.role,
            begun: endpoint.role == Role::Server,
            out: Vec::new(),
            sent: 0,
            received: 0,
            input: None,
            result: None,
        })
    }

    /// Sends what is due.
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

    /// Sees to input for the next step, if it takes any.
    pub(super) fn receive(
        &mut self,
        source: &mut impl Source,
        pool: &BufferPool,
    ) -> io::Result<()> {
        if !self.begun || self.input.is_some() {
            return Ok(());
        }
        source.readable()?;
        let mut input = pool.take_beyond_cap(READ_LEN).map_err(Error::Pool)?;
        let count = match source.read(&mut input) {
            Ok(0) if self.received > 0 => {
                return Err(Error::Truncated { at: Truncation::Handshake }.into());
            }
            Ok(0) => return Err(Error::Truncated { at: Truncation::BeforeHandshake }.into()),
            // Checks of a port may end this way, too.
            Err(error)
                if error.kind() == io::ErrorKind::ConnectionReset
                    && self.received == 0
                    && self.role == Role::Server =>
            {
                return Err(Error::Truncated { at: Truncation::BeforeHandshake }.into());
            }
            read => read?,
        };
        input.truncate(count);
        self.received = self.received.saturating_add(count);
        self.input = Some(input);
        Ok(())
    }

    /// Whether the handshake itself is over.
    pub(super) fn has_result(&self) -> bool {
        self.result.is_some()
    }

    pub(super) fn role(&self) -> Role {
        self.role
    }

    /// Whether the peer has yet to show that it speaks.
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

    /// Prepares an alert about a limit of this side.
    pub(super) fn fail(&mut self, code: AlertCode) {
        self.session.fail(code, &mut self.out);
    }

    /// The result, once there is one and all is sent, and what the peer sent after the handshake.
    pub(super) fn finish(&mut self) -> Option<(HandshakeResult, Option<PooledBuf>)> {
        if self.has_unsent() {
            return None;
        }
        Some((self.result.take()?, self.input.take()))
    }
}
