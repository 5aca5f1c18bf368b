//! What a full handshake proved, and for how long it may be believed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use zeroize::Zeroize;

use crate::identity::{Identity, PeerIdentity, SpiffeId, VerifiedPeer, seconds};

/// The secret that a resumed handshake begins with. It has its own heap allocation, is written there and wiped there: moving the
/// value inline would leave a copy behind at every move.
pub(crate) struct Psk(Box<[u8; 32]>);

impl Psk {
    /// A secret that `write` writes in its place.
    pub(crate) fn written(write: impl FnOnce(&mut [u8; 32])) -> Self {
        let mut psk = Self(Box::new([0; 32]));
        write(&mut psk.0);
        psk
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Drop for Psk {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// What one side believes because of one full handshake, and the secret that stands for it. A server seals it into a ticket, a
/// client keeps it beside one. Times are in seconds since 1970.
pub(crate) struct TicketState {
    pub(crate) psk: Psk,
    /// When the peer proved itself with certificates. Resuming passes it on unchanged.
    pub(crate) auth_time: u64,
    /// From when on the peer has to prove itself again. Never later than in the ticket before.
    pub(crate) not_after: u64,
    /// Of the bundle and the revocation lists that the peer was judged by.
    pub(crate) trust: [u8; 32],
    /// The public name of the full handshake's connection.
    pub(crate) log_id: [u8; 16],
    /// Who proved itself, and when its chain ends.
    pub(crate) peer: Arc<PeerIdentity>,
}

impl TicketState {
    /// After a full handshake at `now` in which `peer` proved itself to `identity`. `max_age`: for how long that may be believed.
    /// `None` if nobody of the peer's trust domain is believed.
    pub(crate) fn proved(
        psk: Psk,
        peer: &VerifiedPeer,
        identity: &Identity,
        log_id: [u8; 16],
        max_age: Duration,
        now: SystemTime,
    ) -> Option<Self> {
        let auth_time = seconds(now);
        let not_after = auth_time
            .saturating_add(max_age.as_secs())
            .min(peer.good_until())
            .min(identity.good_until());
        Some(Self {
            psk,
            auth_time,
            not_after,
            trust: identity.ticket_trust(peer.id().trust_domain_name())?,
            log_id,
            peer: Arc::clone(peer.peer()),
        })
    }

    /// The peer's name.
    pub(crate) fn id(&self) -> &SpiffeId {
        self.peer.spiffe_id().expect("a peer that proved itself with certificates has a SPIFFE ID")
    }

    /// When the peer's chain ends.
    pub(crate) fn peer_not_after(&self) -> u64 {
        seconds(
            self.peer.not_after().expect("a peer that proved itself with certificates has an end"),
        )
    }

    /// Seconds that are left.
    pub(crate) fn lifetime(&self, now: SystemTime) -> u64 {
        self.not_after.saturating_sub(seconds(now))
    }
}

/// What the origin of a ticket adds to its own end.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// For how long after the full handshake, in seconds, as it is set today.
    pub(super) max_age: u64,
    /// When the key stopped sealing that the ticket is sealed under: it is of no later full handshake. In seconds since 1970.
    pub(super) sealed_until: u64,
}
