//! What this side was told about each trust domain. Each domain stands and falls by itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use pki_types::CertificateDer;

use super::digest::Digest;
use super::error::IdentityError;
use super::signer::Signer;
use super::snapshot::Identity;
use super::spiffe::TrustDomain;
use super::stats::BundleStats;
use super::trust::{Bundle, TrustBundles, Unused};

/// What is said about a domain now.
pub(super) struct Loaded {
    pub(super) domain: TrustDomain,
    /// Of what was read, faults included.
    pub(super) seen: Digest,
    pub(super) bundle: Result<Bundle, IdentityError>,
    pub(super) unused: Vec<Unused>,
}

impl Loaded {
    /// What is said about the domain cannot be used as it is.
    pub(super) fn is_broken(&self) -> bool {
        self.bundle.is_err()
    }
}

/// What was last said about all domains.
#[derive(Default)]
pub(super) struct Domains(BTreeMap<TrustDomain, Domain>);

struct Domain {
    /// Of what was read, faults included.
    seen: Digest,
    /// Without an authority if there is a fault: then nobody is in the domain.
    bundle: Arc<Bundle>,
    fault: Option<IdentityError>,
    /// The last bundle without a fault.
    last_good: Option<Arc<Bundle>>,
    /// Since when the bundle is as it is.
    since: SystemTime,
}

impl Domains {
    /// Whether `seen` is what the domain was last loaded from.
    pub(super) fn is_known(&self, domain: &TrustDomain, seen: &Digest) -> bool {
        self.0.get(domain).is_some_and(|before| before.seen == *seen)
    }

    /// Whether the domain was ever loaded.
    pub(super) fn has(&self, domain: &TrustDomain) -> bool {
        self.0.contains_key(domain)
    }

    /// Uses what was loaded, and logs it. Returns whether any bundle changed.
    pub(super) fn update(&mut self, loaded: Vec<Loaded>, now: SystemTime) -> bool {
        let mut changed = false;
        for Loaded { domain, seen, bundle, unused } in loaded {
            let before = self.0.get(&domain);
            for unused in &unused {
                unused.log(&domain);
            }
            log(&domain, before.and_then(|before| before.fault.as_ref()), &bundle);
            let last_good = before.and_then(|before| before.last_good.clone());
            let old = before.map(|before| *before.bundle.digest());
            let mut next = match bundle {
                Ok(bundle) => {
                    let bundle = Arc::new(bundle);
                    let last_good = Some(Arc::clone(&bundle));
                    Domain { seen, bundle, fault: None, last_good, since: now }
                }
                Err(fault) => Domain {
                    seen,
                    bundle: Arc::default(),
                    fault: Some(fault),
                    last_good,
                    since: now,
                },
            };
            let is_new = old != Some(*next.bundle.digest());
            if let Some(before) = before.filter(|_| !is_new) {
                next.since = before.since;
            }
            changed |= is_new;
            self.0.insert(domain, next);
        }
        changed
    }

    /// Forgets the domains that are not among `stay`. Returns whether there were any.
    #[cfg(feature = "workload-api")]
    pub(super) fn keep_only(&mut self, stay: impl Fn(&TrustDomain) -> bool) -> bool {
        let before = self.0.len();
        self.0.retain(|domain, _| {
            let stays = stay(domain);
            if !stays {
                tracing::warn!(%domain, "the trust domain was taken away: no peer of it is accepted any more");
            }
            stays
        });
        self.0.len() != before
    }

    /// The identity of a chain and a key, with the bundles as they are.
    pub(super) fn identity(
        &self,
        chain: &[CertificateDer<'static>],
        signer: &Arc<dyn Signer>,
        template: &TrustBundles,
        now: SystemTime,
    ) -> Result<Arc<Identity>, IdentityError> {
        let trust = self.bundles(template);
        let new = |trust| Identity::new(chain.to_vec(), Arc::clone(signer), trust, now);
        match new(trust.clone()) {
            // A bundle that cannot be read must not delay a renewed chain. It is verified with the last bundle that was good.
            Err(IdentityError::NoOwnBundle(domain)) => {
                let last = self.last_good(&domain);
                last.ok_or(IdentityError::NoOwnBundle(domain.clone())).and_then(|bundle| {
                    let mut last = trust.clone();
                    last.insert_bundle(&domain, bundle);
                    Ok(new(last)?.with_trust(trust, now))
                })
            }
            identity => identity,
        }
    }

    /// The bundles as they are now.
    pub(super) fn bundles(&self, template: &TrustBundles) -> TrustBundles {
        let mut bundles = template.clone();
        for (name, domain) in &self.0 {
            bundles.insert_bundle(name, Arc::clone(&domain.bundle));
        }
        bundles
    }

    /// What an operator wants to know of each.
    pub(super) fn stats(&self) -> Vec<BundleStats> {
        let of = |(name, domain): (&TrustDomain, &Domain)| BundleStats {
            domain: name.clone(),
            authorities: domain.bundle.anchors().len(),
            revocation_lists: domain.bundle.revocation_lists().len(),
            is_usable: domain.fault.is_none(),
            since: Some(domain.since),
        };
        self.0.iter().map(of).collect()
    }

    /// The last bundle of a domain that had no fault.
    fn last_good(&self, domain: &TrustDomain) -> Option<Arc<Bundle>> {
        self.0.get(domain)?.last_good.clone()
    }

    pub(super) fn fault(&self, domain: &TrustDomain) -> Option<&IdentityError> {
        self.0.get(domain)?.fault.as_ref()
    }

    /// The domains that have a fault, each with it.
    pub(super) fn faults(&self) -> impl Iterator<Item = (&TrustDomain, &IdentityError)> {
        self.0.iter().filter_map(|(name, domain)| Some((name, domain.fault.as_ref()?)))
    }
}

fn log(
    domain: &TrustDomain,
    before: Option<&IdentityError>,
    loaded: &Result<Bundle, IdentityError>,
) {
    match loaded {
        Ok(bundle) => {
            let authorities = bundle.anchors().len();
            let (lists, revoked) = (bundle.revocation_lists().len(), bundle.revoked());
            let what = match before {
                Some(_) => "the bundle of the trust domain is valid again",
                None => "trust domain loaded",
            };
            tracing::info!(%domain, authorities, revocation_lists = lists, revoked, "{what}");
        }
        Err(fault) if before == Some(fault) => {}
        Err(fault) => tracing::error!(
            %domain,
            %fault,
            "no peer of this trust domain is accepted until its bundle is valid again",
        ),
    }
}
