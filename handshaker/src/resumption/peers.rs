//! One [`PeerIdentity`] for all connections of a peer, resumed ones too: a connection pays for a pointer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

use crate::identity::{PeerIdentity, SpiffeId};

/// How many peers are known at most. Beyond, connections have their own.
const MAX_PEERS: usize = 1_024;

/// The peers that have connections.
#[derive(Default)]
pub(super) struct Peers(Mutex<BTreeMap<(SpiffeId, SystemTime), Weak<PeerIdentity>>>);

impl Peers {
    /// The one that equals `peer`, which may be `peer` itself.
    pub(super) fn share(&self, peer: Arc<PeerIdentity>) -> Arc<PeerIdentity> {
        let (Some(id), Some(not_after)) = (peer.spiffe_id(), peer.not_after()) else { return peer };
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (id.clone(), not_after);
        if let Some(found) = known.get(&key).and_then(Weak::upgrade) {
            return found;
        }
        if known.len() >= MAX_PEERS {
            known.retain(|_, peer| peer.strong_count() > 0);
        }
        if known.len() < MAX_PEERS {
            known.insert(key, Arc::downgrade(&peer));
        }
        peer
    }
}
