//! What is left of ticket keys and of tickets' secrets in memory: the keys in use, and the secret of a ticket while it is being
//! looked at.

use std::env;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{MESSAGE, Named, Names, PARENT, look, receive, send, wait, with_child};
use crate::engine::tests::now;
use crate::engine::{Ephemerals, SystemEphemerals};
use crate::identity::{PeerIdentity, SpiffeId, seconds};
use crate::labels::Expander;
use crate::resumption::{DEFAULT_MAX_AGE, Psk, Scope, TicketKeys, TicketState};

/// Loads a file of keys, opens a ticket, loads the file again when it has changed, and drops what it has. Passes at once where there is
/// no parent, as when all tests are run.
#[test]
fn child() {
    let Some(parent) = env::var_os(PARENT) else { return };
    let mut socket = UnixStream::connect(parent).unwrap();
    let path = PathBuf::from(String::from_utf8(receive(&mut socket, MESSAGE)).unwrap());
    let ticket = receive(&mut socket, MESSAGE);
    let server: SpiffeId = "spiffe://test.example/server".parse().unwrap();
    let scope = Scope { server: &server, realm: b"" };
    let keys = TicketKeys::load(&path, DEFAULT_MAX_AGE, now()).unwrap();
    wait(&mut socket);
    let opened = keys.open(&scope, &ticket, now()).unwrap();
    wait(&mut socket);
    drop(opened);
    wait(&mut socket);
    send(&mut socket, MESSAGE, &[]);
    receive(&mut socket, MESSAGE);
    assert_eq!(keys.reload_if_changed(now()), Ok(true));
    wait(&mut socket);
    drop(keys);
    wait(&mut socket);
}

/// Writes a file of one key, and gives its secret as text.
fn write(path: &Path) -> String {
    let hex = |bytes: &[u8]| {
        let digit = |half: u8| char::from_digit(half.into(), 16).unwrap();
        bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect::<String>()
    };
    let secret = hex(&SystemEphemerals.random().unwrap());
    let name = hex(&SystemEphemerals.random().unwrap()[..8]);
    fs::write(path, format!("{name} {secret} {}\n", seconds(now()))).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    secret
}

/// What tickets of this server, without a realm, are sealed under.
fn scope_secret(key: &[u8], server: &SpiffeId) -> Vec<u8> {
    let server = server.as_str().as_bytes();
    let scope = [&(server.len() as u16).to_be_bytes(), server, &[0]].concat();
    let hash = ring::digest::digest(&ring::digest::SHA256, &scope);
    let mut secret = vec![0; 32];
    Expander::of(key.try_into().unwrap()).expand("ticket scope", hash.as_ref(), &mut secret);
    secret
}

fn bytes(hex: &str) -> Vec<u8> {
    super::super::document::unhex(hex)
}

#[test]
fn keys_and_secrets_of_tickets_are_there_while_they_are_used() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("keys");
    let first = write(&path);
    let psk = SystemEphemerals.random().unwrap();
    let id: SpiffeId = "spiffe://test.example/server".parse().unwrap();
    let end = now() + DEFAULT_MAX_AGE;
    let state = TicketState {
        psk: Psk::written(|bytes| *bytes = psk),
        auth_time: seconds(now()),
        not_after: seconds(end),
        trust: [0; 32],
        log_id: [0; 16],
        peer: Arc::new(PeerIdentity::from_certificates(id.clone(), end)),
    };
    let keys = TicketKeys::load(&path, DEFAULT_MAX_AGE, now()).unwrap();
    let scope = Scope { server: &id, realm: b"" };
    let ticket = keys.seal(&scope, &state, now()).unwrap().ticket;
    let mut secrets: Vec<Named> = vec![
        ("first key", bytes(&first)),
        ("first key's text", first.into_bytes()),
        ("psk", psk.to_vec()),
    ];
    secrets.push(("scope secret", scope_secret(&secrets[0].1, &id)));
    let child = "engine::tests::wiped::ticket_keys::child";
    let found = with_child(child, |socket, memory| {
        send(socket, MESSAGE, path.to_str().unwrap().as_bytes());
        send(socket, MESSAGE, &ticket);
        let loaded = look(socket, memory, &secrets);
        let opened = look(socket, memory, &secrets);
        let dropped = look(socket, memory, &secrets);
        receive(socket, MESSAGE);
        let second = write(&path);
        secrets.push(("second key", bytes(&second)));
        secrets.push(("second key's text", second.into_bytes()));
        send(socket, MESSAGE, &[]);
        let reloaded = look(socket, memory, &secrets);
        [loaded, opened, dropped, reloaded, look(socket, memory, &secrets)]
    });
    let Some(found) = found else {
        println!("SKIPPED: this system does not let a process read its child's memory");
        return;
    };
    let names = |names: &[&'static str]| names.iter().copied().collect::<Names>();
    assert_eq!(
        found,
        [
            names(&["first key"]),
            names(&["first key", "scope secret", "psk"]),
            names(&["first key", "scope secret"]),
            names(&["second key"]),
            names(&[]),
        ]
    );
}
