//! What is written to the log: who is refused and why, under a name that both sides know; nothing for each record.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

#[path = "support/log.rs"]
mod log;
mod support;

use std::sync::Arc;
use std::time::SystemTime;

use alts::connect::Settings;
use alts::handshaker::dev_ca::DevCa;
use alts::handshaker::identity::{Identity, Policy, TrustBundles};
use alts::handshaker::{HandshakeLimits, LimitOptions, LocalHandshaker};
use alts::{Acceptor, Connector};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use support::{CLIENT, Parties, SERVER};

/// The lines of the span of this role's handshake.
fn of<'lines>(role: &str, lines: &'lines [String]) -> Vec<&'lines str> {
    let span = format!(" alts_handshake role={role}");
    lines.iter().filter(|line| line.contains(&span)).map(String::as_str).collect()
}

/// The name of the connection in a line's span, which has one name.
#[track_caller]
fn log_id(line: &str) -> &str {
    let (_, after) = line.split_once(" log_id=").unwrap_or_else(|| panic!("no log_id: {line}"));
    assert!(!after.contains(" log_id="), "twice: {line}");
    after.split([' ', ':']).next().unwrap()
}

fn is_of(level: &str, line: &str) -> bool {
    line.split(' ').next() == Some(level)
}

#[tokio::test]
async fn both_sides_know_a_connection_by_one_name_and_log_nothing_for_its_records() {
    let parties = Parties::new();
    log::keep();
    let (near, far) = parties.unix_pair(Settings::default(), Settings::default()).await;
    let (mut near, mut far) = (near, far);
    let lines = log::take();
    let done = |role| {
        let lines = of(role, &lines);
        let done: Vec<_> =
            lines.into_iter().filter(|line| line.contains("handshake done")).collect();
        (done.last().copied().unwrap().to_owned(), done.len())
    };
    // The engine's line and the driver's.
    let ((client, of_client), (server, of_server)) = (done("Client"), done("Server"));
    assert_eq!((of_client, of_server), (2, 2), "{lines:?}");
    assert_eq!(log_id(&client), log_id(&server));
    assert_eq!(log_id(&client).len(), 32);
    assert!(client.contains(&format!("peer=\"{SERVER}\"")), "{client}");
    assert!(server.contains(&format!("peer=\"{CLIENT}\"")), "{server}");
    assert!(lines.iter().all(|line| is_of("DEBUG", line)), "{lines:?}");

    for _ in 0..3 {
        near.write_all(&vec![7; 100_000]).await.unwrap();
        far.read_exact(&mut vec![0; 100_000]).await.unwrap();
    }
    near.shutdown().await.unwrap();
    assert_eq!(far.read(&mut [0]).await.unwrap(), 0);
    drop((near, far));
    assert_eq!(log::take(), Vec::<String>::new());
}

/// The one line of the server that an operator sees by default, and the client's name for the connection.
async fn refused(connector: &Connector, acceptor: &Acceptor) -> (String, String) {
    log::keep();
    let (near, far) = UnixStream::pair().unwrap();
    let (near, far) = tokio::join!(connector.connect(near), acceptor.accept(far));
    near.unwrap();
    far.unwrap_err();
    let lines = log::take();
    let client = of("Client", &lines).into_iter().find(|line| line.contains("handshake done"));
    let client = log_id(client.unwrap()).to_owned();
    let seen: Vec<_> =
        of("Server", &lines).into_iter().filter(|line| !is_of("DEBUG", line)).collect();
    assert_eq!(seen.len(), 1, "{lines:?}");
    (seen[0].to_owned(), client)
}

#[tokio::test]
async fn who_was_refused_and_why_is_one_line_with_the_name_that_the_client_knows() {
    let parties = Parties::new();
    let server = || LocalHandshaker::builder(Arc::new(parties.server.clone()));
    let nobody = Policy::from_rules(["spiffe://dev.local/other"]).unwrap();
    let acceptor = Acceptor::new(server().client_policy(nobody).build());
    let connector = parties.connector(Settings::default());
    let (line, name) = refused(&connector, &acceptor).await;
    assert!(is_of("INFO", &line) && line.contains("fault=Peer"), "{line}");
    let issuer = "its certificate is issued by ";
    for part in [CLIENT, "no rule allows it", issuer, "valid until 20"] {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert_eq!(log_id(&line), name);

    // A client that the server cannot verify.
    let now = SystemTime::now();
    let stranger = DevCa::for_trust_domain("other.example".parse().unwrap(), now).unwrap();
    let issued = stranger.issue("spiffe://other.example/client", now).unwrap();
    let mut trust = TrustBundles::new();
    for ca in [&stranger, &parties.ca] {
        trust.allow_development_domain();
        trust.insert_pem(ca.trust_domain(), ca.bundle_pem().as_bytes()).unwrap();
    }
    let (chain, key) = (issued.chain_pem().as_bytes(), issued.key_pem().as_bytes());
    let identity = Identity::from_pem(chain, key, trust, now).unwrap();
    let policy = Policy::from_rules([SERVER]).unwrap();
    let client = LocalHandshaker::builder(identity).server_policy(policy);
    let (line, name) =
        refused(&Connector::new(client.build()), &Acceptor::new(server().build())).await;
    assert!(is_of("INFO", &line) && line.contains("unknown_trust_domain"), "{line}");
    for part in
        ["it claims, unverified: spiffe://other.example/client, issued by ", "valid until 20"]
    {
        assert!(line.contains(part), "{part}: {line}");
    }
    assert_eq!(log_id(&line), name);
}

#[tokio::test]
async fn probes_and_floods_are_no_news() {
    let parties = Parties::new();
    let mut settings = Settings::default();
    let mut limits = LimitOptions::default();
    limits.rate_per_source = std::num::NonZeroU32::new(1);
    settings.limits = HandshakeLimits::new(limits);
    let acceptor = parties.acceptor(settings);
    log::keep();
    let source = Some([10, 0, 0, 1].into());
    let accept = async || {
        let (near, far) = UnixStream::pair().unwrap();
        drop(near);
        acceptor.accept_from(far, source).await.unwrap_err();
        log::take()
    };
    let probe = accept().await;
    assert!(probe.iter().any(|line| line.contains(": no handshake")), "{probe:?}");
    // One a second comes through, however long this takes.
    let mut all = probe;
    while !all.iter().any(|line| line.contains(": handshake refused")) {
        all.extend(accept().await);
    }
    assert!(
        all.iter().all(|line| is_of("DEBUG", line) && line.contains("source=10.0.0.1")),
        "{all:?}"
    );
}
