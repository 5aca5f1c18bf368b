//! Who is who: two names, an authority for the length of this run, and who accepts whom.

use std::error::Error;
use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::SystemTime;

use alts::handshaker::LocalHandshaker;
use alts::handshaker::dev_ca::{DevCa, DevIdentity};
use alts::handshaker::identity::{
    DEVELOPMENT_TRUST_DOMAIN, Identity, IdentityError, Policy, TrustBundles,
};

pub(crate) const SERVER: &str = "spiffe://dev.local/server";
pub(crate) const CLIENT: &str = "spiffe://dev.local/client";

/// The longest PEM text that one process takes from the other, in bytes. Theirs have less than 1 KiB.
const MAX_PEM_LEN: u32 = 16 << 10;

/// The identities of both sides. Programs in earnest read theirs from files: see the example `echo_server`.
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

    /// The server's side of handshakes. It lets in every identity of its own trust domain.
    pub(crate) fn server(&self) -> Result<LocalHandshaker, IdentityError> {
        let identity = self.server.identity(SystemTime::now())?;
        Ok(LocalHandshaker::builder(Arc::new(identity)).build())
    }

    /// The client's side of handshakes.
    pub(crate) fn client(&self) -> Result<LocalHandshaker, Box<dyn Error>> {
        client_handshaker(self.client.identity(SystemTime::now())?)
    }

    /// Hands the client's identity to another process.
    pub(crate) fn send_client(&self, to: &mut impl Write) -> io::Result<()> {
        for pem in [self.client.chain_pem(), self.client.key_pem(), self.client.bundle_pem()] {
            to.write_all(&(pem.len() as u32).to_be_bytes())?;
            to.write_all(pem.as_bytes())?;
        }
        to.flush()
    }
}

/// The client's side of handshakes, in the process that [`Identities::send_client`] wrote to.
pub(crate) fn receive_client(from: &mut impl Read) -> Result<LocalHandshaker, Box<dyn Error>> {
    let mut pem = || -> io::Result<Vec<u8>> {
        let mut len = [0; 4];
        from.read_exact(&mut len)?;
        let len = u32::from_be_bytes(len);
        if len > MAX_PEM_LEN {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "this is no identity"));
        }
        let mut pem = vec![0; len as usize];
        from.read_exact(&mut pem)?;
        Ok(pem)
    };
    let (chain, key, bundle) = (pem()?, pem()?, pem()?);
    let mut trust = TrustBundles::new();
    trust.allow_development_domain().insert_pem(&DEVELOPMENT_TRUST_DOMAIN.parse()?, &bundle)?;
    client_handshaker(Identity::from_pem(&chain, &key, trust, SystemTime::now())?)
}

/// A client must say who may be the server: any valid certificate would do otherwise.
fn client_handshaker(identity: Arc<Identity>) -> Result<LocalHandshaker, Box<dyn Error>> {
    let policy = Policy::from_rules([SERVER])?;
    Ok(LocalHandshaker::builder(Arc::new(identity)).server_policy(policy).build())
}
