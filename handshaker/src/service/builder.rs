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

/// Configures a [`HandshakerService`].
#[derive(Debug)]
#[must_use]
pub struct HandshakerServiceBuilder {
    of_anybody: Vec<Arc<dyn IdentitySource>>,
    of_user: HashMap<u32, Vec<Arc<dyn IdentitySource>>>,
    server_policy: Option<Policy>,
    client_policy: Policy,
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
        let Self { of_anybody, of_user, server_policy, client_policy, limits, observer } = self;
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
