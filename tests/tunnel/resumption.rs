//! Tickets outlive the server's process.

use std::io::{Read, Write};

use crate::process::{Files, Plain, Running, run, stderr};

fn echo_once(client: &Running) {
    let mut stream = client.connect();
    stream.write_all(b"hello").unwrap();
    stream.read_exact(&mut [0; 5]).unwrap();
}

#[test]
fn a_client_resumes_at_a_server_that_was_restarted() {
    let files = Files::new();
    let echo = Plain::echo();
    let keys = files.path("ticket-keys").display().to_string();
    let made = run(&["ticket-keys", "rotate", &keys], &[]);
    assert!(made.status.success(), "{}", stderr(&made));
    let more = ["--ticket-keys", &keys, "--log", "debug", "--status", "127.0.0.1:0"];
    let server = files.server(&echo.address, &more);
    let address = server.address().to_owned();
    let client = files.client(&address, &["--resume", "--log", "debug", "--status", "127.0.0.1:0"]);
    echo_once(&client);
    server.wait_for_log("resumed=false");
    server.wait_for_metric("alts_tunnel_tickets_issued_total{role=\"server\"}", 1.0);
    client.wait_for_metric("alts_tunnel_tickets_kept", 1.0);
    drop(server);

    let server = files.server(&echo.address, &[&more[..], &["--listen", &address]].concat());
    echo_once(&client);
    server.wait_for_log("resumed=true");
    client.wait_for_log("resumed=true");
    for (side, role) in [(&server, "server"), (&client, "client")] {
        let accepted = format!("alts_tunnel_tickets_accepted_total{{role=\"{role}\"}}");
        side.wait_for_metric(&accepted, 1.0);
    }
}

#[test]
fn ticket_keys_that_cannot_be_read() {
    let files = Files::new();
    let keys = files.path("missing").display().to_string();
    let arguments = ["tunnel", "server", "--listen", "127.0.0.1:0", "--target", "127.0.0.1:9"];
    let more = ["--allow", "spiffe://dev.local/client", "--ticket-keys", &keys];
    let output = run(&[&arguments[..], &more].concat(), &files.identity("server"));
    assert!(!output.status.success());
    assert!(stderr(&output).contains("missing"), "{}", stderr(&output));
}
