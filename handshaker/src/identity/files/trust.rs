//! The trust domains' files.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::digest::{Digest, sha256_of_all};
use super::super::domains::{Domains, Loaded};
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

/// Loads the files of the domains that have changed; `looked` is in the order of `files`.
pub(super) fn load_changed(
    domains: &Domains,
    files: &[TrustFile],
    looked: &[Looked],
    template: &TrustBundles,
) -> Vec<Loaded> {
    let mut changed = Vec::new();
    for (domain, files) in by_domain(files, looked) {
        let seen = digest(&files);
        let stays = domains.has(domain) && files.iter().any(|(_, looked)| unread(looked).is_some());
        if !stays && !domains.is_known(domain, &seen) {
            let mut unused = Vec::new();
            let bundle = load(domain, &files, template, &mut unused);
            changed.push(Loaded { domain: domain.clone(), seen, bundle, unused });
        }
    }
    changed
}

/// Why a file's contents are not known, if that is for want of resources: no statement about its domain.
pub(super) fn unread(looked: &Looked) -> Option<&IdentityError> {
    let fault = looked.as_ref().err()?;
    matches!(fault.fault(), IdentityError::OutOfResources { .. }).then_some(fault)
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
