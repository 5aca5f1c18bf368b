//! The state of a secured connection, apart from its socket.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use alts_handshaker::{HandshakeResult, LateAlert, Role};

use super::moving::Moving;
use super::negotiated::Shared;
use super::outbound::Outbound;
use super::stall::Stall;
use super::window::Window;
use crate::error::Error;
use crate::pool::{PooledBuf, Ticket};
use crate::record::{Counter, RecordError, TrafficKeys};

/// Both directions of a secured connection. `receive.rs` and `send.rs` hold what it does; this file what it keeps:
///
/// ```text
/// Channel            always                   keys, counters, flags
///  ├─ shared         always, one for many     peer, parameters, pool
///  ├─ moving         while records move       an expanded AES key, the window over received bytes
///  └─ held           only when needed         part of a record, sealed bytes the kernel refused, a stored failure …
/// ```
///
/// While nothing moves both boxes are gone and the channel is 120 bytes.
pub(crate) struct Channel {
    pub(super) keys: TrafficKeys,
    pub(super) opened: Counter,
    pub(super) sealed: Counter,
    pub(super) reading: Reading,
    pub(super) writing: Writing,
    /// Socket reads since the reader last waited.
    pub(super) reads: u8,
    pub(super) shared: Arc<Shared>,
    pub(super) moving: Option<Box<Moving>>,
    pub(super) held: Option<Box<Held>>,
}

/// Part of a record up to this length waits in an allocation of exactly its size, not in a pooled buffer.
pub(super) const MAX_EXACT_PARTIAL: usize = 4 << 10;
/// Records per direction under the one key of `ALTSRP_GCM_AES128`: 2^24 over both, at which AES-GCM's confidentiality margin
/// is still beyond 2^-60 with records of 16 KiB.
pub(super) const MAX_PLAIN_RECORDS: u64 = 1 << 23;

/// The receiving direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Open,
    /// At its end, which the network reported.
    Ended,
    /// At its end, which the peer announced with a record.
    EndedAuthenticated,
}

/// The sending direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Writing {
    Open,
    /// The authenticated close is sealed, if there is to be one; the socket's half is still open.
    Closing,
    Closed,
}

/// What a connection holds for longer, in rare states.
#[derive(Debug, Default)]
pub(super) struct Held {
    /// Part of a record, exactly as long as what has arrived.
    pub(super) partial: Box<[u8]>,
    /// A place in the queue for a buffer.
    pub(super) place: Option<Ticket>,
    /// Sealed bytes that the kernel did not take yet.
    pub(super) outbound: Option<Outbound>,
    /// Who waits until the kernel has taken them, where it may be another task than the reader's.
    #[cfg(feature = "tokio")]
    pub(super) writer: Option<std::task::Waker>,
    /// A partial record in a pooled buffer that does not grow.
    pub(super) stall: Option<Box<Stall>>,
    /// Why nothing can be received any more.
    pub(super) failure: Option<Box<Error>>,
    /// A client's, until the first record shows that the server accepted it.
    pub(super) late_alert: Option<Box<dyn LateAlert>>,
}

impl Held {
    fn is_empty(&self) -> bool {
        self.partial.is_empty()
            && self.place.is_none()
            && self.outbound.is_none()
            && self.stall.is_none()
            && self.failure.is_none()
            && self.late_alert.is_none()
    }
}

impl Channel {
    /// A channel for what the handshake settled. `shared` was made from `result` too.
    pub(crate) fn new(
        role: Role,
        result: &mut HandshakeResult,
        shared: Arc<Shared>,
    ) -> Result<Self, RecordError> {
        let late_alert = result.late_alert.take();
        Ok(Self {
            keys: TrafficKeys::new(result.record_protocol, result.key_data.as_bytes())?,
            opened: Counter::new(role.peer()),
            sealed: Counter::new(role),
            reading: Reading::Open,
            writing: Writing::Open,
            reads: 0,
            shared,
            moving: None,
            held: late_alert.map(|late_alert| {
                Box::new(Held { late_alert: Some(late_alert), ..Held::default() })
            }),
        })
    }

    /// Takes over what the peer sent right after the handshake: few bytes exactly, more in the buffer they came in.
    pub(crate) fn preload(&mut self, received: PooledBuf) {
        if received.len() > MAX_EXACT_PARTIAL {
            self.moving().window = Some(Window::over(received));
        } else {
            self.held().partial = (*received).into();
        }
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn peer_closed_authenticated(&self) -> bool {
        self.reading == Reading::EndedAuthenticated
    }

    /// When a partial record in a pooled buffer will have stalled.
    pub(crate) fn stall_deadline(&self) -> Option<Instant> {
        let stall = self.held.as_ref()?.stall.as_ref()?;
        Some(stall.deadline(self.shared.options.stall_limit))
    }

    /// Whether sealed bytes wait for the kernel.
    #[inline]
    pub(crate) fn has_outbound(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.outbound.is_some())
    }

    /// Notes who waits until the sealed bytes are with the kernel.
    #[cfg(feature = "tokio")]
    pub(super) fn writer_waits(&mut self, waker: &std::task::Waker) {
        match &mut self.held {
            Some(held) if held.outbound.is_some() => match &mut held.writer {
                Some(writer) => writer.clone_from(waker),
                none => *none = Some(waker.clone()),
            },
            _ => {}
        }
    }

    /// Takes the sending direction out into a channel of its own. Each of the two then uses one direction only.
    #[cfg(feature = "tokio")]
    pub(super) fn split_sender(&mut self) -> Self {
        let outbound = self.held.as_mut().and_then(|held| held.outbound.take());
        self.tidy();
        Self {
            keys: self.keys.clone(),
            opened: self.opened.clone(),
            sealed: self.sealed.clone(),
            reading: Reading::Open,
            writing: self.writing,
            reads: 0,
            shared: Arc::clone(&self.shared),
            moving: None,
            held: outbound.map(|buf| Box::new(Held { outbound: Some(buf), ..Held::default() })),
        }
    }

    pub(super) fn held(&mut self) -> &mut Held {
        self.held.get_or_insert_default()
    }

    /// Lets go of what is empty.
    #[inline]
    pub(super) fn tidy(&mut self) {
        if self.held.is_some() || self.moving.is_some() {
            self.drop_empty();
        }
    }

    fn drop_empty(&mut self) {
        if self.held.as_ref().is_some_and(|held| held.is_empty()) {
            self.held = None;
        }
        if self.moving.as_ref().is_some_and(|moving| moving.window.is_none()) {
            self.rest();
        }
    }

    /// What is there while records move: as the thread has kept it, or fresh.
    #[inline]
    pub(super) fn moving(&mut self) -> &mut Moving {
        let aead = self.shared.options.aead;
        self.moving.get_or_insert_with(|| Moving::resume(&self.keys, aead))
    }

    /// Nothing moves any more.
    #[inline]
    pub(super) fn rest(&mut self) {
        if let Some(moving) = self.moving.take() {
            moving.rest();
        }
    }

    /// Makes `error` the end of the receiving direction; it repeats from now on.
    pub(super) fn fail(&mut self, error: impl Into<Error>) -> io::Error {
        let error = error.into();
        // What was opened before is good, and comes first.
        match self.moving.as_mut().and_then(|moving| moving.window.as_mut()) {
            Some(window) if !window.plaintext().is_empty() => window.clear_sealed(),
            _ => self.moving = None,
        }
        let held = self.held();
        held.partial = Box::default();
        held.stall = None;
        held.late_alert = None;
        held.failure = Some(Box::new(error.clone()));
        error.into()
    }

    #[inline]
    pub(super) fn failure(&self) -> Option<&Error> {
        self.held.as_ref()?.failure.as_deref()
    }
}

/// Keys go with the connection.
impl Drop for Channel {
    fn drop(&mut self) {
        self.moving = None;
        Moving::forget(&self.keys);
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("negotiated", &self.shared.negotiated)
            .field("reading", &self.reading)
            .field("writing", &self.writing)
            .field("failure", &self.failure())
            .finish_non_exhaustive()
    }
}
