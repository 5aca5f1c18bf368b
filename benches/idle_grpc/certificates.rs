//! The same certificates for ALTS and for TLS: P-256, from a development authority.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use alts::handshaker::dev_ca::{DevCa, KeyType};
use alts::handshaker::identity::{Identity, TrustBundles, TrustDomain};
use std::sync::Arc;

pub(crate) const SERVER: &str = "spiffe://dev.local/server";
const CLIENT: &str = "spiffe://dev.local/client";

/// One side's files.
pub(crate) struct Pem {
    pub(crate) chain: Vec<u8>,
    pub(crate) key: Vec<u8>,
    pub(crate) bundle: Vec<u8>,
}

/// Makes an authority and an identity for each side.
pub(crate) fn write(directory: &Path) {
    let now = SystemTime::now();
    let ca = DevCa::new(now).expect("an authority");
    for (side, id) in [("server", SERVER), ("client", CLIENT)] {
        let issued = ca.issue_with_key_type(id, KeyType::P256, now).expect("an identity");
        let directory = directory.join(side);
        fs::create_dir(&directory).expect("a directory");
        for (name, pem) in [
            ("chain", issued.chain_pem()),
            ("key", issued.key_pem()),
            ("bundle", issued.bundle_pem()),
        ] {
            fs::write(directory.join(name), pem).expect("the file can be written");
        }
    }
}

impl Pem {
    pub(crate) fn read(directory: &Path, side: &str) -> Self {
        let read = |name| fs::read(directory.join(side).join(name)).expect("the file is there");
        Self { chain: read("chain"), key: read("key"), bundle: read("bundle") }
    }

    /// For ALTS.
    pub(crate) fn identity(&self) -> Arc<Identity> {
        let mut bundles = TrustBundles::new();
        bundles.allow_development_domain();
        let domain: TrustDomain = "dev.local".parse().expect("a trust domain");
        bundles.insert_pem(&domain, &self.bundle).expect("a bundle");
        Identity::from_pem(&self.chain, &self.key, bundles, SystemTime::now()).expect("an identity")
    }
}
