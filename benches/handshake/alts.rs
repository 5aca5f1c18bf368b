//! `altsh1` in memory.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use alts::handshaker::identity::{ChainVerifier, Identity, Policy, TrustBundles};
use alts::handshaker::resumption::{DEFAULT_MAX_AGE, TicketCache, TicketKeys};
use alts::handshaker::{HandshakeOptions, LocalHandshaker};
use alts_benches::Handshaken;

use super::certificates::{Certificates, DOMAIN, Leaf};

/// A client and a server that trust each other.
pub(crate) struct Peers {
    client: LocalHandshaker,
    server: LocalHandshaker,
    options: HandshakeOptions,
    cache: Arc<TicketCache>,
}

impl Peers {
    /// `cache_entries` is how many good chains each side remembers. With `tickets`, the server gives some.
    pub(crate) fn new(certificates: &Certificates, cache_entries: usize, tickets: bool) -> Self {
        let verifier =
            || Arc::new(ChainVerifier::with_cache(cache_entries, Duration::from_secs(5 * 60)));
        let policy = Policy::from_rules([format!("spiffe://{DOMAIN}/server").as_str()]);
        let client = identity(&certificates.client, &certificates.authority);
        let server = identity(&certificates.server, &certificates.authority);
        let mut client = LocalHandshaker::builder(client)
            .verifier(verifier())
            .server_policy(policy.expect("a rule"));
        let mut server = LocalHandshaker::builder(server).verifier(verifier());
        let cache = TicketCache::new();
        if tickets {
            let keys = TicketKeys::generate(DEFAULT_MAX_AGE).expect("keys");
            server = server.ticket_keys(keys);
            client = client.ticket_cache(Arc::clone(&cache));
        }
        let mut options = HandshakeOptions::default();
        options.target_name = Some("server.bench.example:443".to_owned());
        Self { client: client.build(), server: server.build(), options, cache }
    }

    pub(crate) fn client(&self) -> &LocalHandshaker {
        &self.client
    }

    pub(crate) fn server(&self) -> &LocalHandshaker {
        &self.server
    }

    /// The client's.
    pub(crate) fn options(&self) -> &HandshakeOptions {
        &self.options
    }

    pub(crate) fn handshake(&self) {
        alts_benches::alts_handshake(&self.client, &self.server);
    }

    /// Has the client forget its tickets, so that the next handshake is a full one.
    pub(crate) fn forget(&self) {
        self.cache.clear();
    }

    /// A full handshake in which the client gets a ticket.
    pub(crate) fn handshake_with_ticket(&self) -> Handshaken {
        let done = alts_benches::alts_handshake_with(&self.client, &self.server, &self.options);
        assert!(!done.resumed, "there was no ticket");
        done
    }

    /// With the ticket of the handshake before; leaves one for the next.
    pub(crate) fn resume(&self) -> Handshaken {
        let done = alts_benches::alts_handshake_with(&self.client, &self.server, &self.options);
        assert!(done.resumed, "the handshake was a full one");
        done
    }
}

pub(crate) fn identity(leaf: &Leaf, authority: &str) -> Arc<Identity> {
    let mut bundles = TrustBundles::new();
    let domain = DOMAIN.parse().expect("a trust domain");
    bundles.insert_pem(&domain, authority.as_bytes()).expect("a bundle");
    let (chain, key) = (leaf.certificate.as_bytes(), leaf.key.as_bytes());
    Identity::from_pem(chain, key, bundles, SystemTime::now()).expect("an identity")
}
