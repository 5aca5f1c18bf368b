//! Tests of the whole engine that need to see inside it or to replace a part.

pub(super) mod document;
mod fixed;
mod forged;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{Config, Handshake, Suite, SystemEphemerals};
use crate::error::Error;
use crate::identity::{ChainVerifier, Identity, Policy, TrustBundles};
use crate::session::{HandshakeOptions, HandshakeResult, Role};

/// In 2027; the test identities are valid from 2025 to 2045.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_hours(500_000)
}

/// An identity of `test.example`, see `tests/data`.
fn identity(name: &str) -> Arc<Identity> {
    let read = |file: String| {
        let path = format!("{}/tests/data/{file}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    let mut trust = TrustBundles::new();
    let bundle = read("test.example.bundle.pem".to_owned());
    trust.insert_pem(&"test.example".parse().unwrap(), &bundle).unwrap();
    let (chain, key) = (read(format!("{name}.chain.pem")), read(format!("{name}.key.pem")));
    Identity::from_pem(&chain, &key, trust, now()).unwrap()
}

fn config(name: &str, options: HandshakeOptions) -> Config {
    Config {
        identity: identity(name),
        verifier: Arc::new(ChainVerifier::new()),
        policy: Some(Arc::new(Policy::own_trust_domain())),
        suites: [Suite::X25519, Suite::P256].into(),
        options,
        ephemerals: Arc::new(SystemEphemerals),
    }
}

fn honest(role: Role, options: HandshakeOptions) -> Handshake {
    let name = match role {
        Role::Client => "client",
        Role::Server => "server",
    };
    Handshake::new(role, config(name, options)).unwrap()
}

/// One step: what goes to the peer, and the end if this is it.
fn step(
    handshake: &mut Handshake,
    received: &[u8],
) -> (Vec<u8>, Result<Option<HandshakeResult>, Error>) {
    let mut out = Vec::new();
    let step = handshake.step(received, now(), &mut out);
    if let Ok(step) = &step {
        assert_eq!(step.consumed, received.len());
    }
    (out, step.map(|step| step.result))
}
