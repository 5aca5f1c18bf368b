//! Identities in files, for processes that share nothing else.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use alts::handshaker::dev_ca::DevIdentity;
use alts::handshaker::identity::{Identity, TrustBundles, TrustDomain};

/// Writes the three files of an identity, one after the other, each at once.
pub(crate) fn save(dir: &Path, name: &str, identity: &DevIdentity) {
    write(&dir.join(format!("{name}.chain")), identity.chain_pem());
    write(&dir.join(format!("{name}.key")), identity.key_pem());
    write(&dir.join(format!("{name}.bundle")), identity.bundle_pem());
}

/// Replaces a file by renaming, as issuers of certificates do.
pub(crate) fn write(path: &Path, text: &str) {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    fs::write(&new, text).expect("the file can be written");
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).expect("its owner may");
    fs::rename(&new, path).expect("the file can be replaced");
}

/// The identity of that name.
pub(crate) fn load(dir: &Path, name: &str) -> Arc<Identity> {
    let read =
        |what: &str| fs::read(dir.join(format!("{name}.{what}"))).expect("the file is there");
    let mut bundles = TrustBundles::new();
    bundles.allow_development_domain();
    let domain: TrustDomain = "dev.local".parse().expect("a trust domain");
    bundles.insert_pem(&domain, &read("bundle")).expect("a bundle");
    let now = SystemTime::now();
    Identity::from_pem(&read("chain"), &read("key"), bundles, now).expect("an identity")
}
