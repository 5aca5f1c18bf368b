//! Handshakes whose every byte is known: what *ring* and the operating system make fresh is replaced.

use std::sync::Arc;

use x25519_dalek::{X25519_BASEPOINT_BYTES, x25519};

use super::document::unhex;
use super::{config, now, step};
use crate::alert::AlertCode;
use crate::engine::key_share::KeyShare;
use crate::engine::schedule::SharedSecret;
use crate::engine::{Config, Ephemerals, Handshake, Suite, SystemEphemerals};
use crate::error::Error;
use crate::role::Role;
use crate::session::{HandshakeOptions, RecordProtocol, RpcVersion, RpcVersions};

/// Always the same key and the same random.
#[derive(Debug)]
struct Fixed {
    private: u8,
    random: u8,
}

struct DalekShare {
    private: [u8; 32],
    public: [u8; 32],
}

fn counting(from: u8) -> [u8; 32] {
    std::array::from_fn(|at| from + at as u8)
}

impl DalekShare {
    fn new(private: [u8; 32]) -> Self {
        Self { private, public: x25519(private, X25519_BASEPOINT_BYTES) }
    }
}

impl Ephemerals for Fixed {
    fn random(&self) -> Result<[u8; 32], Error> {
        Ok(counting(self.random))
    }

    fn key_share(&self, suite: Suite) -> Result<Box<dyn KeyShare>, Error> {
        assert_eq!(suite, Suite::X25519);
        Ok(Box::new(DalekShare::new(counting(self.private))))
    }
}

impl KeyShare for DalekShare {
    fn suite(&self) -> Suite {
        Suite::X25519
    }

    fn public(&self) -> &[u8] {
        &self.public
    }

    fn agree(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        Ok(SharedSecret::copy_of(&x25519(self.private, peer.try_into().unwrap())))
    }
}

/// Computed by `tests/data/vectors.py`, which shares no code with this.
fn vector(name: &str) -> Vec<u8> {
    let lines = include_str!("../../../tests/data/vectors.txt").lines();
    let value = lines.filter_map(|line| line.split_once(" = ")).find(|line| line.0 == name);
    unhex(value.unwrap_or_else(|| panic!("no vector {name}")).1)
}

fn side(role: Role, name: &str, options: HandshakeOptions) -> Handshake {
    let ephemerals = match role {
        Role::Client => Fixed { private: 0, random: 64 },
        Role::Server => Fixed { private: 32, random: 96 },
    };
    let config = Config {
        suites: [Suite::X25519].into(),
        ephemerals: Arc::new(ephemerals),
        ..config(name, options)
    };
    Handshake::new(role, config).unwrap()
}

/// Both sides against the vectors, and against each other.
fn replay(title: &str, mut client: Handshake, mut server: Handshake) {
    let vector = |name: &str| vector(&format!("{title}.{name}"));
    let (offer, _) = step(&mut client, &[]);
    assert_eq!(offer, vector("offer"));
    let (answer, _) = step(&mut server, &offer);
    assert_eq!(answer, vector("answer"));
    let (finish, client) = step(&mut client, &answer);
    assert_eq!(finish, vector("finish"));
    let (_, server) = step(&mut server, &finish);
    let (client, server) = (client.unwrap().unwrap(), server.unwrap().unwrap());
    for result in [&client, &server] {
        assert_eq!(result.key_data.as_bytes(), vector("key_data"));
        assert_eq!(result.log_id, *vector("log_id"));
    }
    assert!(server.late_alert.is_none());
    let late = client.late_alert.unwrap().open(&vector("late_alert"));
    assert_eq!(late, Ok((AlertCode::AccessDenied, String::new())));
}

#[test]
fn usual_handshake() {
    let options = HandshakeOptions::default();
    let client = side(Role::Client, "client", options.clone());
    replay("usual", client, side(Role::Server, "server", options));
}

#[test]
fn handshake_with_everything_different() {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
    let range = |max: (u32, u32), min: (u32, u32)| RpcVersions {
        max: RpcVersion { major: max.0, minor: max.1 },
        min: RpcVersion { major: min.0, minor: min.1 },
    };
    let client = HandshakeOptions {
        application_protocols: names(&["h2", "grpc"]),
        record_protocols: vec![RecordProtocol::Aes128Gcm, RecordProtocol::Aes128GcmRekey],
        rpc_versions: range((3, 7), (2, 0)),
        max_frame_size: 0,
        close_notify: true,
        ..HandshakeOptions::default()
    };
    let server = HandshakeOptions {
        application_protocols: names(&["grpc", "h3"]),
        record_protocols: vec![RecordProtocol::Aes128GcmRekey, RecordProtocol::Aes128Gcm],
        rpc_versions: range((2, 9), (2, 1)),
        max_frame_size: 65_536,
        close_notify: true,
        ..HandshakeOptions::default()
    };
    let client = side(Role::Client, "deep", client);
    replay("other", client, side(Role::Server, "server", server));
}

#[test]
fn ring_and_dalek_agree() {
    for seed in 0..32 {
        let dalek = DalekShare::new(counting(seed));
        let ring = SystemEphemerals.key_share(Suite::X25519).unwrap();
        assert_eq!(ring.public().len(), 32);
        let expected = x25519(dalek.private, ring.public().try_into().unwrap());
        assert_eq!(*ring.agree(&dalek.public).unwrap().0, expected);
    }
}

#[test]
fn p256_shares_are_uncompressed_points() {
    let one = SystemEphemerals.key_share(Suite::P256).unwrap();
    let other = SystemEphemerals.key_share(Suite::P256).unwrap();
    let publics = [one.public().to_vec(), other.public().to_vec()];
    for public in &publics {
        assert_eq!((public.len(), public[0]), (65, 4));
    }
    assert_eq!(one.agree(&publics[1]).unwrap().0, other.agree(&publics[0]).unwrap().0);
}

/// Points of order 1, 2, 4 and 8 on the curve and its twist, also not reduced: RFC 7748 section 6.1, and the list that
/// Wycheproof tests with.
const LOW_ORDER: [&str; 7] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
];

#[test]
fn shares_that_are_refused() {
    let refused = |suite, peer: &[u8]| {
        let share = SystemEphemerals.key_share(suite).unwrap();
        let error = share.agree(peer).map(|_| ()).unwrap_err();
        assert_eq!(error.alert(), Some(AlertCode::DecryptError), "{peer:02x?}");
    };
    for point in LOW_ORDER.map(unhex) {
        refused(Suite::X25519, &point);
    }
    for length in [0, 1, 31, 33, 65] {
        refused(Suite::X25519, &vec![9; length]);
    }

    let good = SystemEphemerals.key_share(Suite::P256).unwrap().public().to_vec();
    let mut off_curve = good.clone();
    off_curve[64] ^= 1;
    let mut compressed = good[..33].to_vec();
    compressed[0] = 2;
    let mut hybrid = good.clone();
    hybrid[0] = 6;
    for bad in [&off_curve[..], &compressed, &hybrid, &good[..64], &[0], &[4; 65], &[0; 65], &[]] {
        refused(Suite::P256, bad);
    }
}

#[test]
fn nothing_is_used_twice() {
    let random = || SystemEphemerals.random().unwrap();
    assert_ne!(random(), random());
    for suite in [Suite::X25519, Suite::P256] {
        let public = || SystemEphemerals.key_share(suite).unwrap().public().to_vec();
        assert_ne!(public(), public());
    }
    let mut offers = Vec::new();
    for _ in 0..2 {
        let mut out = Vec::new();
        let mut client = super::honest(Role::Client, HandshakeOptions::default());
        client.step(&[], now(), &mut out).unwrap();
        offers.push(out);
    }
    assert_ne!(offers[0], offers[1]);
}
