//! What goes wrong, and what the two sides see of it.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::process::{Files, PATIENCE, Plain, wait_until};

fn reset(mut stream: TcpStream) {
    let error = stream.read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn a_stranger_reaches_no_target_and_its_client_is_reset() {
    let files = Files::new();
    files.issue("stranger");
    let echo = Plain::echo();
    let server = files.server(&echo.address, &[]);
    let arguments = ["tunnel", "client", "--listen", "127.0.0.1:0", "--target", server.address()];
    let arguments = [&arguments[..], &["--server", "spiffe://dev.local/server"]].concat();
    let client = crate::process::Running::start(&arguments, &files.identity("stranger"), &files);
    let mut stream = client.connect();
    let _ = stream.write_all(b"let me in");
    reset(stream);
    server.wait_for_log("spiffe://dev.local/stranger");
    assert_eq!(echo.accepted(), 0, "the target was connected to before the client was authorized");
}

#[test]
fn a_server_with_another_name_gets_nothing() {
    let files = Files::new();
    files.issue("other");
    let echo = Plain::echo();
    let arguments =
        ["tunnel", "server", "--listen", "127.0.0.1:0", "--target", &echo.address, "--allow-all"];
    let server = crate::process::Running::start(&arguments, &files.identity("other"), &files);
    let client = files.client(server.address(), &[]);
    reset(client.connect());
    client.wait_for_log("spiffe://dev.local/other");
    assert_eq!(echo.accepted(), 0);
}

#[test]
fn a_probe_is_no_error() {
    let files = Files::new();
    let echo = Plain::echo();
    let server = files.server(&echo.address, &["--status", "127.0.0.1:0"]);
    for _ in 0..5 {
        drop(server.connect());
    }
    server.wait_for_metric(
        "alts_tunnel_handshake_failures_total{role=\"server\",reason=\"probe\"}",
        5.0,
    );
    let log = server.log();
    assert!(!log.contains("WARN") && !log.contains("ERROR"), "{log}");
    assert_eq!(echo.accepted(), 0);
}

#[test]
fn without_a_target_the_client_is_cut_off_and_the_tunnel_lives() {
    let files = Files::new();
    // An address that nobody listens at.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let server = files.server(&gone.to_string(), &[]);
    let client = files.client(server.address(), &[]);
    for _ in 0..3 {
        reset(client.connect());
    }
    server.wait_for_log("cannot connect to 127.0.0.1:");
    // It comes to life.
    let target = TcpListener::bind(gone).unwrap();
    let mut stream = client.connect();
    target.accept().unwrap().0.write_all(b"here").unwrap();
    let mut received = [0; 4];
    stream.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"here");
}

#[test]
fn a_target_that_dies_is_no_clean_end() {
    let files = Files::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = files.server(&listener.local_addr().unwrap().to_string(), &[]);
    let client = files.client(server.address(), &[]);
    let mut stream = client.connect();
    let (mut target, _) = listener.accept().unwrap();
    target.write_all(b"half").unwrap();
    let mut received = [0; 4];
    stream.read_exact(&mut received).unwrap();
    // With bytes unread a socket that closes resets the connection.
    stream.write_all(b"unread").unwrap();
    let mut arrived = [0; 1];
    target.set_read_timeout(Some(PATIENCE)).unwrap();
    target.peek(&mut arrived).unwrap();
    drop(target);
    reset(stream);
}

#[test]
fn sigterm_lets_connections_finish_and_a_second_one_cuts_them_off() {
    let files = Files::new();
    for patient in [true, false] {
        let echo = Plain::echo();
        let mut server = files.server(&echo.address, &["--status", "127.0.0.1:0"]);
        let mut client = files.client(server.address(), &[]);
        let mut stream = client.connect();
        let mut received = [0; 5];
        stream.write_all(b"hello").unwrap();
        stream.read_exact(&mut received).unwrap();
        server.signal("TERM");
        wait_until(|| server.get("/readyz").contains("503"), || "still ready".to_owned());
        assert!(server.get("/healthz").contains("200"));
        // Not ready comes first, so that load balancers look elsewhere before the listener is closed.
        let refused = || TcpStream::connect(server.address()).err().map(|error| error.kind());
        wait_until(
            || refused() == Some(io::ErrorKind::ConnectionRefused),
            || "still accepting".to_owned(),
        );
        // The old connection goes on.
        stream.write_all(b"still").unwrap();
        stream.read_exact(&mut received).unwrap();
        if patient {
            drop(stream);
            assert!(server.wait().success(), "{}", server.log());
        } else {
            server.signal("TERM");
            assert_eq!(server.wait().code(), Some(1));
            reset(stream);
        }
        client.signal("INT");
        assert!(client.wait().success(), "{}", client.log());
    }
}

#[test]
fn connections_that_do_not_end_are_cut_off_after_the_timeout() {
    let files = Files::new();
    let echo = Plain::echo();
    let mut server = files.server(&echo.address, &["--shutdown-timeout", "100ms"]);
    let client = files.client(server.address(), &[]);
    let mut stream = client.connect();
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();
    server.signal("TERM");
    assert_eq!(server.wait().code(), Some(1));
    reset(stream);
    server.wait_for_log("connections are cut off");
}

#[test]
fn limits_on_time() {
    let files = Files::new();
    let echo = Plain::echo();
    for (flag, logged) in
        [("--idle-timeout", "idle for too long"), ("--max-lifetime", "--max-lifetime")]
    {
        let server = files.server(&echo.address, &[flag, "100ms"]);
        let client = files.client(server.address(), &[]);
        reset(client.connect());
        server.wait_for_log(logged);
    }
}
