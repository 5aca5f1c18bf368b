//! Identities in files: changed under way, and different ones for different users.

use std::fs;
use std::time::SystemTime;

use alts_handshaker::dev_ca::DevCa;
use alts_handshaker::{Error, HandshakeOptions, Handshaker, Role};

use crate::daemon::{
    CART, Daemon, Files, HalfWay, PATIENT, eventually, handshake, own_uid, start, step,
};

const RENAMED: &str = "spiffe://dev.local/renamed";

async fn name(daemon: &Daemon) -> String {
    let handshaker = daemon.remote();
    handshake(&handshaker, &handshaker).await.unwrap().0.local
}

fn counted(daemon: &Daemon, metric: &str) -> u64 {
    let metrics = daemon.metrics();
    let line = metrics.lines().find(|line| line.starts_with(metric)).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn new_files_are_taken_over() {
    let files = Files::new();
    let more = ["--listen", files.socket(), "--admin", "127.0.0.1:0", "--reload-interval", "50ms"];
    let daemon = Daemon::start(&files.usual(), &[&more[..], &PATIENT].concat());
    assert_eq!(name(&daemon).await, CART);
    let handshaker = daemon.remote();
    let begun_before = HalfWay::reach(&handshaker, &handshaker).await.unwrap();

    files.issue("cart", RENAMED);
    eventually(|| counted(&daemon, "alts_handshaker_identity_reloads_total") > 0).await;
    assert_eq!(name(&daemon).await, RENAMED);
    // A handshake ends with the identity with which it began.
    let (client, server) = begun_before.finish().await.unwrap();
    assert_eq!((&*client.local, server.peer.name()), (CART, CART));

    // Files that cannot be used leave the old identity in place.
    fs::write(files.path("cart/chain.pem"), "nonsense").unwrap();
    eventually(|| counted(&daemon, "alts_handshaker_identity_reload_failures_total") > 0).await;
    assert_eq!(name(&daemon).await, RENAMED);
    let reloads = counted(&daemon, "alts_handshaker_identity_reloads_total");
    files.issue("cart", CART);
    eventually(|| counted(&daemon, "alts_handshaker_identity_reloads_total") > reloads).await;
    assert_eq!(name(&daemon).await, CART);
}

/// An operator sees which trust domain's files are bad, and that the others are not concerned.
#[tokio::test]
async fn a_trust_domain_whose_files_go_bad() {
    let files = Files::new();
    let other =
        DevCa::for_trust_domain("partner.example".parse().unwrap(), SystemTime::now()).unwrap();
    let good = other.bundle_pem().to_owned();
    fs::write(files.path("partner.pem"), &good).unwrap();
    let bundle = format!("partner.example={}", files.text("partner.pem"));
    let more = ["--listen", files.socket(), "--admin", "127.0.0.1:0", "--bundle", &bundle];
    let daemon =
        Daemon::start(&files.usual(), &[&more[..], &["--reload-interval", "50ms"]].concat());
    let of = |metric: &str, domain: &str| {
        let certificate = files.text("cart/chain.pem");
        let series = format!(
            "alts_handshaker_trust_domain_{metric}{{certificate=\"{certificate}\",trust_domain=\"{domain}\"}}"
        );
        counted(&daemon, &series)
    };
    let state = |domain: &str| (of("usable", domain), of("authorities", domain));
    assert_eq!((state("partner.example"), state("dev.local")), ((1, 1), (1, 1)));
    for bad in ["", "<html>"] {
        fs::write(files.path("partner.pem"), bad).unwrap();
        eventually(|| state("partner.example") == (0, 0)).await;
        assert_eq!(state("dev.local"), (1, 1));
        handshake(&daemon.remote(), &daemon.remote()).await.unwrap();
        fs::write(files.path("partner.pem"), good.repeat(2)).unwrap();
        eventually(|| state("partner.example").0 == 1).await;
    }
}

#[tokio::test]
async fn a_hangup_has_the_files_read_at_once() {
    let files = Files::new();
    let more = ["--listen", files.socket(), "--admin", "127.0.0.1:0", "--reload-interval", "24h"];
    let daemon = Daemon::start(&files.usual(), &more);
    files.issue("cart", RENAMED);
    daemon.signal("-HUP");
    eventually(|| counted(&daemon, "alts_handshaker_identity_reloads_total") > 0).await;
    assert_eq!(name(&daemon).await, RENAMED);
}

#[tokio::test]
async fn the_user_decides_over_the_identity() {
    let files = Files::new();
    files.issue("mine", "spiffe://dev.local/mine");
    files.issue("second", "spiffe://dev.local/second");
    files.issue("theirs", "spiffe://dev.local/theirs");
    // As Kubernetes names them.
    for (ours, theirs) in [("chain.pem", "tls.crt"), ("key.pem", "tls.key")] {
        let directory = files.path("second");
        fs::rename(directory.join(ours), directory.join(theirs)).unwrap();
    }
    let of = |uid: u32, directory| format!("{uid}={}", files.text(directory));
    let users = [of(own_uid(), "mine"), of(own_uid(), "second"), of(own_uid() + 1, "theirs")];
    let users = users.iter().flat_map(|user| ["--identity-for-uid", user]);
    let listen = ["--listen", files.socket(), "--listen", "127.0.0.1:0"];
    let more: Vec<_> = listen.into_iter().chain(users).collect();
    let daemon = Daemon::start(&files.usual(), &more);
    let (unix, tcp) = (daemon.remote(), crate::daemon::remote(&daemon.addresses[1]));
    let (client, server) = handshake(&unix, &tcp).await.unwrap();
    assert_eq!(client.local, "spiffe://dev.local/mine");
    // Over TCP nobody knows who calls.
    assert_eq!(server.local, CART);
}

#[tokio::test]
async fn a_user_without_an_identity() {
    let files = Files::new();
    let theirs = format!("{}={}", own_uid() + 1, files.text("cart"));
    let more = ["--listen", files.socket(), "--identity-for-uid", &theirs];
    let daemon = Daemon::start(&files.trust(), &more);
    let mut session = start(&daemon.remote(), Role::Client);
    let refused = step(&mut session, &[]).await.unwrap_err();
    assert!(matches!(&refused, Error::Misuse(text) if text.contains("no identity")), "{refused:?}");
}

#[tokio::test]
async fn without_a_rule_for_servers_callers_name_them() {
    let files = Files::new();
    let mut arguments = files.usual();
    arguments.retain(|argument| argument != "--allow-server" && argument != "own-trust-domain");
    let daemon = Daemon::start(&arguments, &["--listen", files.socket()]);
    let handshaker = daemon.remote();
    let refused = handshake(&handshaker, &handshaker).await.unwrap_err();
    assert!(matches!(&refused, Error::Misuse(text) if text.contains("who may be")), "{refused:?}");

    let mut options = HandshakeOptions::default();
    options.target_identities = vec![CART.to_owned()];
    let mut client = handshaker.start(Role::Client, &options).unwrap();
    let mut server = start(&handshaker, Role::Server);
    let (_, offer) = step(&mut client, &[]).await.unwrap();
    let (_, answer) = step(&mut server, &offer).await.unwrap();
    assert!(step(&mut client, &answer).await.unwrap().0.result.is_some());
}

#[tokio::test]
async fn rules_for_clients() {
    let files = Files::new();
    for (rules, welcome) in [
        (&[][..], true),
        (&["--allow-client", "spiffe://dev.local/*"], true),
        (&["--allow-client", "own-trust-domain"], true),
        (&["--allow-client", "spiffe://dev.local/stock"], false),
        (&["--allow-client", "own-trust-domain", "--deny-client", CART], false),
        (&["--deny-client", CART], false),
    ] {
        let more = [&["--listen", files.socket()][..], rules].concat();
        let daemon = Daemon::start(&files.usual(), &more);
        let handshaker = daemon.remote();
        let outcome = handshake(&handshaker, &handshaker).await;
        match (welcome, outcome) {
            (true, Ok(_)) | (false, Err(Error::Denied { .. })) => {}
            (_, outcome) => panic!("{rules:?}: {outcome:?}"),
        }
    }
}

/// The session keys cross the daemon; they must not be found in its log, however much it logs.
#[tokio::test]
async fn no_secrets_in_the_log() {
    let files = Files::new();
    let more = ["--listen", files.socket(), "--log", "trace"];
    let daemon = Daemon::start(&files.usual(), &more);
    let handshaker = daemon.remote();
    let (client, _) = handshake(&handshaker, &handshaker).await.unwrap();
    let mut bad = start(&handshaker, Role::Server);
    step(&mut bad, b"\x1b[31mGET / HTTP/1.1\r\n\r\n").await.unwrap_err();
    let log = daemon.log();
    assert!(log.contains("handshake done") && log.contains("handshake failed"), "{log}");
    let key = &client.key_data.as_bytes()[..6];
    let hex = key.iter().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    let list = format!("{key:?}").replace(['[', ']'], "");
    let escaped = key.escape_ascii().to_string();
    for secret in [hex, list, escaped] {
        assert!(!log.to_lowercase().contains(&secret.to_lowercase()), "{secret}");
    }
    assert!(!log.contains('\x1b'), "a peer's bytes are escaped");
    assert!(!log.contains("PRIVATE KEY"));
}
