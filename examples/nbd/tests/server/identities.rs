//! A server with an identity, and clients of the same development authority.

#![cfg(all(target_os = "linux", feature = "cli"))]

use std::path::PathBuf;
use std::time::SystemTime;

use alts::Connector;
use alts::connect::Settings;
use alts::handshaker::dev_ca::{DevCa, DevIdentity};
use alts::handshaker::identity::Policy;
use alts::handshaker::resumption::TicketCache;
use alts::handshaker::{LocalHandshaker, LocalHandshakerBuilder};
use tempfile::TempDir;

use super::crash::{self, Killed};

pub(crate) struct Identities {
    directory: TempDir,
    ca: DevCa,
}

impl Identities {
    /// With files for `spiffe://dev.local/server`.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let identities = Self { directory, ca: DevCa::new(SystemTime::now()).unwrap() };
        identities.replace("server");
        identities
    }

    /// A path beside the identity's files.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn issue(&self, name: &str) -> DevIdentity {
        self.ca.issue(&format!("spiffe://dev.local/{name}"), SystemTime::now()).unwrap()
    }

    /// Has the server's files hold another identity.
    pub(crate) fn replace(&self, name: &str) {
        self.issue(name).save(self.directory.path()).unwrap();
    }

    /// Starts the command with the identity of the files.
    pub(crate) fn serve(&self, arguments: &[&str]) -> Killed {
        let file = |name: &str| self.path(name).display().to_string();
        let (chain, key) = (format!("--cert={}", file("chain.pem")), file("key.pem"));
        let (key, bundle) = (format!("--key={key}"), file("bundle.pem"));
        let bundle = format!("--bundle=dev.local={bundle}");
        let own = ["--allow=own-trust-domain", "--dev", &chain, &key, &bundle];
        crash::serve(&[arguments, &own].concat())
    }

    /// For a client of this name.
    pub(crate) fn connector(&self, name: &str) -> Connector {
        Connector::new(self.client(name).build())
    }

    /// As [`connector`](Self::connector), for a client that resumes.
    pub(crate) fn resuming(&self, name: &str) -> Connector {
        let mut settings = Settings::default();
        settings.handshake.target_name = Some("disks".to_owned());
        let client = self.client(name).ticket_cache(TicketCache::new());
        Connector::with_settings(client.build(), settings)
    }

    fn client(&self, name: &str) -> LocalHandshakerBuilder {
        let identity = self.issue(name).identity(SystemTime::now()).unwrap();
        let policy = Policy::from_rules(["spiffe://dev.local/server"]).unwrap();
        LocalHandshaker::builder(identity).server_policy(policy)
    }
}
