//! A whole mutual handshake in memory, both sides on one core: the work of client and server together.

use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

use alts::handshaker::dev_ca::{DevCa, KeyType};
use alts::handshaker::identity::{ChainVerifier, Identity, Policy};
use alts::handshaker::{HandshakeOptions, HandshakeSession, Handshaker, LocalHandshaker, Role};
use criterion::{Criterion, criterion_group, criterion_main};

fn handshakes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("handshake");
    for (name, key_type) in [("Ed25519", KeyType::Ed25519), ("P-256", KeyType::P256)] {
        for (cache, entries) in [("chains cached", 1024), ("chains verified", 0)] {
            let (client, server) = pair(key_type, entries);
            group.bench_function(format!("{name}, {cache}"), |bencher| {
                bencher.iter(|| handshake(&client, &server));
            });
        }
    }
    group.finish();
}

fn pair(key_type: KeyType, cache_entries: usize) -> (LocalHandshaker, LocalHandshaker) {
    let now = SystemTime::now();
    let ca = DevCa::new(now).expect("an authority");
    let identity = |name: &str| -> Arc<Identity> {
        let id = format!("spiffe://dev.local/{name}");
        let issued = ca.issue_with_key_type(&id, key_type, now).expect("a certificate");
        issued.identity(now).expect("an identity")
    };
    let verifier = || Arc::new(ChainVerifier::with_cache(cache_entries, Duration::from_mins(5)));
    let policy = Policy::from_rules(["spiffe://dev.local/server"]).expect("a rule");
    let client = LocalHandshaker::builder(identity("client"))
        .verifier(verifier())
        .server_policy(policy)
        .build();
    let server = LocalHandshaker::builder(identity("server")).verifier(verifier()).build();
    (client, server)
}

fn handshake(client: &LocalHandshaker, server: &LocalHandshaker) {
    let now = SystemTime::now();
    let options = HandshakeOptions::default();
    let mut client = client.start(Role::Client, &options).expect("a client");
    let mut server = server.start(Role::Server, &options).expect("a server");
    let step = |session: &mut Box<dyn HandshakeSession>, received: &[u8]| {
        let mut out = Vec::new();
        let mut cx = Context::from_waker(Waker::noop());
        match session.poll_step(&mut cx, received, now, &mut out) {
            Poll::Ready(Ok(step)) => (out, step.result),
            other => panic!("{other:?}"),
        }
    };
    let (client_init, _) = step(&mut client, &[]);
    let (server_flight, _) = step(&mut server, &client_init);
    let (client_finished, at_client) = step(&mut client, &server_flight);
    let (_, at_server) = step(&mut server, &client_finished);
    let (at_client, at_server) = (at_client.expect("a result"), at_server.expect("a result"));
    assert_eq!(at_client.key_data, at_server.key_data);
}

criterion_group!(benches, handshakes);
criterion_main!(benches);
