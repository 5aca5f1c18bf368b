//! The state of a secured connection, apart from its socket.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::moving::Moving;
use super::terms::{OwnTerms, Terms};
use crate::record::TrafficKeys;

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
pub(crate) struct Channel<R: Direction, S: Direction> {
    pub(super) keys: ConnectionKeys,
    pub(super) receiving: R,
    pub(super) sending: S,
    pub(super) terms: OwnTerms,
    pub(super) moving: Option<Box<Moving>>,
    pub(super) held: Option<Box<Held<R::Rare, S::Rare>>>,
}

/// Records per direction under the one key of `ALTSRP_GCM_AES128`: 2^24 over both, at which AES-GCM's confidentiality margin
/// is still beyond 2^-60 with records of 16 KiB.
pub(super) const MAX_PLAIN_RECORDS: u64 = 1 << 23;

/// What a connection holds in rare states.
#[derive(Debug, Default)]
pub(super) struct Held<R, S> {
    pub(super) arrived: R,
    pub(super) unsent: S,
}

/// What one direction keeps: at all times the value itself, in rare states its [`Rare`](Self::Rare). `()` stands for a direction that the
/// other half of a split stream has.
pub(crate) trait Direction {
    type Rare: Rare;
}

/// What a direction holds in rare states.
pub(crate) trait Rare: Default {
    fn is_empty(&self) -> bool;
}

impl Direction for () {
    type Rare = ();
}

impl Rare for () {
    fn is_empty(&self) -> bool {
        true
    }
}

impl<R: Direction, S: Direction> Channel<R, S> {
    pub(crate) fn terms(&self) -> &Arc<Terms> {
        &self.terms
    }

    pub(super) fn held(&mut self) -> &mut Held<R::Rare, S::Rare> {
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

impl<R: Rare, S: Rare> Held<R, S> {
    fn is_empty(&self) -> bool {
        self.arrived.is_empty() && self.unsent.is_empty()
    }
}

/// The keys of a connection. What the thread has kept expanded of them goes with them.
#[derive(Clone, Debug)]
pub(super) struct ConnectionKeys(pub(super) TrafficKeys);

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

impl<R: Direction + fmt::Debug, S: Direction + fmt::Debug> fmt::Debug for Channel<R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel")
            .field("negotiated", &self.terms.negotiated)
            .field("receiving", &self.receiving)
            .field("sending", &self.sending)
            .finish_non_exhaustive()
    }
}
