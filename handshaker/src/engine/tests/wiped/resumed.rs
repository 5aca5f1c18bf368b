//! What is left of a resumed handshake's secrets, and of the full one's before it. A client keeps the secrets of the tickets that it has;
//! a server keeps nothing.

use std::os::unix::net::UnixStream;
use std::sync::Arc;

use super::super::{config, now, step};
use super::{
    Chosen, MASK, MESSAGE, Memory, Named, Names, Tapped, WAITS, look, meet_parent, of_directions,
    receive, secrets, send, take_part, wait, with_child,
};
use crate::engine::client_init::ClientInit;
use crate::engine::config::{ClientTickets, ServerTickets};
use crate::engine::frame::Header;
use crate::engine::protocol::{HEADER_LEN, Stage, Transcript};
use crate::engine::schedule::{EarlySecret, Secret, Secrets, SharedSecret};
use crate::engine::{Config, Ephemerals, Handshake, Suite, SystemEphemerals};
use crate::resumption::{CacheKey, DEFAULT_MAX_AGE, Scope, Side, TicketCache, TicketKeys};
use crate::role::Role;
use crate::session::{HandshakeOptions, HandshakeResult};

const TARGET: &str = "server.test:443";

/// What a side resumes with, whichever it is.
#[derive(Clone)]
struct Means {
    keys: Arc<TicketKeys>,
    cache: Arc<TicketCache>,
}

impl Means {
    fn new() -> Self {
        let keys = TicketKeys::generate_at(DEFAULT_MAX_AGE, now()).unwrap();
        Self { keys, cache: TicketCache::new() }
    }

    fn handshake(&self, role: Role, ephemerals: Arc<dyn Ephemerals>) -> Handshake {
        let mut options = HandshakeOptions::default();
        let name = match role {
            Role::Client => {
                options.target_name = Some(TARGET.to_owned());
                "client"
            }
            Role::Server => "server",
        };
        let (keys, cache) = (Arc::clone(&self.keys), Arc::clone(&self.cache));
        let server = ServerTickets { keys, realm: Arc::default(), require_fresh: None };
        let client = ClientTickets { cache, partition: 0 };
        let config = Config {
            suites: [Suite::X25519].into(),
            ephemerals,
            server_tickets: (role == Role::Server).then_some(server),
            client_tickets: (role == Role::Client).then_some(client),
            ..config(name, options)
        };
        Handshake::new(role, config).unwrap()
    }
}

// The child.

fn take_ticket(result: HandshakeResult, ticket: &[u8]) {
    result.late_alert.unwrap().take_ticket(ticket).unwrap();
}

/// A full handshake, then a resumed one. Passes at once where there is no parent, as when all tests are run.
#[test]
fn child() {
    let Some((mut socket, role, masked)) = meet_parent() else { return };
    let means = Means::new();
    let full = take_part(&mut socket, means.handshake(role, Arc::new(SystemEphemerals)));
    match role {
        Role::Client => take_ticket(full, &receive(&mut socket, MESSAGE)),
        Role::Server => drop(full),
    }
    let resumed = take_part(&mut socket, means.handshake(role, Arc::new(Chosen { masked })));
    assert!(resumed.resumed.is_some());
    wait(&mut socket);
    drop(resumed);
    wait(&mut socket);
    drop(means);
    wait(&mut socket);
}

// The parent.

/// Everything secret of a resumed handshake once shares are exchanged, but for what the last message decides.
fn resumed_secrets(
    psk: [u8; 32],
    shared: [u8; 32],
    client_init: &[u8],
    server_init: &[u8],
) -> Vec<Named> {
    let th1 = Transcript::new().client_init(client_init).server_init(server_init).hash();
    let early = EarlySecret::of(&psk);
    let shared_secret = SharedSecret::copy_of(&shared);
    let binder_key = ("binder_key", early.binder_key.0.to_vec());
    let secrets = Secrets::resumed(&early.into_salt(), &shared_secret, &th1);
    let Secrets { server, client, master } = secrets;
    let salt = Secret::extract(&[0; 32], &psk).expander().next_salt();
    let handshake = Secret::extract(&salt.0, &shared);
    let mut all = vec![
        ("psk", psk.to_vec()),
        ("early", Secret::extract(&[0; 32], &psk).0.to_vec()),
        ("derived_early", salt.0.to_vec()),
        binder_key,
        ("ss", shared.to_vec()),
        ("hs", handshake.0.to_vec()),
        ("derived_hs", handshake.expander().next_salt().0.to_vec()),
        ("master", master.0.0.to_vec()),
        ("next psk", master.expander().next_ticket(&th1).as_bytes().to_vec()),
    ];
    all.extend(of_directions(&server, &client));
    all
}

/// Where the flight's first frame ends.
fn first_frame(flight: &[u8]) -> usize {
    Header::load(*flight.first_chunk().unwrap()).unwrap().frame_len
}

/// Lets the child go on, unseen.
fn pass(socket: &mut UnixStream) {
    receive(socket, WAITS);
    send(socket, WAITS, &[]);
}

/// Secrets of the full handshake, by names of their own: of these only what the child uses may be there.
fn of_the_full(tap: &Tapped, client_init: &[u8], server_init: &[u8]) -> Vec<Named> {
    let all = secrets(tap.0.lock().unwrap().unwrap(), client_init, server_init);
    let renamed = |(name, secret): Named| match name {
        "master" => Some(("full master", secret)),
        "s_hs" => Some(("full s_hs", secret)),
        "c_hs" => Some(("full c_hs", secret)),
        "alert_nonce of s_hs" => Some(("full alert_nonce of s_hs", secret)),
        _ => None,
    };
    all.into_iter().filter_map(renamed).collect()
}

/// What was found: before there are keys (of a client), before the last message, with the result, without it, and in the end.
type Found = [Names; 5];

fn play_server(socket: &mut UnixStream, memory: &Memory) -> Found {
    let private = SystemEphemerals.random().unwrap();
    send(socket, MESSAGE, &[0]);
    send(socket, MESSAGE, &private.map(|byte| byte ^ MASK));
    let (means, tap) = (Means::new(), Tapped::default());

    let mut peer = means.handshake(Role::Server, Arc::new(tap.clone()));
    let client_init = receive(socket, MESSAGE);
    pass(socket);
    let flight = step(&mut peer, &client_init).0;
    let mut all = of_the_full(&tap, &client_init, &flight[..first_frame(&flight)]);
    send(socket, MESSAGE, &flight);
    let ticket = step(&mut peer, &receive(socket, MESSAGE)).0;
    send(socket, MESSAGE, &ticket);

    let mut peer = means.handshake(Role::Server, Arc::new(tap.clone()));
    let client_init = receive(socket, MESSAGE);
    let psk = {
        let init = ClientInit::load(&client_init[HEADER_LEN..]).unwrap();
        let offered = init.extensions.resumption().unwrap().ticket.unwrap();
        let server = "spiffe://test.example/server".parse().unwrap();
        let scope = Scope { server: &server, realm: b"" };
        *means.keys.open(&scope, offered.ticket, now()).unwrap().psk().as_bytes()
    };
    all.push(("private key", private.to_vec()));
    let mut early = all.clone();
    early.push(("psk", psk.to_vec()));
    early.push(("early", Secret::extract(&[0; 32], &psk).0.to_vec()));
    let salt = Secret::extract(&[0; 32], &psk).expander().next_salt();
    early.push(("derived_early", salt.0.to_vec()));
    early.push(("binder_key", EarlySecret::of(&psk).binder_key.0.to_vec()));
    let offered = look(socket, memory, &early);

    let flight = step(&mut peer, &client_init).0;
    let (server_init, server_finished) = flight.split_at(first_frame(&flight));
    let shared = tap.0.lock().unwrap().unwrap();
    all.extend(resumed_secrets(psk, shared, &client_init, server_init));
    send(socket, MESSAGE, server_init);
    assert!(receive(socket, MESSAGE).is_empty());
    let halfway = look(socket, memory, &all);
    send(socket, MESSAGE, server_finished);
    let result = step(&mut peer, &receive(socket, MESSAGE)).1.unwrap().unwrap();
    all.push(("key_data", result.key_data.as_bytes().to_vec()));
    let mut look = || look(socket, memory, &all);
    [offered, halfway, look(), look(), look()]
}

fn play_client(socket: &mut UnixStream, memory: &Memory) -> Found {
    let private = SystemEphemerals.random().unwrap();
    send(socket, MESSAGE, &[1]);
    send(socket, MESSAGE, &private.map(|byte| byte ^ MASK));
    let (means, tap) = (Means::new(), Tapped::default());

    let mut peer = means.handshake(Role::Client, Arc::new(tap.clone()));
    let client_init = step(&mut peer, &[]).0;
    send(socket, MESSAGE, &client_init);
    let flight = receive(socket, MESSAGE);
    let (client_finished, end) = step(&mut peer, &flight);
    let mut all = of_the_full(&tap, &client_init, &flight[..first_frame(&flight)]);
    pass(socket);
    send(socket, MESSAGE, &client_finished);
    take_ticket(end.unwrap().unwrap(), &receive(socket, MESSAGE));

    let own = config("client", HandshakeOptions::default()).identity;
    let key = CacheKey { own: own.id().clone(), target: TARGET.into(), partition: 0 };
    let side = Side { identity: &own, permits: &|_| true, require_fresh: None, now: now() };
    let offer = means.cache.take(&key, &side).unwrap();
    let psk = *offer.psk().as_bytes();
    assert!(means.cache.put_back(offer, now()));

    let mut peer = means.handshake(Role::Client, Arc::new(tap.clone()));
    let client_init = step(&mut peer, &[]).0;
    send(socket, MESSAGE, &client_init);
    let flight = receive(socket, MESSAGE);
    let (client_finished, end) = step(&mut peer, &flight);
    let result = end.unwrap().unwrap();
    assert!(result.resumed.is_some());
    all.push(("private key", private.to_vec()));
    let shared = tap.0.lock().unwrap().unwrap();
    let server_init = &flight[..first_frame(&flight)];
    all.extend(resumed_secrets(psk, shared, &client_init, server_init));
    let halfway = look(socket, memory, &all);
    send(socket, MESSAGE, &client_finished);
    assert!(receive(socket, MESSAGE).is_empty());
    all.push(("key_data", result.key_data.as_bytes().to_vec()));
    let mut look = || look(socket, memory, &all);
    [Names::new(), halfway, look(), look(), look()]
}

#[test]
fn a_resumed_handshake_leaves_the_next_ticket_s_secret_at_the_client_alone() {
    let child = "engine::tests::wiped::resumed::child";
    let names = |names: &[&[&'static str]]| names.concat().into_iter().collect::<Names>();
    let client = with_child(child, play_server);
    let server = with_child(child, play_client);
    let (Some(client), Some(server)) = (client, server) else {
        println!("SKIPPED: this system does not let a process read its child's memory");
        return;
    };
    let next: &[&str] = &["next psk"];
    let expected = [
        names(&[&["derived_early", "private key", "psk"]]),
        names(&[&["c_hs", "master", "psk", "s_hs"]]),
        names(&[&["alert_key of s_hs", "alert_nonce of s_hs", "key_data"], next]),
        names(&[next]),
        Names::new(),
    ];
    assert_eq!(client, expected, "a client");
    let expected = [
        Names::new(),
        names(&[&["c_hs", "master", "psk", "s_hs"]]),
        names(&[&["key_data"]]),
        Names::new(),
        Names::new(),
    ];
    assert_eq!(server, expected, "a server");
}
