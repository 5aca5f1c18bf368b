//! Resumption by the daemon: what it is told, what it counts, and what outlives it.

use std::process::Command;
use std::sync::Arc;
use std::time::SystemTime;

use alts_handshaker::identity::Policy;
use alts_handshaker::resumption::TicketCache;
use alts_handshaker::{
    HandshakeOptions, Handshaker, LocalHandshaker, LocalHandshakerBuilder, Role,
};

use crate::daemon::{CART, Daemon, Files, PATIENT, PROGRAM, Session, refusal, start, step};

/// A file of ticket keys beside the identities.
fn rotate(files: &Files) -> String {
    let path = files.text("ticket-keys");
    let made = Command::new(PROGRAM).args(["ticket-keys", "rotate", &path]).output().unwrap();
    assert!(made.status.success());
    path
}

fn start_daemon(files: &Files, more: &[&str]) -> Daemon {
    let addresses = ["--listen", files.socket(), "--admin", "127.0.0.1:0"];
    Daemon::start(&files.usual(), &[&addresses[..], &PATIENT, more].concat())
}

fn client(handshaker: &impl Handshaker) -> Session {
    let mut options = HandshakeOptions::default();
    options.target_name = Some("cart:443".to_owned());
    handshaker.start(Role::Client, &options).unwrap()
}

/// A client in this process, which keeps its tickets.
fn local(files: &Files, cache: &Arc<TicketCache>) -> LocalHandshakerBuilder {
    let now = SystemTime::now();
    let identity = files.authority.issue(CART, now).unwrap().identity(now).unwrap();
    LocalHandshaker::builder(identity)
        .server_policy(Policy::own_trust_domain())
        .ticket_cache(Arc::clone(cache))
}

/// A handshake of a client that may wait for a ticket. Whether there was one behind it.
async fn handshake(mut client: Session, mut server: Session) -> bool {
    let (_, offer) = step(&mut client, &[]).await.unwrap();
    let (_, answer) = step(&mut server, &offer).await.unwrap();
    let (ours, finish) = step(&mut client, &answer).await.unwrap();
    let (theirs, ticket) = step(&mut server, &finish).await.unwrap();
    let theirs = theirs.result.unwrap();
    let ours = match ours.result {
        Some(mut result) => {
            if !ticket.is_empty() {
                result.late_alert.take().unwrap().take_ticket(&ticket).unwrap();
            }
            result
        }
        None => step(&mut client, &ticket).await.unwrap().0.result.unwrap(),
    };
    assert_eq!(ours.key_data, theirs.key_data);
    !ticket.is_empty()
}

fn has(metrics: &str, line: &str) -> bool {
    metrics.lines().any(|found| found.strip_prefix("alts_handshaker_") == Some(line))
}

#[tokio::test]
async fn both_sides_of_one_daemon() {
    let files = Files::new();
    let keys = rotate(&files);
    let daemon = start_daemon(&files, &["--ticket-keys", &keys, "--tickets", "wait"]);
    let remote = daemon.remote();
    for round in 0..3 {
        let with_ticket = handshake(client(&remote), start(&remote, Role::Server)).await;
        assert_eq!(with_ticket, round == 0, "a full handshake, then resumed ones");
    }
    let metrics = daemon.metrics();
    for line in [
        "tickets_issued_total{role=\"server\"} 3",
        "tickets_issued_total{role=\"client\"} 3",
        "tickets_offered_total{role=\"server\"} 2",
        "tickets_offered_total{role=\"client\"} 2",
        "tickets_accepted_total{role=\"server\"} 2",
        "tickets_accepted_total{role=\"client\"} 2",
        "tickets_refused_total{role=\"server\",reason=\"ticket_expired\"} 0",
        "tickets_returned_total 0",
        "tickets_kept 1",
        "handshakes_total{role=\"client\"} 3",
    ] {
        assert!(has(&metrics, line), "{line} is not in {metrics}");
    }
}

#[tokio::test]
async fn neither_side_by_default() {
    let files = Files::new();
    let keys = rotate(&files);
    let gives = start_daemon(&files, &["--ticket-keys", &keys]);
    let other = Files::new();
    let neither = start_daemon(&other, &[]);
    for _ in 0..2 {
        // One does not ask, the other does not give.
        assert!(!handshake(client(&gives.remote()), start(&gives.remote(), Role::Server)).await);
        let asks = local(&other, &TicketCache::new()).build();
        assert!(!handshake(client(&asks), start(&neither.remote(), Role::Server)).await);
    }
    assert!(has(&gives.metrics(), "tickets_issued_total{role=\"server\"} 0"));
    assert!(!gives.metrics().contains("tickets_issued_total{role=\"client\"}"));
    assert!(!neither.metrics().contains("tickets"), "{}", neither.metrics());
}

/// The file outlives the daemon; tickets of callers that are clients do not.
#[tokio::test]
async fn a_daemon_that_was_restarted() {
    let files = Files::new();
    let keys = rotate(&files);
    let more = ["--ticket-keys", &keys, "--tickets", "wait"];
    let daemon = start_daemon(&files, &more);
    let cache = TicketCache::new();
    let local = local(&files, &cache).build();
    assert!(handshake(client(&local), start(&daemon.remote(), Role::Server)).await);
    assert!(handshake(client(&daemon.remote()), start(&daemon.remote(), Role::Server)).await);
    drop(daemon);
    let daemon = start_daemon(&files, &more);
    assert!(!handshake(client(&local), start(&daemon.remote(), Role::Server)).await);
    assert_eq!(cache.stats().accepted, 1);
    assert!(has(&daemon.metrics(), "tickets_accepted_total{role=\"server\"} 1"));
    assert!(handshake(client(&daemon.remote()), start(&daemon.remote(), Role::Server)).await);
}

/// Before it listens anywhere.
#[tokio::test]
async fn keys_that_cannot_be_used() {
    let files = Files::new();
    let missing = files.text("missing");
    let listen = ["--listen", files.socket(), "--ticket-keys", &missing];
    let said = refusal(&files.usual(), &listen);
    assert!(said.contains("missing") && said.contains("--ticket-keys"), "{said}");
    let said = refusal(&files.usual(), &["--listen", files.socket(), "--tickets", "later"]);
    assert!(said.contains("[possible values: off, wait]"), "{said}");
}
