//! The one rule: a ticket is accepted only where a full handshake with the same certificates would succeed now.
//!
//! Nothing else makes an [`Accepted`], and without one nothing is resumed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::refused::Refused;
use super::state::{Bounds, Psk, TicketState};
use super::ticket::Opened;
use crate::identity::{Identity, PeerIdentity, SpiffeId, seconds};

/// By how much the clocks of a fleet may differ, in seconds.
const CLOCK_SKEW: u64 = 60;

/// What a side judges a ticket by: itself as it is in this handshake.
#[derive(Clone, Copy)]
pub(crate) struct Side<'a> {
    /// The snapshot of this handshake.
    pub(crate) identity: &'a Identity,
    /// Whether a full handshake would allow this peer: the policy and the targets of this handshake.
    pub(crate) permits: &'a dyn Fn(&SpiffeId) -> bool,
    /// The oldest proof that this side takes.
    pub(crate) require_fresh: Option<Duration>,
    pub(crate) now: SystemTime,
}

/// A ticket that this side accepts, with everything that it says.
pub(crate) struct Accepted {
    state: TicketState,
}

impl Accepted {
    /// The only way to one.
    pub(super) fn judge(
        state: TicketState,
        bounds: Bounds,
        side: &Side<'_>,
    ) -> Result<Self, Refused> {
        state.check(bounds, side)?;
        Ok(Self { state })
    }

    /// Who the peer is, by the full handshake.
    pub(crate) fn peer(&self) -> &Arc<PeerIdentity> {
        &self.state.peer
    }

    /// When the peer proved itself with certificates, in seconds since 1970.
    pub(crate) fn auth_time(&self) -> u64 {
        self.state.auth_time
    }

    /// The public name of the full handshake's connection.
    pub(crate) fn log_id(&self) -> [u8; 16] {
        self.state.log_id
    }

    /// What the ticket after this one says. Nothing in it lasts longer.
    pub(crate) fn renewed(&self, psk: Psk, identity: &Identity) -> TicketState {
        let TicketState { psk: _, auth_time, not_after, trust, log_id, ref peer } = self.state;
        let not_after = not_after.min(identity.good_until());
        TicketState { psk, auth_time, not_after, trust, log_id, peer: Arc::clone(peer) }
    }
}

impl Opened {
    /// Steps c, d and e of the server, once the binder has shown that the client holds the secret.
    pub(crate) fn accept(self, side: &Side<'_>) -> Result<Accepted, Refused> {
        Accepted::judge(self.state, self.bounds, side)
    }
}

impl TicketState {
    /// Whether a full handshake with the same certificates would succeed now.
    pub(super) fn check(&self, bounds: Bounds, side: &Side<'_>) -> Result<(), Refused> {
        let Side { identity, permits, require_fresh, now } = *side;
        identity.check(now).map_err(|_| Refused::Expired)?;
        let now = seconds(now);
        let max_age =
            require_fresh.map_or(bounds.max_age, |fresh| fresh.as_secs().min(bounds.max_age));
        let end = self.auth_time.saturating_add(max_age).min(self.not_after);
        if now >= end || now > self.peer_not_after() {
            return Err(Refused::Expired);
        }
        if self.auth_time > now.min(bounds.sealed_until).saturating_add(CLOCK_SKEW) {
            return Err(Refused::Expired);
        }
        if identity.ticket_trust(self.id().trust_domain_name()) != Some(self.trust) {
            return Err(Refused::TrustChanged);
        }
        if !permits(self.id()) {
            return Err(Refused::Policy);
        }
        Ok(())
    }
}
