//! What both sides need to resume.

use std::sync::Arc;
use std::time::Duration;

use alts::connect::Settings;
use alts::handshaker::LocalHandshaker;
use alts::handshaker::identity::Policy;
use alts::handshaker::resumption::{TicketCache, TicketKeys};
use alts::pool::BufferPool;

use super::{Parties, SERVER, settings};

/// The server's keys and the client's tickets.
pub(crate) struct Tickets {
    pub(crate) keys: Arc<TicketKeys>,
    pub(crate) cache: Arc<TicketCache>,
}

impl Tickets {
    pub(crate) fn new() -> Self {
        let keys = TicketKeys::generate(Duration::from_secs(3_600)).unwrap();
        Self { keys, cache: TicketCache::new() }
    }

    pub(crate) fn server(&self, parties: &Parties) -> LocalHandshaker {
        let identity = Arc::new(Arc::clone(&parties.server));
        LocalHandshaker::builder(identity).ticket_keys(Arc::clone(&self.keys)).build()
    }

    pub(crate) fn client(&self, parties: &Parties) -> LocalHandshaker {
        LocalHandshaker::builder(Arc::new(Arc::clone(&parties.client)))
            .server_policy(Policy::from_rules([SERVER]).unwrap())
            .ticket_cache(Arc::clone(&self.cache))
            .build()
    }

    /// How many handshakes were resumed: both sides say the same.
    #[track_caller]
    pub(crate) fn resumed(&self) -> u64 {
        let (server, client) = (self.keys.stats(), self.cache.stats());
        assert_eq!(server.accepted, client.accepted);
        server.accepted
    }
}

/// Settings of a client that calls its server by a name.
pub(crate) fn named(pool: &BufferPool) -> Settings {
    settings(pool, |it| it.handshake.target_name = Some("server.test:443".to_owned()))
}
