//! An identity that is replaced while it is used: what all sources that reload have in common.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::SystemTime;

use super::digest::Digest;
use super::domains::Domains;
use super::error::IdentityError;
use super::life::Life;
use super::snapshot::Identity;
use super::stats::IdentityStats;
use super::trust::TrustBundles;
use super::validity::shown;

pub(super) struct Reloading {
    /// An error while there is no identity.
    current: RwLock<Result<Arc<Identity>, IdentityError>>,
    /// Held while something is loaded: one reload at a time.
    state: Mutex<State>,
    reloads: AtomicU64,
    failures: AtomicU64,
}

pub(super) struct State {
    /// Of the chain and key that the current identity came from.
    pair: Option<Digest>,
    pub(super) domains: Domains,
    /// What the last look found wrong with the chain and the key. The log says it already.
    pair_fault: Option<IdentityError>,
    /// Why the last look could not read what is about trust domains, so that all stayed as it was. The log says it already.
    unread: Option<IdentityError>,
    life: Life,
}

impl State {
    /// Whether the current identity came from this chain and key.
    #[cfg(feature = "workload-api")]
    pub(super) fn has_pair(&self, pair: &Digest) -> bool {
        self.pair.as_ref() == Some(pair)
    }

    /// What the last look found wrong.
    pub(super) fn fault(&self) -> Option<IdentityError> {
        let domain = || self.domains.faults().next().map(|(_, fault)| fault.clone());
        self.pair_fault.clone().or_else(domain).or_else(|| self.unread.clone())
    }

    /// Takes note that a look could not read something about a trust domain, or that it could read everything.
    pub(super) fn note_unread(&mut self, unread: Option<IdentityError>) {
        match (&unread, &self.unread) {
            (Some(fault), None) => {
                tracing::warn!(%fault, "trust domains stay as they were read last");
            }
            (None, Some(_)) => tracing::info!("the files of trust domains can be read again"),
            _ => {}
        }
        self.unread = unread;
    }
}

/// What a look found, beside what [`State::domains`] has taken over already.
pub(super) struct Found<'a, M, P> {
    /// A domain has another bundle than before.
    pub(super) trust_changed: bool,
    /// Of the chain and the key, if they could be read. Without one, `make` says why.
    pub(super) pair: Option<Digest>,
    /// Makes the identity of chain and key. `None` where nothing was said about them.
    pub(super) make: Option<M>,
    /// Says where the chain is, in its faults.
    pub(super) in_chain: P,
    /// No domain, and whether development certificates are allowed.
    pub(super) template: &'a TrustBundles,
}

impl Reloading {
    /// Begins with what was loaded from `pair`, or with the reason why there is no identity yet.
    pub(super) fn new(
        current: Result<Arc<Identity>, IdentityError>,
        pair: Option<Digest>,
        domains: Domains,
        now: SystemTime,
    ) -> Self {
        let life = current.as_ref().map_or(Life::Young, |identity| {
            let life = Life::of(identity, now);
            life.log(identity);
            life
        });
        let failures = u64::from(domains.faults().next().is_some());
        Self {
            current: RwLock::new(current),
            state: Mutex::new(State { pair, domains, pair_fault: None, unread: None, life }),
            reloads: AtomicU64::new(0),
            failures: AtomicU64::new(failures),
        }
    }

    pub(super) fn current(&self) -> Result<Arc<Identity>, IdentityError> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How often something new took effect.
    pub(super) fn reloads(&self) -> u64 {
        self.reloads.load(Ordering::Relaxed)
    }

    /// How many looks found something wrong.
    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// What an operator wants to know.
    pub(super) fn stats(&self) -> IdentityStats {
        let bundles = self.state().domains.stats();
        let identity = self.current().ok();
        IdentityStats { identity, reloads: self.reloads(), failures: self.failures(), bundles }
    }

    pub(super) fn count_failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    fn replace(&self, identity: Result<Arc<Identity>, IdentityError>) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = identity;
    }

    /// Applies what was read, and logs it. The chain and the key are replaced together or not at all; bundles are always replaced.
    /// Returns whether anything changed.
    pub(super) fn take<M, P>(
        &self,
        state: &mut State,
        found: Found<'_, M, P>,
        now: SystemTime,
    ) -> bool
    where
        M: FnOnce(&Domains) -> Result<Arc<Identity>, IdentityError>,
        P: FnOnce(IdentityError) -> IdentityError,
    {
        let mut next = None;
        let mut fault = None;
        if let Some(make) = found.make
            && (found.pair.is_none() || found.pair != state.pair)
        {
            match make(&state.domains) {
                Ok(identity) => {
                    tracing::info!(
                        id = %identity.id(),
                        serial = identity.serial(),
                        not_after = shown(identity.not_after()),
                        "certificate and key reloaded",
                    );
                    state.pair = found.pair;
                    next = Some(identity);
                }
                Err(found) => fault = Some(found),
            }
        }
        if next.is_none()
            && found.trust_changed
            && let Ok(current) = self.current()
        {
            next = Some(current.with_trust(state.domains.bundles(found.template), now));
        }
        let changed = next.is_some();
        if let Some(identity) = next {
            self.replace(Ok(identity));
            self.reloads.fetch_add(1, Ordering::Relaxed);
        }
        let fault = fault.or_else(|| self.doubt(state).map(found.in_chain));
        match (&fault, &state.pair_fault) {
            (Some(fault), before) if before.as_ref() != Some(fault) => {
                let has_one = self.current().is_ok();
                let effect = if has_one {
                    "this side keeps the certificate and key that it has"
                } else {
                    "this side has no certificate and key yet"
                };
                tracing::warn!(%fault, "{effect}");
            }
            (None, Some(_)) => tracing::info!("this side's certificate and key are valid again"),
            _ => {}
        }
        if let Some(fault) = &fault
            && self.current().is_err()
        {
            self.replace(Err(fault.clone()));
        }
        state.pair_fault = fault;
        changed
    }

    /// Takes this side's identity away.
    #[cfg(feature = "workload-api")]
    pub(super) fn withdraw(&self, state: &mut State, reason: IdentityError) {
        let before = self.current();
        if before.as_ref().err() == Some(&reason) {
            return;
        }
        match &before {
            Ok(identity) => {
                self.reloads.fetch_add(1, Ordering::Relaxed);
                tracing::error!(
                    id = %identity.id(),
                    %reason,
                    "this side's identity was taken away; handshakes fail until there is one again",
                );
            }
            Err(_) => tracing::warn!(%reason, "this side has no identity yet; handshakes fail"),
        }
        state.pair = None;
        state.pair_fault = None;
        state.life = Life::Young;
        self.replace(Err(reason));
    }

    /// Logs how far the identity's life has gone, if that is news.
    pub(super) fn note_life(&self, state: &mut State, changed: bool, now: SystemTime) {
        let Ok(current) = self.current() else { return };
        let life = Life::of(&current, now);
        if life > state.life || changed {
            life.log(&current);
        }
        state.life = life;
    }

    /// The fault that this side's bundle does not vouch for this side, unless the bundle itself has a fault.
    fn doubt(&self, state: &State) -> Option<IdentityError> {
        let current = self.current().ok()?;
        if state.domains.fault(&current.id().trust_domain()).is_some() {
            return None;
        }
        current.doubt().cloned().map(IdentityError::Chain)
    }
}
