//! How what an answer says becomes the bundle of each domain.
//!
//! An answer's revocation lists are of all domains together. One counts for a domain if an authority of that domain's bundle made
//! it. A domain that has such a list gets all others, too: they may be of authorities below those of the bundle, and where they are
//! not they match no certificate.

use std::sync::Arc;

use super::super::digest::sha256_of_all;
use super::super::domains::{Domains, Loaded};
use super::super::error::IdentityError;
use super::super::revocation::RevocationList;
use super::super::spiffe::TrustDomain;
use super::super::trust::{Bundle, TrustBundles, Unused};
use super::answer::Said;

/// Loads the bundles of the domains that have changed.
pub(super) fn load_changed(domains: &Domains, said: &Said, template: &TrustBundles) -> Vec<Loaded> {
    let of_lists = sha256_of_all(said.lists.iter().map(Vec::as_slice));
    let mut lists = None;
    let mut changed = Vec::new();
    for (domain, der) in &said.bundles {
        let seen = sha256_of_all([der, of_lists.as_slice()]);
        if !domains.is_known(domain, &seen) {
            let lists = lists.get_or_insert_with(|| Lists::read(&said.lists));
            let mut unused = Vec::new();
            let bundle = load(domain, der, lists, template, &mut unused)
                .map_err(|fault| fault.in_answer(format!("the bundle of {domain}")));
            changed.push(Loaded { domain: domain.clone(), seen, bundle, unused });
        }
    }
    // Otherwise the domains that were not loaded may use what is left.
    if let Some(lists) = lists.filter(|_| changed.len() == said.bundles.len()) {
        lists.warn_of_unused();
    }
    changed
}

fn load(
    domain: &TrustDomain,
    der: &[u8],
    lists: &mut Lists<'_>,
    template: &TrustBundles,
    unused: &mut Vec<Unused>,
) -> Result<Bundle, IdentityError> {
    template.check_domain(domain)?;
    let mut bundle = Bundle::default();
    bundle.insert_der(der, unused)?;
    lists.give_to(&mut bundle)?;
    Ok(bundle)
}

/// The lists of an answer.
struct Lists<'a> {
    good: Vec<List<'a>>,
    broken: Vec<Broken<'a>>,
}

struct List<'a> {
    der: &'a [u8],
    parsed: Arc<RevocationList>,
    is_used: bool,
}

struct Broken<'a> {
    /// The name, if at least that could be read.
    issuer: Option<&'a [u8]>,
    fault: IdentityError,
}

impl<'a> Lists<'a> {
    fn read(lists: &'a [Vec<u8>]) -> Self {
        let (mut good, mut broken) = (Vec::new(), Vec::new());
        for der in lists {
            match RevocationList::parse(der) {
                Ok(list) => good.push(List { der, parsed: Arc::new(list), is_used: false }),
                Err(fault) => broken.push(Broken {
                    issuer: RevocationList::issuer_of(der),
                    fault: IdentityError::RevocationList(fault),
                }),
            }
        }
        Self { good, broken }
    }

    /// Adds the lists that count. A list that cannot be read may have anybody of its issuer's domain on it, and one whose issuer
    /// cannot be read anybody at all.
    fn give_to(&mut self, bundle: &mut Bundle) -> Result<(), IdentityError> {
        for broken in &self.broken {
            let concerns = broken.issuer.is_none_or(|issuer| {
                bundle.anchors().iter().any(|anchor| anchor.subject() == issuer)
            });
            if concerns {
                return Err(broken.fault.clone());
            }
        }
        let mut has_one = false;
        for List { parsed, is_used, .. } in &mut self.good {
            let is_own = bundle.anchors().iter().any(|anchor| parsed.is_by(anchor));
            *is_used |= is_own;
            has_one |= is_own;
        }
        if has_one {
            for List { der, parsed, .. } in &self.good {
                bundle.insert_list(der, Arc::clone(parsed));
            }
        }
        Ok(())
    }

    fn warn_of_unused(&self) {
        let unused = self.good.iter().filter(|list| !list.is_used).count();
        if unused > 0 {
            tracing::warn!(
                unused,
                "revocation lists of the Workload API are by no authority of its bundles; they count only in domains with another list"
            );
        }
    }
}
