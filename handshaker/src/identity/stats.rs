//! What an operator wants to know of an identity.

use std::sync::Arc;
use std::time::SystemTime;

use super::snapshot::Identity;
use super::spiffe::TrustDomain;

/// An identity at one moment, and what became of it so far.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct IdentityStats {
    /// The snapshot in use: who this side is, its serial number, until when. `None` while there is none.
    pub identity: Option<Arc<Identity>>,
    /// How often something new took effect.
    pub reloads: u64,
    /// How many looks at the source found something wrong.
    pub failures: u64,
    /// The trust domains, in order.
    pub bundles: Vec<BundleStats>,
}

/// What this side knows of one trust domain.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BundleStats {
    /// Its name.
    pub domain: TrustDomain,
    /// The authorities that are trusted for it. Without any, none of its peers is accepted.
    pub authorities: usize,
    /// Its revocation lists.
    pub revocation_lists: usize,
    /// Whether the bundle is valid. If it is not, none of the domain's peers is accepted until it is.
    pub is_usable: bool,
    /// Since when the bundle is as it is, which tells its age; `None` where nothing renews it.
    pub since: Option<SystemTime>,
}

impl IdentityStats {
    /// Those of a source that says no more than who this side is.
    pub fn of(identity: Option<Arc<Identity>>) -> Self {
        let mut bundles = Vec::new();
        if let Some(identity) = &identity {
            let trust = identity.trust();
            bundles.extend(trust.domains().map(|domain| BundleStats {
                domain: domain.clone(),
                authorities: trust.authorities(domain),
                revocation_lists: trust.revocation_lists(domain),
                is_usable: trust.authorities(domain) > 0,
                since: None,
            }));
        }
        Self { identity, bundles, ..Self::default() }
    }
}
