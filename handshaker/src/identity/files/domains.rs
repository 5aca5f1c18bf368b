//! The trust domains' files. Each domain stands and falls by itself.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::super::digest::{Digest, sha256_of_all};
use super::super::error::IdentityError;
use super::super::spiffe::TrustDomain;
use super::super::trust::{Bundle, TrustBundles, Unused, Wanted};
use super::read::FileContents;

/// A file about a trust domain.
#[derive(Clone, Debug)]
pub(super) struct TrustFile {
    pub(super) domain: TrustDomain,
    pub(super) path: PathBuf,
    /// What it has to have.
    pub(super) wanted: Wanted,
}

/// What a look at a file found.
pub(super) type Looked = Result<FileContents, IdentityError>;

/// What the files of a domain contain now.
pub(super) struct Loaded {
    domain: TrustDomain,
    seen: Digest,
    bundle: Result<Bundle, IdentityError>,
    unused: Vec<Unused>,
}

impl Loaded {
    fn of(
        domain: &TrustDomain,
        files: &[(&TrustFile, &Looked)],
        seen: Digest,
        template: &TrustBundles,
    ) -> Self {
        let mut unused = Vec::new();
        let bundle = load(domain, files, template, &mut unused);
        Self { domain: domain.clone(), seen, bundle, unused }
    }

    /// The domain's files cannot be used as they are.
    pub(super) fn is_broken(&self) -> bool {
        self.bundle.is_err()
    }
}

/// What the files of all domains said when they were last read.
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
}

impl Domains {
    /// Loads the files of the domains that have changed; `looked` is in the order of `files`.
    pub(super) fn load_changed(
        &self,
        files: &[TrustFile],
        looked: &[Looked],
        template: &TrustBundles,
    ) -> Vec<Loaded> {
        let mut changed = Vec::new();
        for (domain, files) in by_domain(files, looked) {
            let seen = digest(&files);
            if self.0.get(domain).is_none_or(|before| before.seen != seen) {
                changed.push(Loaded::of(domain, &files, seen, template));
            }
        }
        changed
    }

    /// Uses what was loaded, and logs it. Returns whether any bundle changed.
    pub(super) fn update(&mut self, loaded: Vec<Loaded>) -> bool {
        let mut changed = false;
        for Loaded { domain, seen, bundle, unused } in loaded {
            let before = self.0.get(&domain);
            for unused in &unused {
                unused.log(&domain);
            }
            log(&domain, before.and_then(|before| before.fault.as_ref()), &bundle);
            let last_good = before.and_then(|before| before.last_good.clone());
            let old = before.map(|before| *before.bundle.digest());
            let next = match bundle {
                Ok(bundle) => {
                    let bundle = Arc::new(bundle);
                    let last_good = Some(Arc::clone(&bundle));
                    Domain { seen, bundle, fault: None, last_good }
                }
                Err(fault) => {
                    Domain { seen, bundle: Arc::default(), fault: Some(fault), last_good }
                }
            };
            changed |= old != Some(*next.bundle.digest());
            self.0.insert(domain, next);
        }
        changed
    }

    /// The bundles as they are now.
    pub(super) fn bundles(&self, template: &TrustBundles) -> TrustBundles {
        let mut bundles = template.clone();
        for (name, domain) in &self.0 {
            bundles.insert_bundle(name, Arc::clone(&domain.bundle));
        }
        bundles
    }

    /// The last bundle of a domain that had no fault.
    pub(super) fn last_good(&self, domain: &TrustDomain) -> Option<Arc<Bundle>> {
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

/// Each domain's files, with what was found in them.
fn by_domain<'a>(
    files: &'a [TrustFile],
    looked: &'a [Looked],
) -> BTreeMap<&'a TrustDomain, Vec<(&'a TrustFile, &'a Looked)>> {
    let mut by_domain = BTreeMap::<_, Vec<_>>::new();
    for (file, looked) in files.iter().zip(looked) {
        by_domain.entry(&file.domain).or_default().push((file, looked));
    }
    by_domain
}

fn digest(files: &[(&TrustFile, &Looked)]) -> Digest {
    let faults: Vec<_> = files
        .iter()
        .map(|(_, looked)| looked.as_ref().err().map_or_else(String::new, ToString::to_string))
        .collect();
    sha256_of_all(files.iter().zip(&faults).flat_map(|((_, looked), fault)| {
        let bytes = looked.as_ref().map_or(&[][..], |contents| &contents.bytes);
        [bytes, fault.as_bytes()]
    }))
}

fn load(
    domain: &TrustDomain,
    files: &[(&TrustFile, &Looked)],
    template: &TrustBundles,
    unused: &mut Vec<Unused>,
) -> Result<Bundle, IdentityError> {
    let mut bundle = Bundle::default();
    for (file, looked) in files {
        template.check_domain(domain).map_err(|fault| fault.in_file(&file.path))?;
        let contents = looked.as_ref().map_err(IdentityError::clone)?;
        bundle
            .insert_pem(&contents.bytes, file.wanted, unused)
            .map_err(|fault| fault.in_file(&file.path))?;
    }
    Ok(bundle)
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
                Some(_) => "the files of the trust domain are valid again",
                None => "trust domain loaded",
            };
            tracing::info!(%domain, authorities, revocation_lists = lists, revoked, "{what}");
        }
        Err(fault) if before == Some(fault) => {}
        Err(fault) => tracing::error!(
            %domain,
            %fault,
            "no peer of this trust domain is accepted until its files are valid again",
        ),
    }
}
