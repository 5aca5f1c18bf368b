//! What one handshake is done with.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use super::key_share::{Ephemerals, Suite};
use super::names::refuse_duplicates;
use super::negotiate::Agreed;
use super::options;
use super::protocol::{Hash, MAX_CHAIN_BYTES, MAX_SHARES};
use super::schedule::Master;
use crate::error::Error;
use crate::identity::{ChainVerifier, Identity, PeerIdentity, Policy, VerifiedPeer};
use crate::resumption::{Accepted, MAX_REALM, TicketCache, TicketKeys};
use crate::role::Role;
use crate::session::{HandshakeOptions, HandshakeResult, KeyData};

/// Everything that a side brings to a handshake. Checked once, then used throughout.
pub(crate) struct Config {
    /// One snapshot: the key that signs belongs to the chain that is shown.
    pub(crate) identity: Arc<Identity>,
    pub(crate) verifier: Arc<ChainVerifier>,
    /// Who may be the peer. A client may have target identities instead.
    pub(crate) policy: Option<Arc<Policy>>,
    /// The preferred one first. A client offers a share for each.
    pub(crate) suites: Arc<[Suite]>,
    pub(crate) options: HandshakeOptions,
    pub(crate) ephemerals: Arc<dyn Ephemerals>,
    /// With which a server resumes.
    pub(crate) server_tickets: Option<ServerTickets>,
    /// With which a client resumes.
    pub(crate) client_tickets: Option<ClientTickets>,
}

/// What a server resumes with.
#[derive(Clone, Debug)]
pub(crate) struct ServerTickets {
    pub(crate) keys: Arc<TicketKeys>,
    /// Parts servers of one identity that share keys but not sessions.
    pub(crate) realm: Arc<[u8]>,
    /// The oldest proof that counts.
    pub(crate) require_fresh: Option<Duration>,
}

/// What a client resumes with.
#[derive(Clone, Debug)]
pub(crate) struct ClientTickets {
    pub(crate) cache: Arc<TicketCache>,
    /// Parts users of one cache that must not share sessions.
    pub(crate) partition: u64,
}

impl Config {
    /// Refuses what cannot work before anything is sent.
    pub(super) fn validate(&self, role: Role) -> Result<(), Error> {
        options::validate(role, &self.options)?;
        if self.policy.is_none() && self.options.target_identities.is_empty() {
            return Err(Error::misuse(
                "a client needs a server policy or target_identities: nothing says who may be the server",
            ));
        }
        if self.suites.is_empty()
            || self.suites.len() > MAX_SHARES
            || refuse_duplicates(&self.suites, "suites").is_err()
        {
            return Err(Error::misuse("suites must be 1 or 2 different ones"));
        }
        if let Some(tickets) = &self.server_tickets
            && tickets.realm.len() > MAX_REALM
        {
            return Err(Error::misuse(format!(
                "the realm of tickets has {} bytes, more than {MAX_REALM}",
                tickets.realm.len()
            )));
        }
        validate_chain(self.identity.chain())
    }

    /// What the handshake was for.
    pub(super) fn result(
        &self,
        agreed: Agreed,
        peer: &VerifiedPeer,
        master: &Master,
        th7: &Hash,
    ) -> HandshakeResult {
        let keys = master.finish(agreed.record_protocol, th7);
        self.done(agreed, peer.peer(), None, keys)
    }

    /// What a resumed handshake was for.
    pub(super) fn resumed_result(
        &self,
        agreed: Agreed,
        accepted: &Accepted,
        master: &Master,
        th7: &Hash,
    ) -> HandshakeResult {
        let keys = master.finish(agreed.record_protocol, th7);
        self.done(agreed, accepted.peer(), Some(accepted), keys)
    }

    fn done(
        &self,
        agreed: Agreed,
        peer: &Arc<PeerIdentity>,
        resumed: Option<&Accepted>,
        (key_data, log_id): (KeyData, [u8; 16]),
    ) -> HandshakeResult {
        let shown = |id| tracing::field::display(format!("{:032x}", u128::from_be_bytes(id)));
        tracing::debug!(
            log_id = shown(log_id),
            resumes = resumed.map(|accepted| shown(accepted.log_id())),
            peer = peer.name(),
            local = self.identity.id().as_str(),
            "handshake done",
        );
        HandshakeResult {
            key_data,
            record_protocol: agreed.record_protocol,
            application_protocol: agreed.application_protocol,
            peer: Arc::clone(peer),
            local: self.identity.id().as_str().to_owned(),
            peer_rpc_versions: agreed.peer_rpc_versions,
            peer_max_frame_size: agreed.peer_max_frame_size,
            close_notify: agreed.close_notify,
            log_id,
            resumed: resumed.map(|accepted| UNIX_EPOCH + Duration::from_secs(accepted.auth_time())),
            late_alert: None,
        }
    }
}

/// Gives the span of the handshake, which the driver has entered, the name of the connection.
pub(super) fn name_span(log_id: [u8; 16]) {
    tracing::Span::current().record(
        "log_id",
        tracing::field::display(format_args!("{:032x}", u128::from_be_bytes(log_id))),
    );
}

/// A peer would refuse a longer chain. An [`Identity`] keeps the other limits; this one counts what the message adds.
fn validate_chain(chain: &[impl AsRef<[u8]>]) -> Result<(), Error> {
    let bytes: usize = chain.iter().map(|der| 2 + der.as_ref().len()).sum();
    if bytes > MAX_CHAIN_BYTES {
        return Err(Error::misuse(format!(
            "this side's certificate chain takes {bytes} bytes, more than {MAX_CHAIN_BYTES}"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefixes_of_a_chain_count() {
        assert_eq!(validate_chain(&[vec![0; 8_190], vec![0; 8_190], vec![0; 8_190]]), Ok(()));
        let longer = [vec![0; 8_190], vec![0; 8_190], vec![0; 8_191]];
        assert!(matches!(validate_chain(&longer), Err(Error::Misuse(_))));
    }
}
