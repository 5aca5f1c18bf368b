//! Tests of the whole engine that need to see inside it or to replace a part.

pub(super) mod document;
mod fixed;
mod forged;
mod models;
#[cfg(target_os = "linux")]
mod wiped;
mod wycheproof;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{Config, Handshake, State, Suite, SystemEphemerals};
use crate::alert::AlertCode;
use crate::error::Error;
use crate::identity::{ChainVerifier, Identity, Policy, TrustBundles};
use crate::role::Role;
use crate::session::{HandshakeOptions, HandshakeResult};

/// In 2027; the test identities are valid from 2025 to 2045.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(500_000 * 60 * 60)
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
        server_tickets: None,
        client_tickets: None,
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

#[test]
fn after_the_end_nothing_is_held() {
    let mut server = honest(Role::Server, HandshakeOptions::default());
    let partial = [&[0xfc, 0x0f, 0, 0, 0x41, 0, 0, 0][..], &[7; 3_000]].concat();
    assert!(step(&mut server, &partial).1.unwrap().is_none());
    assert!(server.inbox.capacity() >= 3_000);
    server.fail(AlertCode::Timeout, &mut Vec::new());
    assert_eq!(server.inbox.capacity(), 0);
    assert!(matches!(server.state, State::Over(_)));

    let mut client = honest(Role::Client, HandshakeOptions::default());
    let mut server = honest(Role::Server, HandshakeOptions::default());
    let (offer, _) = step(&mut client, &[]);
    let (answer, _) = step(&mut server, &offer);
    let (finish, end) = step(&mut client, &answer);
    assert!(end.unwrap().is_some());
    assert!(step(&mut server, &finish).1.unwrap().is_some());
    for side in [client, server] {
        assert_eq!(side.inbox.capacity(), 0);
        assert!(matches!(side.state, State::Over(_)));
        assert!(!side.alerts.opens_sealed());
    }
}
