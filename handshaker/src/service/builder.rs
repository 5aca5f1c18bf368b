//! Settings of a service.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize};

use super::admission::Admission;
use super::identities::{Identities, Usable};
use super::{HandshakerService, Observer, ServiceLimits, Shared};
use crate::error::Error;
use crate::identity::{ChainVerifier, IdentitySource, Policy};
use crate::local::LocalHandshaker;
use crate::resumption::{TicketCache, TicketKeys};

/// Configures a [`HandshakerService`].
#[derive(Debug)]
#[must_use]
pub struct HandshakerServiceBuilder {
    of_anybody: Vec<Arc<dyn IdentitySource>>,
    of_user: HashMap<u32, Vec<Arc<dyn IdentitySource>>>,
    server_policy: Option<Policy>,
    client_policy: Policy,
    ticket_keys: Option<Arc<TicketKeys>>,
    ticket_cache: Option<Arc<TicketCache>>,
    limits: ServiceLimits,
    observer: Option<Arc<dyn Observer>>,
}

impl Default for HandshakerServiceBuilder {
    fn default() -> Self {
        Self {
            of_anybody: Vec::new(),
            of_user: HashMap::new(),
            server_policy: None,
            client_policy: Policy::own_trust_domain(),
            ticket_keys: None,
            ticket_cache: None,
            limits: ServiceLimits::default(),
            observer: None,
        }
    }
}

impl HandshakerServiceBuilder {
    /// Adds an identity for every caller without one from [`identity_of_user`](Self::identity_of_user). The first is used unless the
    /// caller names another.
    pub fn identity(mut self, source: impl IdentitySource) -> Self {
        self.of_anybody.push(Arc::new(source));
        self
    }

    /// Adds an identity for the user `uid`, which then has only such identities. The first is used unless the caller names another.
    pub fn identity_of_user(mut self, uid: u32, source: impl IdentitySource) -> Self {
        self.of_user.entry(uid).or_default().push(Arc::new(source));
        self
    }

    /// Sets who may be the server of a caller that is the client. Without a policy such callers have to name target identities; with
    /// both, the server has to satisfy both.
    pub fn server_policy(mut self, policy: Policy) -> Self {
        self.server_policy = Some(policy);
        self
    }

    /// Sets who may be the client of a caller that is the server. Default: [`Policy::own_trust_domain`].
    pub fn client_policy(mut self, policy: Policy) -> Self {
        self.client_policy = policy;
        self
    }

    /// Gives tickets to clients of callers that are servers, sealed under `keys`, and resumes with those that come back. Callers notice
    /// nothing of it. A ticket opens for the server identity that it was issued under, whichever caller it was issued for: callers that
    /// may act under one identity are one server. Default: no tickets.
    pub fn ticket_keys(mut self, keys: Arc<TicketKeys>) -> Self {
        self.ticket_keys = Some(keys);
        self
    }

    /// Asks servers for tickets in the name of callers that are clients, keeps them in `cache`, and resumes with them. Each user
    /// has tickets of its own, and never those of another.
    ///
    /// A full handshake then takes one round trip more if the server gives tickets: the result waits for the ticket, which a caller's
    /// record layer would not know what to do with. So it is off by default. Callers have to name the server, by one target identity or
    /// by `target_name`, as gRPC does.
    pub fn wait_for_tickets(mut self, cache: Arc<TicketCache>) -> Self {
        self.ticket_cache = Some(cache);
        self
    }

    /// Sets the limits.
    pub fn limits(mut self, limits: ServiceLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the observer, which is told of every handshake.
    pub fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Makes the service.
    ///
    /// # Errors
    ///
    /// [`Error::Misuse`] when a limit in time is zero, so that no handshake could succeed.
    pub fn build(self) -> Result<HandshakerService, Error> {
        let Self {
            of_anybody,
            of_user,
            server_policy,
            client_policy,
            ticket_keys,
            ticket_cache,
            limits,
            observer,
        } = self;
        for (name, limit) in
            [("handshake_timeout", limits.handshake_timeout), ("idle_timeout", limits.idle_timeout)]
        {
            if limit.is_zero() {
                return Err(Error::misuse(format!(
                    "ServiceLimits::{name} is zero; it has to be longer"
                )));
            }
        }
        // One cache of verified chains: entries of different trust bundles do not meet in it.
        let verifier = Arc::new(ChainVerifier::new());
        let usable = |source: Arc<dyn IdentitySource>| {
            let mut builder = LocalHandshaker::builder(Arc::clone(&source))
                .client_policy(client_policy.clone())
                .verifier(Arc::clone(&verifier));
            if let Some(policy) = &server_policy {
                builder = builder.server_policy(policy.clone());
            }
            if let Some(keys) = &ticket_keys {
                builder = builder.ticket_keys(Arc::clone(keys));
            }
            if let Some(cache) = &ticket_cache {
                builder = builder.ticket_cache(Arc::clone(cache));
            }
            Usable { source, handshaker: builder.build() }
        };
        let identities = Identities {
            of_anybody: of_anybody.into_iter().map(usable).collect(),
            of_user: of_user
                .into_iter()
                .map(|(uid, sources)| (uid, sources.into_iter().map(usable).collect()))
                .collect(),
            has_server_policy: server_policy.is_some(),
        };
        Ok(HandshakerService(Arc::new(Shared {
            identities,
            admission: Admission::new(&limits),
            limits,
            observer,
            in_flight: AtomicUsize::new(0),
            draining: AtomicBool::new(false),
        })))
    }
}
