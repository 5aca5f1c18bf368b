//! Settings that cannot be, and what is said about them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use alts_handshaker::Role;

use crate::daemon::{Daemon, Files, PROGRAM, handshake, own_uid, refusal, start, step};

#[track_caller]
fn refused(files: &Files, more: &[&str], text: &str) {
    let said = refusal(&files.usual(), more);
    assert!(said.contains(text), "{more:?}: {said}");
}

#[test]
fn addresses_that_others_reach() {
    let files = Files::new();
    for address in ["0.0.0.0:0", "[::]:0", "192.0.2.7:8080"] {
        refused(&files, &["--listen", address], "is not a loopback address");
        refused(&files, &["--listen", address], "plaintext");
        let more = ["--listen", "127.0.0.1:0", "--admin", address];
        refused(&files, &more, "is not a loopback address");
        refused(&files, &more, "--unsafe-admin");
    }
    refused(&files, &["--listen", "127.0.0.1:0", "--unsafe-admin"], "--admin <ADDRESS>");
    refused(&files, &["--listen", "localhost:80"], "neither unix:PATH nor IP:PORT");
}

#[test]
fn addresses_that_are_taken() {
    let files = Files::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().to_string();
    refused(&files, &["--listen", &taken], &format!("cannot listen on {taken}: Address already"));
    let more = ["--listen", "127.0.0.1:0", "--admin", &taken];
    refused(&files, &more, "Address already in use");

    let _daemon = Daemon::usual(&files);
    refused(&files, &["--listen", files.socket()], "another process listens there");
    fs::write(files.path("file"), "precious").unwrap();
    let file = format!("unix:{}", files.text("file"));
    refused(&files, &["--listen", &file], "no socket");
    let below = format!("unix:{}", files.text("file/socket"));
    refused(&files, &["--listen", &below], "cannot listen on unix:");
}

#[test]
fn files_that_are_no_good() {
    let files = Files::new();
    let listen = ["--listen", "127.0.0.1:0"];
    let key = files.path("cart/key.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    refused(&files, &listen, "mode 0644");
    let _shared =
        Daemon::start(&files.usual(), &[&listen[..], &["--allow-shared-key-file"]].concat());
    fs::remove_file(&key).unwrap();
    refused(&files, &listen, "cart/key.pem: cannot be read: No such file");
    fs::write(files.path("cart/chain.pem"), "nonsense").unwrap();
    files.issue("cart", "spiffe://dev.local/cart");
    fs::remove_file(files.path("ca/ca.pem")).unwrap();
    refused(&files, &listen, "ca/ca.pem: cannot be read: No such file");

    let empty = format!("{}={}", own_uid(), files.text("nothing"));
    let more = [&listen[..], &["--identity-for-uid", &empty]].concat();
    files.authority.replace(&files.path("ca")).unwrap();
    refused(&files, &more, "no chain.pem and no tls.crt in");
}

#[test]
fn development_certificates_have_to_be_allowed() {
    let files = Files::new();
    let mut arguments = files.usual();
    arguments.retain(|argument| argument != "--dev");
    let said = refusal(&arguments, &["--listen", "127.0.0.1:0"]);
    assert!(said.contains("dev.local"), "{said}");
}

#[test]
fn what_is_missing() {
    let files = Files::new();
    let listen = ["--listen", "127.0.0.1:0"];
    let said = refusal(&files.usual(), &[]);
    assert!(said.contains("--listen"), "{said}");
    let said = refusal(&files.trust(), &listen);
    assert!(said.contains("--identity-for-uid") || said.contains("--cert"), "{said}");
    let said = refusal(&files.trust(), &[&listen[..], &["--cert", "x"]].concat());
    assert!(said.contains("--key"), "{said}");
    let rule = ["--deny-server", "spiffe://dev.local/x"];
    let mut arguments = files.usual();
    arguments.retain(|argument| argument != "--allow-server" && argument != "own-trust-domain");
    let said = refusal(&arguments, &[&listen[..], &rule].concat());
    assert!(said.contains("--allow-server"), "{said}");
}

#[test]
fn rules_and_numbers_that_cannot_be() {
    let files = Files::new();
    for (option, value, text) in [
        ("--allow-client", "dev.local", "spiffe://"),
        ("--deny-client", "spiffe://dev.local/a*", ""),
        ("--socket-mode", "rw", "octal"),
        ("--idle-timeout", "0", "'0' for '--idle-timeout <DURATION>': it has to be longer than 0"),
        ("--handshake-timeout", "10", "10s"),
        ("--reload-interval", "0ms", "--reload-interval"),
        ("--shutdown-timeout", "99999999999999999999s", "--shutdown-timeout"),
        ("--first-call-timeout", "inf", "--first-call-timeout"),
        ("--connection-idle-timeout", "9000h", "longer than 365 days"),
        ("--max-streams", "0", "'0' for '--max-streams <COUNT>': not a whole number of at least 1"),
        ("--max-streams-per-caller", "x", "--max-streams-per-caller"),
        ("--max-connections", "0", "--max-connections"),
        ("--max-connections-per-caller", "99999999999999999999", "--max-connections-per-caller"),
        ("--queue", "99999999999999999999", "--queue"),
        ("--bundle", "dev.local", "no `=`"),
        ("--bundle", "Dev.Local=/x", "Dev.Local"),
        ("--identity-for-uid", "cart=/x", "cart"),
        ("--log", "loud=very", "--log"),
    ] {
        refused(&files, &["--listen", "127.0.0.1:0", option, value], text);
    }
}

/// The largest and the smallest of every number work.
#[tokio::test]
async fn numbers_at_their_ends() {
    let files = Files::new();
    let counts = ["--max-streams", "--max-streams-per-caller", "--max-connections"];
    let counts = counts.into_iter().chain(["--max-connections-per-caller", "--queue"]);
    let times =
        ["--reload-interval", "--handshake-timeout", "--idle-timeout", "--shutdown-timeout"];
    let times = times.into_iter().chain(["--first-call-timeout", "--connection-idle-timeout"]);
    let largest = usize::MAX.to_string();
    let more: Vec<_> = counts.clone().flat_map(|name| [name, largest.as_str()]).collect();
    let more: Vec<_> =
        more.into_iter().chain(times.clone().flat_map(|name| [name, "8760h"])).collect();
    let listen = ["--listen", files.socket()];
    let daemon = Daemon::start(&files.usual(), &[&listen[..], &more].concat());
    handshake(&daemon.remote(), &daemon.remote()).await.unwrap();
    drop(daemon);

    let smallest = counts.flat_map(|name| [name, "1"]);
    let more: Vec<_> = listen.into_iter().chain(smallest).collect();
    let daemon = Daemon::start(&files.usual(), &more);
    // One handshake at a time: the client's, whose end nobody waits for.
    let mut session = start(&daemon.remote(), Role::Client);
    step(&mut session, &[]).await.unwrap();
    drop((session, daemon));

    let shortest: Vec<_> = listen.into_iter().chain(times.flat_map(|name| [name, "1ms"])).collect();
    // It may have no time for anybody, and is there.
    let mut daemon = Daemon::start(&files.usual(), &shortest);
    daemon.signal("-TERM");
    assert!(daemon.ended().await.success());
}

/// The examples for systemd and Kubernetes use options that there are.
#[test]
fn examples_of_deployment() {
    let help = Command::new(PROGRAM).args(["serve", "--help"]).output().unwrap().stdout;
    let help = String::from_utf8(help).unwrap();
    let mut options = 0;
    for example in [
        include_str!("../../deploy/alts-handshaker.service"),
        include_str!("../../deploy/kubernetes.yaml"),
    ] {
        // Not what stands in comments: that is for other programs, too.
        for line in example.lines().filter(|line| !line.starts_with('#')) {
            for word in line.split([' ', '=']).filter(|word| word.starts_with("--")) {
                assert!(
                    help.contains(&format!("      {word} "))
                        || help.contains(&format!("      {word}\n")),
                    "{word}"
                );
                options += 1;
            }
        }
    }
    assert!(options > 15, "{options}");
}
