//! Connecting and accepting in an event loop without tokio.

use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Instant, SystemTime};

use alts_handshaker::{Error as Handshake, HandshakeOptions, Role};

use super::endpoint::{Acceptor, Connector, Endpoint};
use super::failure;
use super::handshaking::Handshaking;
use super::observed::Observed;
use super::settings::addable;
use crate::error::Error;
use crate::ready::NonBlocking;
use crate::stream::AltsStream;

impl Acceptor {
    /// Begins the server's side of a handshake over a non-blocking socket.
    ///
    /// The event loop has to limit concurrent handshakes itself. Timeouts take effect when
    /// [`advance`](MidHandshake::advance) is called.
    pub fn start<S: io::Read + io::Write>(&self, io: S) -> Result<MidHandshake<S>, Error> {
        MidHandshake::new(&self.0, io, &self.0.settings.handshake)
    }
}

impl Connector {
    /// Begins the client's side of a handshake over a non-blocking socket, which may still be connecting.
    pub fn start<S: io::Read + io::Write>(&self, io: S) -> Result<MidHandshake<S>, Error> {
        self.start_with(io, &self.0.settings.handshake)
    }

    /// As [`start`](Self::start), with options for this connection.
    pub fn start_with<S: io::Read + io::Write>(
        &self,
        io: S,
        options: &HandshakeOptions,
    ) -> Result<MidHandshake<S>, Error> {
        MidHandshake::new(&self.0, io, options)
    }
}

/// A handshake over a non-blocking socket.
#[derive(Debug)]
pub struct MidHandshake<S> {
    endpoint: Arc<Endpoint>,
    handshaking: Handshaking,
    io: S,
    start: Instant,
    /// In a box, or a handshake would be far larger than a stream.
    observed: Box<Observed>,
}

/// How far a [`MidHandshake`] got.
#[derive(Debug)]
pub enum Progress<S> {
    /// It waits for an event of the socket.
    Pending(MidHandshake<S>),
    /// It is finished.
    Done(AltsStream<S>),
}

impl<S: io::Read + io::Write> MidHandshake<S> {
    fn new(endpoint: &Arc<Endpoint>, io: S, options: &HandshakeOptions) -> Result<Self, Error> {
        let observed = Box::new(Observed::begin(endpoint.role, &endpoint.settings, None));
        match observed.span().in_scope(|| Handshaking::start(endpoint, options)) {
            Ok(handshaking) => {
                let (endpoint, start) = (Arc::clone(endpoint), Instant::now());
                Ok(Self { endpoint, handshaking, io, start, observed })
            }
            Err(error) => Err(observed.failed(error)),
        }
    }

    /// Continues as far as the socket allows. Call it when the socket is readable, or writable while
    /// [`wants_write`](Self::wants_write), and at the [`deadline`](Self::deadline).
    ///
    /// # Errors
    /// The socket is closed with the handshake; an alert has been sent if there was room for it.
    pub fn advance(mut self) -> Result<Progress<S>, Error> {
        let span = self.observed.span();
        let _entered = span.enter();
        let result = match self.advance_inner() {
            Ok(()) => Ok(()),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected
                    if Error::of(&error).is_none() =>
                {
                    if Instant::now() < self.deadline() {
                        return Ok(Progress::Pending(self));
                    }
                    let error = self.expired();
                    if let Error::Handshake(Handshake::Limit { code, .. }) = error {
                        self.handshaking.fail(code);
                    }
                    Err(error)
                }
                _ => Err(error.into()),
            },
        };
        if let Err(error) = result {
            // An error of sending the alert would hide why the handshake failed.
            let _ = self.handshaking.send(&mut NonBlocking(&mut self.io));
            return Err(self.observed.failed(error));
        }
        match self.handshaking.finish() {
            Some((result, received)) => {
                let stream = self.endpoint.stream(self.io, result, received);
                Ok(Progress::Done(self.observed.ended(stream)?))
            }
            None => Ok(Progress::Pending(self)),
        }
    }

    fn advance_inner(&mut self) -> io::Result<()> {
        let pool = &self.endpoint.settings.pool;
        loop {
            self.handshaking.send(&mut NonBlocking(&mut self.io))?;
            if self.handshaking.has_result() {
                return Ok(());
            }
            self.handshaking.receive(&mut NonBlocking(&mut self.io), pool)?;
            let mut cx = Context::from_waker(Waker::noop());
            match self.handshaking.step(&mut cx, SystemTime::now()) {
                Poll::Ready(result) => result?,
                Poll::Pending => return Err(io::ErrorKind::WouldBlock.into()),
            }
        }
    }

    /// The error at its deadline.
    fn expired(&self) -> Error {
        let settings = &self.endpoint.settings;
        match self.handshaking.awaits_first_bytes() {
            true => failure::silence(settings, self.endpoint.role),
            false => failure::too_long(settings),
        }
    }

    /// Whether it has bytes to send and waits for the socket to become writable.
    pub fn wants_write(&self) -> bool {
        self.handshaking.has_unsent()
    }

    /// The instant at which it fails with a timeout.
    pub fn deadline(&self) -> Instant {
        let settings = &self.endpoint.settings;
        let patience = match (self.endpoint.role, self.handshaking.awaits_first_bytes()) {
            // As over tokio, where a server may have a queue.
            (Role::Server, true) => settings.first_bytes_timeout.min(settings.handshake_timeout),
            _ => settings.handshake_timeout,
        };
        self.start + addable(patience)
    }

    /// The socket.
    pub fn get_ref(&self) -> &S {
        &self.io
    }

    /// The socket, for instance to register it with an event loop.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.io
    }
}
