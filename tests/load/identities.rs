//! The identities of the server, its clients, and a stranger.

use std::path::Path;
use std::time::SystemTime;

use alts::handshaker::LocalHandshaker;
use alts::handshaker::dev_ca::DevCa;
use alts::handshaker::identity::Policy;
use tempfile::TempDir;

use crate::files::{load, save, write};

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

pub(crate) fn server(dir: &Path) -> LocalHandshaker {
    LocalHandshaker::builder(load(dir, "server")).build()
}

/// A client's handshaker, or a stranger's.
pub(crate) fn client(dir: &Path, name: &str) -> LocalHandshaker {
    let policy = Policy::from_rules([SERVER]).unwrap();
    LocalHandshaker::builder(load(dir, name)).server_policy(policy).build()
}
