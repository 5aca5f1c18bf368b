//! `altsh1` in memory.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use alts::handshaker::identity::{ChainVerifier, Identity, Policy, TrustBundles};
use alts::handshaker::{
    HandshakeOptions, HandshakeResult, HandshakeSession, Handshaker, LocalHandshaker, Role,
};

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
            || Arc::new(ChainVerifier::with_cache(cache_entries, Duration::from_mins(5)));
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
        let now = SystemTime::now();
        let options = HandshakeOptions::default();
        let mut client = self.client.start(Role::Client, &options).expect("a client");
        let mut server = self.server.start(Role::Server, &options).expect("a server");
        let step = |session: &mut Box<dyn HandshakeSession>, received: &[u8]| {
            let mut out = Vec::new();
            let mut cx = Context::from_waker(Waker::noop());
            match session.poll_step(&mut cx, received, now, &mut out) {
                Poll::Ready(Ok(step)) => (out, step.result),
                other => panic!("{other:?}"),
            }
        };
        let (client_init, _) = step(&mut client, &[]);
        let (server_flight, _) = step(&mut server, &client_init);
        let (client_finished, at_client) = step(&mut client, &server_flight);
        let (_, at_server) = step(&mut server, &client_finished);
        let key = |result: Option<HandshakeResult>| result.expect("it is over").key_data;
        assert_eq!(key(at_client), key(at_server));
    }
}

fn identity(leaf: &Leaf, authority: &str) -> Arc<Identity> {
    let mut bundles = TrustBundles::new();
    let domain = DOMAIN.parse().expect("a trust domain");
    bundles.insert_pem(&domain, authority.as_bytes()).expect("a bundle");
    let (chain, key) = (leaf.certificate.as_bytes(), leaf.key.as_bytes());
    Identity::from_pem(chain, key, bundles, SystemTime::now()).expect("an identity")
}
