//! Handshakes in this process.

use std::sync::Arc;

use crate::engine::{Config, Ephemerals, Handshake, Suite, SystemEphemerals};
use crate::error::Error;
use crate::identity::{ChainVerifier, Identity, IdentitySource, Policy};
use crate::role::Role;
use crate::session::{HandshakeOptions, HandshakeSession, Handshaker};

/// Makes handshakes that need no service: this process holds the identity and verifies peers. Cheap to clone; clones share
/// the cache of verified chains.
///
/// A server accepts every identity of its trust domain unless [`client_policy`](LocalHandshakerBuilder::client_policy)
/// says otherwise. A client must say who may be the server: with
/// [`server_policy`](LocalHandshakerBuilder::server_policy), with
/// [`target_identities`](HandshakeOptions::target_identities), or with both, which then must both agree.
#[derive(Clone, Debug)]
pub struct LocalHandshaker {
    identity: Arc<dyn IdentitySource>,
    verifier: Arc<ChainVerifier>,
    server_policy: Option<Arc<Policy>>,
    client_policy: Arc<Policy>,
    client_suites: Arc<[Suite]>,
    server_suites: Arc<[Suite]>,
    ephemerals: Arc<dyn Ephemerals>,
}

impl LocalHandshaker {
    /// Handshakes under the identity that `identity` has when each begins.
    pub fn builder(identity: impl IdentitySource) -> LocalHandshakerBuilder {
        LocalHandshakerBuilder(Self {
            identity: Arc::new(identity),
            verifier: Arc::new(ChainVerifier::new()),
            server_policy: None,
            client_policy: Arc::new(Policy::own_trust_domain()),
            client_suites: [Suite::X25519].into(),
            server_suites: [Suite::X25519, Suite::P256].into(),
            ephemerals: Arc::new(SystemEphemerals),
        })
    }

    /// Begins a handshake, as [`start`](Handshaker::start) does, and gives it unboxed.
    ///
    /// # Errors
    ///
    /// [`Error::Misuse`] names what is wrong with `options`, or that nothing says who may be the server.
    /// [`Error::Identity`] when a client has no identity at this moment. A server without one begins all the same: its first step
    /// fails with that error, and tells the client so with an alert.
    pub fn handshake(&self, role: Role, options: &HandshakeOptions) -> Result<Handshake, Error> {
        match self.identity.snapshot() {
            Ok(identity) => self.handshake_as(identity, role, options),
            Err(fault) if role == Role::Server => Ok(Handshake::refusing(fault)),
            Err(fault) => Err(fault.into()),
        }
    }

    /// As [`handshake`](Self::handshake), under an identity that the caller has looked at.
    pub(crate) fn handshake_as(
        &self,
        identity: Arc<Identity>,
        role: Role,
        options: &HandshakeOptions,
    ) -> Result<Handshake, Error> {
        let (policy, suites) = match role {
            Role::Client => (self.server_policy.clone(), &self.client_suites),
            Role::Server => (Some(Arc::clone(&self.client_policy)), &self.server_suites),
        };
        let config = Config {
            identity,
            verifier: Arc::clone(&self.verifier),
            policy,
            suites: Arc::clone(suites),
            options: options.clone(),
            ephemerals: Arc::clone(&self.ephemerals),
        };
        Handshake::new(role, config)
    }
}

impl Handshaker for LocalHandshaker {
    fn start(
        &self,
        role: Role,
        options: &HandshakeOptions,
    ) -> Result<Box<dyn HandshakeSession>, Error> {
        Ok(Box::new(self.handshake(role, options)?))
    }
}

/// Settles what a [`LocalHandshaker`] does. Every setting has a default, except that clients need to know their servers.
#[derive(Clone, Debug)]
#[must_use]
pub struct LocalHandshakerBuilder(LocalHandshaker);

impl LocalHandshakerBuilder {
    /// Who may be the server, when this side is the client. There is no default: a client that accepts anybody's valid
    /// certificate has not authenticated its server.
    pub fn server_policy(mut self, policy: Policy) -> Self {
        self.0.server_policy = Some(Arc::new(policy));
        self
    }

    /// Who may be a client, when this side is the server. Default: [`Policy::own_trust_domain`].
    pub fn client_policy(mut self, policy: Policy) -> Self {
        self.0.client_policy = Arc::new(policy);
        self
    }

    /// What verifies chains. Share one among handshakers to share its cache. Default: a new [`ChainVerifier`].
    pub fn verifier(mut self, verifier: Arc<ChainVerifier>) -> Self {
        self.0.verifier = verifier;
        self
    }

    /// The key agreements, the preferred one first: 1 or 2. A client makes and sends a key share for each, a server takes the
    /// one that it prefers among those. Default: X25519 for clients, X25519 and P-256 for servers.
    pub fn suites(mut self, suites: impl Into<Arc<[Suite]>>) -> Self {
        let suites = suites.into();
        self.0.client_suites = Arc::clone(&suites);
        self.0.server_suites = suites;
        self
    }

    /// The handshaker.
    pub fn build(self) -> LocalHandshaker {
        self.0
    }
}
