//! A whole handshake in memory with certificates on both sides: the work of client and server together, on one core.
//!
//! alts is measured with the peers' chains in the cache, as they are when a peer is met again, and without. rustls (TLS 1.3, X25519,
//! AES-128-GCM) has no such cache; it verifies the same certificates each time. A further row has the public-key
//! operations alone that a handshake with known chains takes; the same library does them for alts and rustls.
//!
//! The rows of resumption: a full handshake in which the server also gives a ticket; a resumed one, which leaves a ticket for the next; and
//! the same of rustls, whose server holds nothing either. In each, the client's cache gives and takes the ticket, and the server seals and
//! opens it. `--bench resumption` measures them by turns, which shows smaller differences.

#[expect(dead_code, reason = "another benchmark uses the rest of it")]
#[path = "handshake/alts.rs"]
mod altsh1;
#[path = "handshake/certificates.rs"]
mod certificates;
#[path = "handshake/connected.rs"]
mod connected;
mod harness;
#[path = "handshake/operations.rs"]
mod operations;
#[path = "handshake/resumed_tls.rs"]
mod resumed_tls;
#[path = "handshake/tls.rs"]
mod tls;

use std::time::Duration;

use criterion::{BatchSize, Criterion};
use rcgen::{KeyPair, PKCS_ED25519};
use rustls::HandshakeKind;

use altsh1::Peers;
use certificates::{Certificates, p256_key};
use operations::Operations;
use tls::Tls;

/// Neither ring nor rcgen makes RSA keys, so this one, of 2,048 bits, serves both ends. It is public.
const RSA_KEY: &str = include_str!("../handshaker/tests/identity/keys/rsa2048.pem");

type MakeKey = fn() -> KeyPair;

/// What the leaves' keys are.
const KEYS: [(&str, MakeKey); 3] = [
    ("Ed25519", || KeyPair::generate_for(&PKCS_ED25519).expect("a key")),
    ("P-256", p256_key),
    ("RSA-2048", || KeyPair::from_pem(RSA_KEY).expect("a key")),
];

fn main() {
    harness::run(&[handshakes]);
}

fn handshakes(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("handshake");
    group.measurement_time(Duration::from_secs(1));
    for (name, key) in KEYS {
        let certificates = Certificates::new(key);
        for (cache, entries) in [("chains cached", 1024), ("chains verified", 0)] {
            let peers = Peers::new(&certificates, entries, false);
            group.bench_function(format!("{name}/alts, {cache}"), |bencher| {
                bencher.iter(|| peers.handshake());
            });
        }
        let peers = Peers::new(&certificates, 1024, true);
        group.bench_function(format!("{name}/alts, chains cached, with a ticket"), |bencher| {
            let full = |()| peers.handshake_with_ticket();
            bencher.iter_batched(|| peers.forget(), full, BatchSize::PerIteration);
        });
        peers.forget();
        peers.handshake_with_ticket();
        group.bench_function(format!("{name}/alts, resumed"), |bencher| {
            bencher.iter(|| peers.resume());
        });
        let tls = Tls::new(&certificates);
        group.bench_function(format!("{name}/rustls"), |bencher| {
            bencher.iter(|| connected::connected(&tls));
        });
        let tls = resumed_tls::resuming(Tls::new(&certificates));
        connected::connected(&tls);
        group.bench_function(format!("{name}/rustls, resumed"), |bencher| {
            bencher.iter(|| {
                let (client, _) = connected::connected(&tls);
                assert_eq!(client.handshake_kind(), Some(HandshakeKind::Resumed));
            });
        });
        let operations = Operations::new(&certificates);
        group.bench_function(format!("{name}/public-key operations alone"), |bencher| {
            bencher.iter(|| operations.both_sides());
        });
    }
    group.finish();
}
