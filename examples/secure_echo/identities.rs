//! Who is who: two names, an authority for the length of this run, and who accepts whom.

use std::error::Error;
use std::sync::Arc;
use std::time::SystemTime;

use alts::handshaker::LocalHandshaker;
use alts::handshaker::dev_ca::{DevCa, DevIdentity};
use alts::handshaker::identity::{
    DEVELOPMENT_TRUST_DOMAIN, Identity, IdentityError, Policy, TrustBundles,
};

use crate::pem::Pem;

pub(crate) const SERVER: &str = "spiffe://dev.local/server";
pub(crate) const CLIENT: &str = "spiffe://dev.local/client";

/// The identities of both sides. Other programs read theirs from files: see the example `server`.
pub(crate) struct Identities {
    server: DevIdentity,
    client: DevIdentity,
}

impl Identities {
    pub(crate) fn new() -> Result<Self, Box<dyn Error>> {
        let now = SystemTime::now();
        let authority = DevCa::new(now)?;
        Ok(Self { server: authority.issue(SERVER, now)?, client: authority.issue(CLIENT, now)? })
    }

    /// The server's side of handshakes. It accepts every identity of its trust domain.
    pub(crate) fn server(&self) -> Result<LocalHandshaker, IdentityError> {
        let identity = self.server.identity(SystemTime::now())?;
        Ok(LocalHandshaker::builder(identity).build())
    }

    /// The client's side of handshakes.
    pub(crate) fn client(&self) -> Result<LocalHandshaker, Box<dyn Error>> {
        client_handshaker(self.client.identity(SystemTime::now())?)
    }

    /// What a client in another process needs.
    pub(crate) fn client_pem(&self) -> Pem {
        Pem {
            chain: self.client.chain_pem().to_owned(),
            key: self.client.key_pem().to_owned(),
            authority: self.client.bundle_pem().to_owned(),
        }
    }
}

/// The client's side of handshakes, from what another process has sent.
pub(crate) fn client(pem: &Pem) -> Result<LocalHandshaker, Box<dyn Error>> {
    let mut trust = TrustBundles::new();
    let domain = DEVELOPMENT_TRUST_DOMAIN.parse()?;
    trust.allow_development_domain().insert_pem(&domain, pem.authority.as_bytes())?;
    let (chain, key) = (pem.chain.as_bytes(), pem.key.as_bytes());
    client_handshaker(Identity::from_pem(chain, key, trust, SystemTime::now())?)
}

/// A client must say who may be the server: any valid certificate would do otherwise.
fn client_handshaker(identity: Arc<Identity>) -> Result<LocalHandshaker, Box<dyn Error>> {
    let policy = Policy::from_rules([SERVER])?;
    Ok(LocalHandshaker::builder(identity).server_policy(policy).build())
}
