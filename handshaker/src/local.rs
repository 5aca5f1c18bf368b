//! Handshakes in this process.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::{
    ClientTickets, Config, Ephemerals, Handshake, ServerTickets, Suite, SystemEphemerals,
};
use crate::error::Error;
use crate::identity::{ChainVerifier, Identity, IdentitySource, Policy};
use crate::resumption::{TicketCache, TicketKeys};
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
    ticket_keys: Option<Arc<TicketKeys>>,
    ticket_realm: Arc<[u8]>,
    require_fresh: Option<Duration>,
    ticket_cache: Option<Arc<TicketCache>>,
    ticket_partition: u64,
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
            ticket_keys: None,
            ticket_realm: Arc::default(),
            require_fresh: None,
            ticket_cache: None,
            ticket_partition: 0,
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
            Ok(identity) => self.handshake_as(identity, role, options, self.ticket_partition),
            Err(fault) if role == Role::Server => Ok(Handshake::refusing(fault)),
            Err(fault) => Err(fault.into()),
        }
    }

    /// As [`handshake`](Self::handshake), under an identity that the caller has looked at, with the tickets of one partition.
    pub(crate) fn handshake_as(
        &self,
        identity: Arc<Identity>,
        role: Role,
        options: &HandshakeOptions,
        partition: u64,
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
            server_tickets: self.server_tickets().filter(|_| role == Role::Server),
            client_tickets: self.client_tickets(partition).filter(|_| role == Role::Client),
        };
        Handshake::new(role, config)
    }

    fn server_tickets(&self) -> Option<ServerTickets> {
        let keys = self.ticket_keys.as_ref().map(Arc::clone)?;
        let realm = Arc::clone(&self.ticket_realm);
        Some(ServerTickets { keys, realm, require_fresh: self.require_fresh })
    }

    fn client_tickets(&self, partition: u64) -> Option<ClientTickets> {
        let cache = self.ticket_cache.as_ref().map(Arc::clone)?;
        Some(ClientTickets { cache, partition })
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
///
/// A clone has all settings but one: it does not resume until it is given ticket keys or a cache itself. Otherwise a copy with a changed
/// configuration, a stricter trust bundle for example, would accept sessions of the original.
#[derive(Debug)]
#[must_use]
pub struct LocalHandshakerBuilder(LocalHandshaker);

impl Clone for LocalHandshakerBuilder {
    fn clone(&self) -> Self {
        let Self(handshaker) = self;
        Self(LocalHandshaker { ticket_keys: None, ticket_cache: None, ..handshaker.clone() })
    }
}

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

    /// As a server, issues tickets sealed under `keys`, and resumes handshakes with tickets that open with them. Share the value
    /// only among servers that may resume each other's sessions; tickets of another server identity never open.
    pub fn ticket_keys(mut self, keys: Arc<TicketKeys>) -> Self {
        self.0.ticket_keys = Some(keys);
        self
    }

    /// Parts servers of one identity that have the same ticket keys and must not share sessions: tickets of another realm do not
    /// open. At most 255 bytes. Default: empty.
    pub fn ticket_realm(mut self, realm: impl Into<Arc<[u8]>>) -> Self {
        self.0.ticket_realm = realm.into();
        self
    }

    /// As a server, resumes only if the client proved itself with certificates less than `age` ago, even where the ticket keys would
    /// allow more. The handshake is a full one otherwise. [`HandshakeResult::resumed`](crate::HandshakeResult::resumed) says when it was.
    pub fn require_fresh(mut self, age: Duration) -> Self {
        self.0.require_fresh = Some(age);
        self
    }

    /// As a client, asks servers for tickets, keeps them in `cache`, and resumes with them. A server has to be known by one
    /// [target identity](HandshakeOptions::target_identities) or by the [target's name](HandshakeOptions::target_name): without
    /// either nothing is resumed.
    pub fn ticket_cache(mut self, cache: Arc<TicketCache>) -> Self {
        self.0.ticket_cache = Some(cache);
        self
    }

    /// Parts users of one ticket cache that must not share sessions: a client sees tickets of its own partition only. Default: 0.
    pub fn ticket_partition(mut self, partition: u64) -> Self {
        self.0.ticket_partition = partition;
        self
    }

    /// The handshaker.
    pub fn build(self) -> LocalHandshaker {
        self.0
    }
}
