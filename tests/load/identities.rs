//! Identities in files, so that other processes can have them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use alts::handshaker::LocalHandshaker;
use alts::handshaker::dev_ca::{DevCa, DevIdentity};
use alts::handshaker::identity::{Identity, Policy, TrustBundles, TrustDomain};
use tempfile::TempDir;

pub(crate) const SERVER: &str = "spiffe://dev.local/server";
pub(crate) const CLIENT: &str = "spiffe://dev.local/client";

/// A directory with `server`, `client` and `stranger`, which another authority of the same name issued.
pub(crate) struct Identities {
    dir: TempDir,
}

impl Identities {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let now = SystemTime::now();
        let (ca, other) = (DevCa::new(now).unwrap(), DevCa::new(now).unwrap());
        save(dir.path(), "server", &ca.issue(SERVER, now).unwrap());
        save(dir.path(), "client", &ca.issue(CLIENT, now).unwrap());
        save(dir.path(), "stranger", &other.issue(CLIENT, now).unwrap());
        // It trusts the server. Nobody loads an identity that they do not trust themselves.
        let both = [ca.bundle_pem(), other.bundle_pem()].concat();
        write(&dir.path().join("stranger.bundle"), &both);
        Self { dir }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

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
    fs::write(&new, text).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(&new, path).unwrap();
}

/// The identity of that name.
pub(crate) fn load(dir: &Path, name: &str) -> Arc<Identity> {
    let read = |what: &str| fs::read(dir.join(format!("{name}.{what}"))).unwrap();
    let mut bundles = TrustBundles::new();
    bundles.allow_development_domain();
    let domain: TrustDomain = "dev.local".parse().unwrap();
    bundles.insert_pem(&domain, &read("bundle")).unwrap();
    let now = SystemTime::now();
    Identity::from_pem(&read("chain"), &read("key"), bundles, now).unwrap()
}

pub(crate) fn server(dir: &Path) -> LocalHandshaker {
    LocalHandshaker::builder(load(dir, "server")).build()
}

/// A client's handshaker, or a stranger's.
pub(crate) fn client(dir: &Path, name: &str) -> LocalHandshaker {
    let policy = Policy::from_rules([SERVER]).unwrap();
    LocalHandshaker::builder(load(dir, name)).server_policy(policy).build()
}
