//! A whole handshake in memory, both sides on one core: what has to be computed, and nothing else.
//!
//! The peers take turns of a few milliseconds, so that the clock rate of the machine, which moves by a tenth within seconds, is the
//! same for all.

use std::sync::Arc;
use std::time::Duration;

use alts::handshaker::LocalHandshaker;
use alts::handshaker::identity::{ChainVerifier, Policy};
use alts_benches::alts_handshake;
use alts_benches::cores::cpu_time;
use alts_benches::identity::{Pem, SERVER};
use alts_benches::tls::{NAME, Tls};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, ServerConnection};

use crate::lab::{Lab, Step};
use crate::roles::transport::Peer;
use crate::samples::{Key, Samples};

const MICROS: f64 = 1e6;

/// Handshakes in one turn.
const TOGETHER: u32 = 25;

pub(super) fn steps(lab: &Lab) -> Vec<Step> {
    if contenders(lab).is_empty() {
        return Vec::new();
    }
    let step = |_| Step::new("handshakes in memory".to_owned(), measure);
    (0..lab.rounds).map(step).collect()
}

struct Contender {
    key: Key,
    handshake: Box<dyn Fn()>,
}

fn contenders(lab: &Lab) -> Vec<Contender> {
    let (client, server) =
        ["client", "server"].map(|side| Pem::read(lab.certificates(), side)).into();
    let mut contenders = Vec::new();
    let mut add = |peer: Peer, variant, handshake| {
        let key = Key::new("handshake", peer.name(), variant, "CPU of both sides");
        contenders.push(Contender { key, handshake });
    };
    for peer in lab.turns(1) {
        if peer == Peer::Alts {
            // It remembers for a while which chains it has verified; rustls has nothing like it.
            for (variant, cached) in [("chains cached", 1024), ("chains verified", 0)] {
                let (client, server) = handshakers(&client, &server, cached);
                add(peer, variant, Box::new(move || alts_handshake(&client, &server)));
            }
        } else if let Some(provider) = peer.provider() {
            let client = Tls::new(&client, provider.clone());
            let server = Tls::new(&server, provider);
            add(peer, "chains verified", Box::new(move || tls_handshake(&client, &server)));
        }
    }
    contenders
}

/// The processor time of one handshake: the median of all turns.
fn measure(lab: &Lab, samples: &mut Samples) {
    let contenders = contenders(lab);
    let mut used = vec![Vec::new(); contenders.len()];
    for _ in 0..lab.either(9, 61) {
        for (Contender { handshake, .. }, used) in contenders.iter().zip(&mut used) {
            // After another peer's turn the caches are cold.
            handshake();
            let before = cpu_time();
            (0..TOGETHER).for_each(|_| handshake());
            used.push((cpu_time() - before) / f64::from(TOGETHER));
        }
    }
    for (Contender { key, .. }, mut used) in contenders.into_iter().zip(used) {
        used.sort_by(f64::total_cmp);
        samples.add(key, "us", used[used.len() / 2] * MICROS);
    }
}

fn handshakers(client: &Pem, server: &Pem, cached: usize) -> (LocalHandshaker, LocalHandshaker) {
    let verifier = || Arc::new(ChainVerifier::with_cache(cached, Duration::from_secs(5 * 60)));
    let policy = Policy::from_rules([SERVER]).expect("a rule");
    let client = LocalHandshaker::builder(client.identity())
        .verifier(verifier())
        .server_policy(policy)
        .build();
    (client, LocalHandshaker::builder(server.identity()).verifier(verifier()).build())
}

fn tls_handshake(client: &Tls, server: &Tls) {
    let name = ServerName::try_from(NAME).expect("a name");
    let mut client = ClientConnection::new(Arc::clone(&client.client), name).expect("a connection");
    let mut server = ServerConnection::new(Arc::clone(&server.server)).expect("a connection");
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
