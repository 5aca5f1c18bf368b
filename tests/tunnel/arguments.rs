//! Flags that cannot be, and what is said about them.

use crate::process::{Files, run, stderr};

#[track_caller]
fn refused(arguments: &[&str], identity: &[String], said: &[&str]) {
    let output = run(arguments, identity);
    assert!(!output.status.success());
    let stderr = stderr(&output);
    for text in said {
        assert!(stderr.contains(text), "no {text:?} in {stderr}");
    }
}

#[test]
fn a_server_says_who_may_connect_and_keeps_plaintext_on_the_machine() {
    let files = Files::new();
    let identity = files.identity("server");
    let server = ["tunnel", "server", "--listen", "127.0.0.1:0", "--target", "localhost:1"];
    refused(&server, &identity, &["--allow", "--allow-all"]);
    let both = [&server[..], &["--allow-all", "--allow", "own-trust-domain"]].concat();
    refused(&both, &identity, &["--allow-all", "--allow"]);
    let far =
        ["tunnel", "server", "--listen", "127.0.0.1:0", "--target", "192.0.2.1:1", "--allow-all"];
    refused(&far, &identity, &["--target 192.0.2.1:1", "--unsafe-target"]);
    let odd = [&server[..], &["--allow", "dev.local"]].concat();
    refused(&odd, &identity, &["--allow", "spiffe://"]);
}

#[test]
fn a_client_names_the_server_and_listens_on_the_machine() {
    let files = Files::new();
    let identity = files.identity("client");
    let client = ["tunnel", "client", "--target", "localhost:1"];
    refused(&[&client[..], &["--listen", "localhost:0"]].concat(), &identity, &["--server"]);
    let far = [&client[..], &["--listen", "0.0.0.0:0", "--server", "own-trust-domain"]].concat();
    refused(&far, &identity, &["--listen 0.0.0.0:0", "--unsafe-listen"]);
}

#[test]
fn values_that_cannot_be() {
    let relay = ["relay", "--listen", "127.0.0.1:0", "--target", "localhost:1"];
    for (flag, value, said) in [
        ("--connect-timeout", "0", "longer than 0"),
        ("--connect-timeout", "10", "10s"),
        ("--idle-timeout", "1d", "--idle-timeout"),
        ("--max-connections", "0", "--max-connections"),
        ("--socket-mode", "rw", "octal"),
        ("--log-format", "xml", "json"),
        ("--log", "loud=very", "--log"),
        ("--status", "0.0.0.0:0", "--unsafe-status"),
        ("--proxy-protocol", "v3", "v2"),
    ] {
        refused(&[&relay[..], &[flag, value]].concat(), &[], &[said]);
    }
    for (listen, said) in [
        ("localhost", "HOST:PORT"),
        (":80", "the host is missing"),
        ("::1:80", "brackets"),
        ("localhost:99999", "not a port"),
        ("unix:", "needs a path"),
        ("no.such.name.invalid:1", "cannot listen on no.such.name.invalid:1"),
    ] {
        refused(&["relay", "--listen", listen, "--target", "localhost:1"], &[], &[said]);
    }
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let files = Files::new();
    let client = ["tunnel", "client", "--listen", "localhost:0", "--target", "localhost:1"];
    let client = [&client[..], &["--server", "own-trust-domain"]].concat();
    let mut identity = files.identity("client");
    identity.retain(|argument| argument != "--dev");
    refused(&client, &identity, &["dev.local", "--dev"]);
    let missing = files.identity("nobody");
    refused(&client, &missing, &["nobody/chain.pem"]);
}

#[test]
fn every_subcommand_has_help_with_an_example() {
    for subcommand in [&["tunnel", "server"][..], &["tunnel", "client"], &["relay"], &["connect"]] {
        let output = run(&[subcommand, &["--help"]].concat(), &[]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() && text.contains("Example"), "{text}");
    }
}

/// The examples for systemd and Kubernetes use flags that there are.
#[test]
fn examples_of_deployment() {
    let mut flags = 0;
    for (subcommand, example) in [
        ("server", include_str!("../../examples/deploy/alts-tunnel.service")),
        ("client", include_str!("../../examples/deploy/alts-tunnel.yaml")),
    ] {
        let help = run(&["tunnel", subcommand, "--help"], &[]).stdout;
        let help = String::from_utf8(help).unwrap();
        // Comments may be about other programs.
        for line in example.lines().filter(|line| !line.trim_start().starts_with('#')) {
            for flag in line.split([' ', '=']).filter(|word| word.starts_with("--")) {
                let shown = [format!("      {flag} "), format!("      {flag}\n")];
                assert!(shown.iter().any(|text| help.contains(text)), "{flag}");
                flags += 1;
            }
        }
    }
    assert!(flags > 12, "{flags}");
}

#[test]
fn the_unit_passes_systemds_check() {
    let unit = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/deploy/alts-tunnel.service");
    let files = Files::new();
    // The program is where it was built, not where the unit has it.
    let text = std::fs::read_to_string(unit).unwrap();
    let text = text.replace("/usr/local/bin/alts ", concat!(env!("CARGO_BIN_EXE_alts"), " "));
    let path = files.path("alts-tunnel.service");
    crate::process::write(&path, &text);
    match std::process::Command::new("systemd-analyze").arg("verify").arg(&path).output() {
        Ok(output) => assert!(output.status.success(), "{}", stderr(&output)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            println!("SKIPPED: there is no systemd-analyze");
        }
        Err(error) => panic!("{error}"),
    }
}
