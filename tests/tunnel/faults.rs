//! Peers that vanish, stay silent, do not read, or are something else altogether; and a process without descriptors.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process::Command;

use crate::process::{Files, PATIENCE, Plain, Running, alts, wait_until};

/// Closes with a reset.
fn cut(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(std::time::Duration::ZERO)).unwrap();
    drop(stream);
}

fn works(client: &Running) {
    let mut stream = client.connect();
    stream.write_all(b"hello").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut received = String::new();
    stream.read_to_string(&mut received).unwrap();
    assert_eq!(received, "hello");
}

#[test]
fn clients_that_reset_at_any_stage() {
    let files = Files::new();
    let echo = Plain::echo();
    let server = files.server(&echo.address, &["--status", "127.0.0.1:0"]);
    let client = files.client(server.address(), &["--status", "127.0.0.1:0"]);
    // Before a byte, after some of the handshake, and after bytes of another protocol.
    for sent in [&b""[..], &[36, 0, 0, 0, 1], b"GET / HTTP/1.1\r\n\r\n"] {
        let mut stream = server.connect();
        stream.write_all(sent).unwrap();
        cut(stream);
    }
    // Before the tunnel is through, and in the middle of a transfer.
    cut(client.connect());
    let mut stream = client.connect();
    let piece = vec![7; 1 << 20];
    for _ in 0..4 {
        stream.write_all(&piece).unwrap();
        stream.read_exact(&mut [0; 1000]).unwrap();
    }
    cut(stream);
    for side in [&server, &client] {
        side.wait_for_metric("alts_tunnel_connections_open", 0.0);
    }
    works(&client);
    let log = server.log();
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
}

/// By splice, where a write to a socket that was reset could end a process.
#[test]
fn a_relay_outlives_targets_that_reset() {
    let files = Files::new();
    let resetting = Plain::serve(|mut stream| {
        let _ = stream.read(&mut [0]);
        cut(stream);
    });
    let relay = ["relay", "--listen", "127.0.0.1:0", "--status", "127.0.0.1:0", "--target"];
    let relay = Running::start(&[&relay[..], &[&resetting.address]].concat(), &[], &files);
    for _ in 0..20 {
        let mut stream = relay.connect();
        let piece = vec![7; 100_000];
        while stream.write_all(&piece).is_ok() {}
    }
    relay.wait_for_metric("alts_tunnel_connections_ended_total{reason=\"cut\"}", 20.0);
}

#[test]
fn who_says_nothing_is_let_go_and_reaches_no_target() {
    let files = Files::new();
    let echo = Plain::echo();
    let more = ["--status", "127.0.0.1:0", "--connect-timeout", "200ms"];
    let server = files.server(&echo.address, &more);
    let mut silent = server.connect();
    // It is told why, and then let go.
    let _ = silent.read_to_end(&mut Vec::new());
    server.wait_for_metric("alts_tunnel_connections_open", 0.0);
    assert_eq!(echo.accepted(), 0);
    assert!(!server.log().contains("ERROR"), "{}", server.log());
}

#[test]
fn browsers_and_scanners_are_counted_and_reach_no_target() {
    let files = Files::new();
    let echo = Plain::echo();
    let server = files.server(&echo.address, &["--status", "127.0.0.1:0"]);
    for sent in
        [&b"GET / HTTP/1.1\r\nhost: x\r\n\r\n"[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"]
    {
        let mut stream = server.connect();
        stream.write_all(sent).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
    let name = "alts_tunnel_handshake_failures_total{role=\"server\",reason=\"foreign_protocol\"}";
    server.wait_for_metric(name, 2.0);
    assert_eq!(echo.accepted(), 0);
}

#[test]
fn denied_and_unknown_clients_are_counted_apart_from_faults() {
    let files = Files::new();
    files.issue("stranger");
    let echo = Plain::echo();
    let more = ["--status", "127.0.0.1:0", "--allow", "own-trust-domain"];
    let more = [&more[..], &["--deny", "spiffe://dev.local/stranger"]].concat();
    let server = files.server(&echo.address, &more);
    works(&files.client(server.address(), &[]));
    let arguments = ["connect", server.address(), "--server", "own-trust-domain", "--probe"];
    let output = crate::process::run(&arguments, &files.identity("stranger"));
    assert_eq!(output.status.code(), Some(6), "{output:?}");
    server.wait_for_metric(
        "alts_tunnel_handshake_failures_total{role=\"server\",reason=\"access_denied\"}",
        1.0,
    );
    server.wait_for_metric("alts_tunnel_connections_ended_total{reason=\"no_handshake\"}", 1.0);
    assert_eq!(echo.accepted(), 1);
    // A client may deny a server, too.
    let arguments = [&arguments[..], &["--deny", "spiffe://dev.local/server"]].concat();
    let output = crate::process::run(&arguments, &files.identity("client"));
    assert_eq!(output.status.code(), Some(5), "{output:?}");
}

/// What a connection holds whose reader has stopped is bounded, and others pass.
#[test]
fn clients_that_do_not_read_hold_up_nobody_else() {
    let files = Files::new();
    let endless = Plain::serve(|mut stream| {
        let (mut asked, piece) = ([0], vec![7; 1 << 16]);
        if stream.read_exact(&mut asked).is_err() {
            return;
        }
        match asked[0] {
            b'e' => while stream.write_all(&piece).is_ok() {},
            _ => drop(stream.write_all(b"here")),
        }
    });
    let server = files.server(&endless.address, &["--status", "127.0.0.1:0"]);
    let client = files.client(server.address(), &[]);
    let stuck: Vec<_> = (0..30)
        .map(|_| {
            let mut stream = client.connect();
            stream.write_all(b"e").unwrap();
            // It has begun.
            stream.read_exact(&mut [0]).unwrap();
            stream
        })
        .collect();
    for _ in 0..5 {
        let mut stream = client.connect();
        stream.write_all(b"?").unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"here");
    }
    // A buffer of what was read, and a batch of sealed bytes that the kernel did not take.
    let held = server.metric("alts_tunnel_pool_bytes{state=\"in_use\"}");
    assert!(held <= 31.0 * (34_000.0 + 62_000.0), "{held} bytes for 30 stuck connections");
    drop(stuck);
    server.wait_for_metric("alts_tunnel_connections_open", 0.0);
    server.wait_for_metric("alts_tunnel_pool_bytes{state=\"in_use\"}", 0.0);
}

/// More connections than there are descriptors for: the rest wait until some are free.
#[test]
fn a_process_without_descriptors_goes_on_when_some_are_free() {
    let files = Files::new();
    let echo = Plain::echo();
    let relay = alts(&[], &[]);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 40 && exec \"$@\"", "sh"]).arg(relay.get_program());
    command.args(["relay", "--listen", "127.0.0.1:0", "--max-connections", "1000"]);
    command.args(["--target", &echo.address]);
    let relay = Running::start_command(command, &files);
    relay.wait_for_log("--max-connections is more than the limit on open files allows");
    let crowd: Vec<_> = (0..60).map(|_| relay.connect()).collect();
    relay.wait_for_log("Too many open files");
    drop(crowd);
    // One of these may still find none; in the end one passes.
    wait_until(
        || {
            let mut stream = relay.connect();
            let mut received = [0; 5];
            stream.write_all(b"hello").is_ok() && stream.read_exact(&mut received).is_ok()
        },
        || relay.log(),
    );
}

#[test]
fn a_side_that_does_not_end_after_the_other_has_is_let_go() {
    let files = Files::new();
    let target = TcpListener::bind("127.0.0.1:0").unwrap();
    let server =
        files.server(&target.local_addr().unwrap().to_string(), &["--close-timeout", "200ms"]);
    let client = files.client(server.address(), &[]);
    let stream = client.connect();
    let (mut accepted, _) = target.accept().unwrap();
    accepted.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(accepted.read(&mut [0]).unwrap(), 0, "the end crosses");
    server.wait_for_log("no progress after the other side had ended");
}
