//! `altsh1` in memory.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use alts::handshaker::LocalHandshaker;
use alts::handshaker::identity::{ChainVerifier, Identity, Policy, TrustBundles};

use super::certificates::{Certificates, DOMAIN, Leaf};

/// A client and a server that trust each other.
pub(crate) struct Peers {
    client: LocalHandshaker,
    server: LocalHandshaker,
}

impl Peers {
    /// `cache_entries` is how many good chains each side remembers.
    pub(crate) fn new(certificates: &Certificates, cache_entries: usize) -> Self {
        let verifier =
            || Arc::new(ChainVerifier::with_cache(cache_entries, Duration::from_secs(5 * 60)));
        let policy = Policy::from_rules([format!("spiffe://{DOMAIN}/server").as_str()]);
        let client = identity(&certificates.client, &certificates.authority);
        let server = identity(&certificates.server, &certificates.authority);
        Self {
            client: LocalHandshaker::builder(client)
                .verifier(verifier())
                .server_policy(policy.expect("a rule"))
                .build(),
            server: LocalHandshaker::builder(server).verifier(verifier()).build(),
        }
    }

    pub(crate) fn handshake(&self) {
        alts_benches::alts_handshake(&self.client, &self.server);
    }
}

pub(crate) fn identity(leaf: &Leaf, authority: &str) -> Arc<Identity> {
    let mut bundles = TrustBundles::new();
    let domain = DOMAIN.parse().expect("a trust domain");
    bundles.insert_pem(&domain, authority.as_bytes()).expect("a bundle");
    let (chain, key) = (leaf.certificate.as_bytes(), leaf.key.as_bytes());
    Identity::from_pem(chain, key, bundles, SystemTime::now()).expect("an identity")
}
