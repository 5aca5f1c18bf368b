//! A whole handshake in memory, both sides on one core: what has to be computed, and nothing else.

use std::sync::Arc;
use std::time::Duration;

use alts::handshaker::LocalHandshaker;
use alts::handshaker::identity::{ChainVerifier, Policy};
use alts_benches::alts_handshake;
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection};

use crate::certificates::{Pem, SERVER};
use crate::lab::{Lab, Step};
use crate::roles::cpu_time;
use crate::roles::transport::Peer;
use crate::roles::transport::tls::{NAME, Tls};
use crate::samples::Key;

const MICROS: f64 = 1e6;

pub(super) fn steps(lab: &Lab) -> Vec<Step> {
    let mut steps = Vec::new();
    for peer in lab.turns(lab.rounds) {
        // alts remembers for a while which chains it has verified; rustls has nothing like it.
        let variants: &[(&str, usize)] = if peer == Peer::Alts {
            &[("chains cached", 1024), ("chains verified", 0)]
        } else if peer.provider().is_some() {
            &[("chains verified", 0)]
        } else {
            &[]
        };
        for &(variant, cached) in variants {
            let label = format!("handshake in memory, {}, {variant}", peer.name());
            steps.push(Step::new(label, move |lab, samples| {
                let used = used(lab, peer, cached);
                let key = Key::new("handshake", peer.name(), variant, "CPU of both sides");
                samples.add(key, "us", used * MICROS);
            }));
        }
    }
    steps
}

/// Seconds of processor time for one handshake.
fn used(lab: &Lab, peer: Peer, cached: usize) -> f64 {
    let (client, server) =
        ["client", "server"].map(|side| Pem::read(lab.certificates(), side)).into();
    let count = lab.either(150, 1_000);
    match peer.provider() {
        None => {
            let (client, server) = handshakers(&client, &server, cached);
            timed(count, || alts_handshake(&client, &server))
        }
        Some(provider) => {
            let client = Tls::new(&client, provider.clone());
            let server = Tls::new(&server, provider);
            timed(count, || tls_handshake(&client, &server))
        }
    }
}

fn timed(count: u32, handshake: impl Fn()) -> f64 {
    for _ in 0..count / 8 {
        handshake();
    }
    let before = cpu_time();
    for _ in 0..count {
        handshake();
    }
    (cpu_time() - before) / f64::from(count)
}

fn handshakers(client: &Pem, server: &Pem, cached: usize) -> (LocalHandshaker, LocalHandshaker) {
    let verifier = || Arc::new(ChainVerifier::with_cache(cached, Duration::from_mins(5)));
    let policy = Policy::from_rules([SERVER]).expect("a rule");
    let client = LocalHandshaker::builder(client.identity())
        .verifier(verifier())
        .server_policy(policy)
        .build();
    (client, LocalHandshaker::builder(server.identity()).verifier(verifier()).build())
}

fn tls_handshake(client: &Tls, server: &Tls) {
    let name = ServerName::try_from(NAME).expect("a name");
    let mut client =
        ClientConnection::new(Arc::clone(client.client()), name).expect("a connection");
    let mut server = ServerConnection::new(Arc::clone(server.server())).expect("a connection");
    let mut flight = Vec::new();
    while client.is_handshaking() || server.is_handshaking() {
        flight.clear();
        while client.wants_write() {
            client.write_tls(&mut flight).expect("room");
        }
        let mut rest = &flight[..];
        while !rest.is_empty() {
            server.read_tls(&mut rest).expect("bytes");
            server.process_new_packets().expect("the client is right");
        }
        flight.clear();
        while server.wants_write() {
            server.write_tls(&mut flight).expect("room");
        }
        let mut rest = &flight[..];
        while !rest.is_empty() {
            client.read_tls(&mut rest).expect("bytes");
            client.process_new_packets().expect("the server is right");
        }
    }
}
