//! The state of a secured connection, apart from its socket.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use alts_handshaker::{HandshakeResult, Role};

use super::moving::Moving;
use super::negotiated::Terms;
use super::receive::{Arrived, Receiving};
use super::send::{Sending, Unsent};
use crate::record::{RecordError, TrafficKeys};

/// A secured connection, or one direction of it.
///
/// ```text
/// Channel<R, S>      always                   keys, terms
///  ├─ receiving: R   always                   the counter and state of records received
///  ├─ sending: S     always                   the counter and state of records sent
///  ├─ terms          always, one for many     peer, parameters, pool
///  ├─ moving         while records move       an expanded AES key, the window over received bytes
///  └─ held           only when needed         part of a record, sealed bytes the kernel refused, a stored failure …
/// ```
///
/// Both directions of ALTS use one key, and only their counters keep the nonces apart. So each counter is private to its
/// module, and the type says which directions there are: `receive.rs` is written for any `S`, of which it knows nothing,
/// and `send.rs` for any `R`. The halves of a split stream are `Channel<Receiving, ()>` and `Channel<(), Sending>`: the
/// half that receives has no counter to seal with, nor the other one to open with.
///
/// While nothing moves both boxes are gone, and a channel with both directions is 120 bytes.
pub(crate) struct Channel<R = Receiving, S = Sending> {
    pub(super) keys: ConnectionKeys,
    pub(super) receiving: R,
    pub(super) sending: S,
    pub(super) terms: Arc<Terms>,
    pub(super) moving: Option<Box<Moving>>,
    pub(super) held: Option<Box<Held>>,
}

/// Records per direction under the one key of `ALTSRP_GCM_AES128`: 2^24 over both, at which AES-GCM's confidentiality margin
/// is still beyond 2^-60 with records of 16 KiB.
pub(super) const MAX_PLAIN_RECORDS: u64 = 1 << 23;

/// What a connection holds in rare states.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) arrived: Arrived,
    pub(super) unsent: Unsent,
}

impl Channel {
    /// Makes a channel from what the handshake negotiated. `terms` was made from `result` too.
    pub(crate) fn new(
        role: Role,
        result: &mut HandshakeResult,
        terms: Arc<Terms>,
    ) -> Result<Self, RecordError> {
        let keys = TrafficKeys::new(result.record_protocol, result.key_data.as_bytes())?;
        let held = result.late_alert.take().map(|key| {
            Box::new(Held { arrived: Arrived::awaiting_alert(key), unsent: Unsent::default() })
        });
        Ok(Self {
            keys: ConnectionKeys(keys),
            receiving: Receiving::new(role),
            sending: Sending::new(role),
            terms,
            moving: None,
            held,
        })
    }

    /// Takes the channel apart: each direction by itself.
    #[cfg(feature = "tokio")]
    pub(super) fn split(self) -> (Channel<Receiving, ()>, Channel<(), Sending>) {
        let Self { keys, receiving, sending, terms, moving, held } = self;
        let Held { arrived, unsent } = held.map_or_else(Held::default, |held| *held);
        let mut receiver = Channel {
            keys: keys.clone(),
            receiving,
            sending: (),
            terms: Arc::clone(&terms),
            moving,
            held: Some(Box::new(Held { arrived, unsent: Unsent::default() })),
        };
        let mut sender = Channel {
            keys,
            receiving: (),
            sending,
            terms,
            moving: None,
            held: Some(Box::new(Held { arrived: Arrived::default(), unsent })),
        };
        receiver.tidy();
        sender.tidy();
        (receiver, sender)
    }

    /// Undoes [`split`](Self::split).
    #[cfg(feature = "tokio")]
    pub(super) fn join(receiver: Channel<Receiving, ()>, sender: Channel<(), Sending>) -> Self {
        let arrived = receiver.held.map_or_else(Arrived::default, |held| held.arrived);
        let unsent = sender.held.map_or_else(Unsent::default, |held| held.unsent);
        let mut whole = Self {
            keys: receiver.keys,
            receiving: receiver.receiving,
            sending: sender.sending,
            terms: receiver.terms,
            moving: receiver.moving,
            held: Some(Box::new(Held { arrived, unsent })),
        };
        whole.tidy();
        whole
    }
}

impl<R, S> Channel<R, S> {
    pub(crate) fn terms(&self) -> &Arc<Terms> {
        &self.terms
    }

    pub(super) fn held(&mut self) -> &mut Held {
        self.held.get_or_insert_default()
    }

    /// The state that exists while records move: as the thread has kept it, or fresh.
    #[inline]
    pub(super) fn moving(&mut self) -> &mut Moving {
        let aead = self.terms.options.aead;
        self.moving.get_or_insert_with(|| Moving::resume(&self.keys, aead))
    }

    /// Drops what is empty, and leaves expanded keys to the thread when nothing moves. The last step of every call that
    /// moves bytes.
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
        if let Some(moving) = self.moving.take_if(|moving| moving.is_drained()) {
            moving.leave_to_thread();
        }
    }
}

impl Held {
    fn is_empty(&self) -> bool {
        self.arrived.is_empty() && self.unsent.is_empty()
    }
}

/// The keys of a connection. What the thread has kept expanded of them goes with them.
#[derive(Clone, Debug)]
pub(super) struct ConnectionKeys(TrafficKeys);

impl Drop for ConnectionKeys {
    fn drop(&mut self) {
        Moving::forget(&self.0);
    }
}

impl Deref for ConnectionKeys {
    type Target = TrafficKeys;

    #[inline]
    fn deref(&self) -> &TrafficKeys {
        &self.0
    }
}

impl DerefMut for ConnectionKeys {
    #[inline]
    fn deref_mut(&mut self) -> &mut TrafficKeys {
        &mut self.0
    }
}

impl<R: fmt::Debug, S: fmt::Debug> fmt::Debug for Channel<R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("negotiated", &self.terms.negotiated)
            .field("receiving", &self.receiving)
            .field("sending", &self.sending)
            .finish_non_exhaustive()
    }
}
