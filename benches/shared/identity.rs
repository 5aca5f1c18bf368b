//! The same certificates for ALTS and for TLS: P-256, from a development authority.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use alts::connect::Settings;
use alts::handshaker::dev_ca::{BUNDLE_FILE, CHAIN_FILE, DevCa, KEY_FILE, KeyType};
use alts::handshaker::identity::{Identity, Policy, TrustBundles, TrustDomain};
use alts::handshaker::{HandshakeLimits, LimitOptions, LocalHandshaker};
use alts::{Acceptor, Connector};

/// The server's identity.
pub const SERVER: &str = "spiffe://dev.local/server";
const CLIENT: &str = "spiffe://dev.local/client";

/// One side's files.
#[derive(Debug)]
pub struct Pem {
    /// Its certificates.
    pub chain: Vec<u8>,
    /// Its private key.
    pub key: Vec<u8>,
    /// The authority of both sides.
    pub bundle: Vec<u8>,
}

/// Makes an authority, and an identity for each side in a directory of its own: `server` and `client`.
pub fn write(directory: &Path) {
    let now = SystemTime::now();
    let ca = DevCa::new(now).expect("an authority");
    for (side, id) in [("server", SERVER), ("client", CLIENT)] {
        let issued = ca.issue_with_key_type(id, KeyType::P256, now).expect("an identity");
        issued.save(&directory.join(side)).expect("the files can be written");
    }
}

impl Pem {
    /// One side's, as [`write()`] left them.
    pub fn read(directory: &Path, side: &str) -> Self {
        let read = |name| fs::read(directory.join(side).join(name)).expect("the file is there");
        Self { chain: read(CHAIN_FILE), key: read(KEY_FILE), bundle: read(BUNDLE_FILE) }
    }

    /// For ALTS.
    pub fn identity(&self) -> Arc<Identity> {
        let mut bundles = TrustBundles::new();
        bundles.allow_development_domain();
        let domain: TrustDomain = "dev.local".parse().expect("a trust domain");
        bundles.insert_pem(&domain, &self.bundle).expect("a bundle");
        let identity = Identity::from_pem(&self.chain, &self.key, bundles, SystemTime::now());
        identity.expect("an identity")
    }

    /// Accepts connections of ALTS, any number from one source.
    pub fn acceptor(&self, mut settings: Settings) -> Acceptor {
        // All handshakes come from one source here.
        let mut limits = LimitOptions::default();
        limits.half_open_per_source = limits.half_open;
        settings.limits = HandshakeLimits::new(limits);
        Acceptor::with_settings(LocalHandshaker::builder(self.identity()).build(), settings)
    }

    /// Connects to the server of these identities over ALTS.
    pub fn connector(&self, settings: Settings) -> Connector {
        let server = Policy::from_rules([SERVER]).expect("a rule");
        let handshaker = LocalHandshaker::builder(self.identity()).server_policy(server).build();
        Connector::with_settings(handshaker, settings)
    }
}
