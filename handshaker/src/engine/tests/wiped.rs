//! What is left of a handshake's secrets in the memory of the process that did it.
//!
//! That process is a child, which this one plays the peer of: so this one knows all the secrets, while in the child there is
//! nothing but what the engine leaves behind. Wherever the child waits, this process reads all memory that the child can write to,
//! what was freed included, and looks for every secret, whole or in part. That it would find them is shown by those that are
//! in use and must be there.
//!
//! Stacks are looked at too, and what is found there is printed, but allowed: *ring* expands keys there and wipes nothing. It stays
//! until later calls write over it.

mod key_files;
mod memory;
mod resumed;
mod ticket_keys;

use std::env;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

#[expect(
    deprecated,
    reason = "ring has no other way to choose a key, and tests may use this one"
)]
use ring::test::rand::FixedSliceRandom;
use zeroize::Zeroizing;

use super::{config, step};
use crate::engine::frame::Header;
use crate::engine::key_share::{KeyShare, RingShare};
use crate::engine::protocol::{Stage, Transcript};
use crate::engine::schedule::{DirectionSecret, Secret, Secrets, SharedSecret};
use crate::engine::{Config, Ephemerals, Handshake, Suite, SystemEphemerals};
use crate::error::Error;
use crate::role::Role;
use crate::session::{HandshakeOptions, HandshakeResult};
use memory::{Memory, Named, Names};

/// Where the child finds its parent.
const PARENT: &str = "ALTS_TEST_PARENT";
/// The child's private key, as the parent writes it, is changed by this.
const MASK: u8 = 0x5a;

/// What travels between the two processes, before each message of the handshake and where the child waits.
const MESSAGE: u8 = 1;
const WAITS: u8 = 2;

fn send(socket: &mut UnixStream, kind: u8, bytes: &[u8]) {
    let header = [kind].into_iter().chain((bytes.len() as u32).to_be_bytes());
    socket.write_all(&header.collect::<Vec<_>>()).unwrap();
    socket.write_all(bytes).unwrap();
}

fn receive(socket: &mut UnixStream, kind: u8) -> Vec<u8> {
    let mut header = [0; 5];
    socket.read_exact(&mut header).unwrap();
    let [found, length @ ..] = header;
    assert_eq!(found, kind);
    let mut bytes = vec![0; u32::from_be_bytes(length) as usize];
    socket.read_exact(&mut bytes).unwrap();
    bytes
}

// The child.

/// Makes the share that the parent chose. Nothing here keeps the key: a copy would be found.
#[derive(Debug)]
struct Chosen {
    masked: [u8; 32],
}

impl Ephemerals for Chosen {
    fn random(&self) -> Result<[u8; 32], Error> {
        SystemEphemerals.random()
    }

    #[expect(deprecated, reason = "as the import")]
    fn key_share(&self, suite: Suite) -> Result<Box<dyn KeyShare>, Error> {
        let mut private = Zeroizing::new(self.masked);
        private.iter_mut().for_each(|byte| *byte ^= MASK);
        let random = FixedSliceRandom { bytes: &*private };
        Ok(Box::new(RingShare::generate(suite, &random)?))
    }
}

/// Lets the parent look, and tells it where the stack is.
fn wait(socket: &mut UnixStream) {
    let local = 0_u8;
    let address = std::ptr::from_ref(&local).addr() as u64;
    send(socket, WAITS, &address.to_be_bytes());
    receive(socket, WAITS);
}

/// The parent's socket, the child's role, and its share as the parent chose it. `None` where there is no parent, as when all tests are run.
fn meet_parent() -> Option<(UnixStream, Role, [u8; 32])> {
    let mut socket = UnixStream::connect(env::var_os(PARENT)?).unwrap();
    let role = match receive(&mut socket, MESSAGE)[..] {
        [0] => Role::Client,
        _ => Role::Server,
    };
    let masked = receive(&mut socket, MESSAGE).try_into().unwrap();
    Some((socket, role, masked))
}

/// Takes part in one handshake with the parent. Passes at once where there is no parent, as when all tests are run.
#[test]
fn child() {
    let Some((mut socket, role, masked)) = meet_parent() else { return };
    let name = if role == Role::Client { "client" } else { "server" };
    let config = Config {
        suites: [Suite::X25519].into(),
        ephemerals: Arc::new(Chosen { masked }),
        ..config(name, HandshakeOptions::default())
    };
    let result = take_part(&mut socket, Handshake::new(role, config).unwrap());
    wait(&mut socket);
    drop(result);
    wait(&mut socket);
}

fn take_part(socket: &mut UnixStream, mut handshake: Handshake) -> HandshakeResult {
    let mut received = Vec::new();
    if handshake.role() == Role::Server {
        received = receive(socket, MESSAGE);
    }
    loop {
        let (out, end) = step(&mut handshake, &received);
        send(socket, MESSAGE, &out);
        if let Some(result) = end.unwrap() {
            return result;
        }
        wait(socket);
        received = receive(socket, MESSAGE);
    }
}

// The parent.

/// Keeps what the child must not.
#[derive(Clone, Debug, Default)]
struct Tapped(Arc<Mutex<Option<[u8; 32]>>>);

impl Ephemerals for Tapped {
    fn random(&self) -> Result<[u8; 32], Error> {
        SystemEphemerals.random()
    }

    fn key_share(&self, suite: Suite) -> Result<Box<dyn KeyShare>, Error> {
        Ok(Box::new(TappedShare(SystemEphemerals.key_share(suite)?, self.clone())))
    }
}

struct TappedShare(Box<dyn KeyShare>, Tapped);

impl KeyShare for TappedShare {
    fn suite(&self) -> Suite {
        self.0.suite()
    }

    fn public(&self) -> &[u8] {
        self.0.public()
    }

    fn agree(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, Error> {
        let Self(share, tap) = *self;
        let shared = share.agree(peer)?;
        *tap.0.lock().unwrap() = Some(*shared.0);
        Ok(shared)
    }
}

/// Everything secret that there is once shares are exchanged, but for what the last message decides.
fn secrets(shared: [u8; 32], client_init: &[u8], server_init: &[u8]) -> Vec<Named> {
    let th1 = Transcript::new().client_init(client_init).server_init(server_init).hash();
    let Secrets { server, client, master } = Secrets::new(&SharedSecret::copy_of(&shared), &th1);
    let early = Secret::extract(&[0; 32], &[0; 32]);
    let handshake = Secret::extract(&early.expander().next_salt().0, &shared);
    let mut all = vec![
        ("ss", shared.to_vec()),
        ("hs", handshake.0.to_vec()),
        ("derived_hs", handshake.expander().next_salt().0.to_vec()),
        ("master", master.0.0.to_vec()),
    ];
    all.extend(of_directions(&server, &client));
    all
}

/// What each side protects its messages with, and all that is derived from it.
fn of_directions(server: &DirectionSecret, client: &DirectionSecret) -> Vec<Named> {
    let [of_server, of_client] = [server, client].map(DirectionSecret::expander);
    vec![
        ("s_hs", server.0.0.to_vec()),
        ("c_hs", client.0.0.to_vec()),
        ("message_key of s_hs", of_server.message_key().key().to_vec()),
        ("message_key of c_hs", of_client.message_key().key().to_vec()),
        // A freed key's own bytes are written over by allocators. The nonce behind it shows whether it was wiped.
        ("message_nonce of s_hs", of_server.message_key().iv().to_vec()),
        ("message_nonce of c_hs", of_client.message_key().iv().to_vec()),
        ("alert_nonce of s_hs", of_server.alert_key().iv().to_vec()),
        ("alert_nonce of c_hs", of_client.alert_key().iv().to_vec()),
        ("alert_key of s_hs", of_server.alert_key().key().to_vec()),
        ("alert_key of c_hs", of_client.alert_key().key().to_vec()),
        ("finished_key of s_hs", of_server.finished_key().0.to_vec()),
        ("finished_key of c_hs", of_client.finished_key().0.to_vec()),
    ]
}

/// What was found at each of the child's stops: while it waits for the last message, with the result, without it.
struct Found {
    halfway: Names,
    finished: Names,
    dropped: Names,
}

/// Starts the test `child` as a process, and plays its parent. `None` where memory cannot be looked at.
fn with_child<T>(child: &str, play: impl FnOnce(&mut UnixStream, &Memory) -> T) -> Option<T> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("parent");
    let listener = UnixListener::bind(&path).unwrap();
    let mut child = Command::new(env::current_exe().unwrap())
        .args([child, "--exact"])
        .env(PARENT, &path)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut socket = listener.accept().unwrap().0;
    let found = Memory::of(&child).map(|memory| play(&mut socket, &memory));
    if found.is_none() {
        child.kill().unwrap();
    }
    let status = child.wait().unwrap();
    assert!(found.is_none() || status.success());
    found
}

/// Looks into the child where it waits, and lets it go on.
fn look(socket: &mut UnixStream, memory: &Memory, secrets: &[Named]) -> Names {
    let stack = u64::from_be_bytes(receive(socket, WAITS).try_into().unwrap());
    let found = memory.find(secrets, stack);
    send(socket, WAITS, &[]);
    found
}

/// The child's peer. The child gets its private key, and looks are taken wherever it waits.
fn play(role: Role, socket: &mut UnixStream, memory: &Memory) -> Found {
    let private = SystemEphemerals.random().unwrap();
    send(socket, MESSAGE, &[u8::from(role == Role::Server)]);
    send(socket, MESSAGE, &private.map(|byte| byte ^ MASK));
    let look = |socket: &mut UnixStream, secrets: &[Named]| look(socket, memory, secrets);

    let tap = Tapped::default();
    let name = if role == Role::Client { "server" } else { "client" };
    let config = Config {
        suites: [Suite::X25519].into(),
        ephemerals: Arc::new(tap.clone()),
        ..config(name, HandshakeOptions::default())
    };
    let mut peer = Handshake::new(role.peer(), config).unwrap();
    let known = |client_init: &[u8], server_init: &[u8]| {
        let mut known = secrets(tap.0.lock().unwrap().unwrap(), client_init, server_init);
        known.push(("private key", private.to_vec()));
        known
    };

    let (mut all, halfway, result);
    if role == Role::Client {
        let client_init = receive(socket, MESSAGE);
        assert_eq!(look(socket, &[("private key", private.to_vec())]), ["private key"].into());
        let flight = step(&mut peer, &client_init).0;
        // One message, then the other: between them the client has keys.
        let header = Header::load(*flight.first_chunk().unwrap()).unwrap();
        let (server_init, server_finished) = flight.split_at(header.frame_len);
        all = known(&client_init, server_init);
        send(socket, MESSAGE, server_init);
        assert!(receive(socket, MESSAGE).is_empty());
        halfway = look(socket, &all);
        send(socket, MESSAGE, server_finished);
        let client_finished = receive(socket, MESSAGE);
        result = step(&mut peer, &client_finished).1.unwrap().unwrap();
    } else {
        let client_init = step(&mut peer, &[]).0;
        send(socket, MESSAGE, &client_init);
        let flight = receive(socket, MESSAGE);
        let header = Header::load(*flight.first_chunk().unwrap()).unwrap();
        let (client_finished, end) = step(&mut peer, &flight);
        result = end.unwrap().unwrap();
        all = known(&client_init, &flight[..header.frame_len]);
        halfway = look(socket, &all);
        send(socket, MESSAGE, &client_finished);
        assert!(receive(socket, MESSAGE).is_empty());
    }
    all.push(("key_data", result.key_data.as_bytes().to_vec()));
    let finished = look(socket, &all);
    let dropped = look(socket, &all);
    Found { halfway, finished, dropped }
}

#[test]
fn nothing_outlives_its_use() {
    // For both messages and both alerts: their keys are derived when they are used.
    let halfway: Names = ["c_hs", "master", "s_hs"].into();
    for (role, finished) in [
        (Role::Client, &["alert_key of s_hs", "alert_nonce of s_hs", "key_data"][..]),
        (Role::Server, &["key_data"]),
    ] {
        let child = "engine::tests::wiped::child";
        let Some(found) = with_child(child, |socket, memory| play(role, socket, memory)) else {
            println!("SKIPPED: this system does not let a process read its child's memory");
            return;
        };
        let finished: Names = finished.iter().copied().collect();
        assert_eq!(found.halfway, halfway, "{role:?}, halfway");
        assert_eq!(found.finished, finished, "{role:?}, with its result");
        assert_eq!(found.dropped, Names::new(), "{role:?}, without it");
    }
}
