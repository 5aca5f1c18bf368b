//! What an operator does with it: status, reloads, limits, systemd.

use std::io::{Read, Write};
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use crate::process::{Files, PATIENCE, Plain, Running, alts, run, stderr};

#[test]
fn metrics_count_what_passes() {
    let files = Files::new();
    let echo = Plain::echo();
    let server = files.server(&echo.address, &["--status", "127.0.0.1:0"]);
    let client = files.client(server.address(), &["--status", "127.0.0.1:0"]);
    let mut stream = client.connect();
    stream.write_all(&[7; 1000]).unwrap();
    stream.read_exact(&mut [0; 1000]).unwrap();
    // While the connection is open.
    for (side, role) in [(&server, "server"), (&client, "client")] {
        side.wait_for_metric("alts_tunnel_connections_open", 1.0);
        side.wait_for_metric("alts_tunnel_secured_connections", 1.0);
        side.wait_for_metric("alts_tunnel_forward_bytes_total", 1000.0);
        side.wait_for_metric("alts_tunnel_backward_bytes_total", 1000.0);
        side.wait_for_metric(&format!("alts_tunnel_handshakes_total{{role=\"{role}\"}}"), 1.0);
        for direction in ["received", "sent"] {
            let name = format!("alts_tunnel_secured_bytes_total{{direction=\"{direction}\"}}");
            side.wait_for_metric(&name, 1000.0);
        }
        side.wait_for_metric("alts_tunnel_pool_bytes{state=\"in_use\"}", 0.0);
    }
    drop(stream);
    for side in [&server, &client] {
        side.wait_for_metric("alts_tunnel_connections_open", 0.0);
        side.wait_for_metric("alts_tunnel_secured_connections", 0.0);
        side.wait_for_metric("alts_tunnel_relays_total{path=\"copy\"}", 1.0);
    }
    assert!(server.get("/healthz").contains("200 OK"));
    assert!(server.get("/readyz").contains("200 OK"));
    assert!(server.get("/other").contains("404"));
}

#[test]
fn a_renewed_certificate_is_used_and_a_broken_one_is_not() {
    let files = Files::new();
    let echo = Plain::echo();
    let more = ["--status", "127.0.0.1:0", "--reload-interval", "24h"];
    let server = files.server(&echo.address, &more);
    files.issue("server");
    server.signal("HUP");
    server.wait_for_metric("alts_tunnel_identity_reloads_total", 1.0);
    crate::process::write(&files.path("server/chain.pem"), "<html>404</html>");
    server.signal("HUP");
    server.wait_for_metric("alts_tunnel_identity_reload_failures_total", 1.0);
    server.wait_for_log("chain.pem");
    // The last good one goes on serving.
    let client = files.client(server.address(), &[]);
    let mut stream = client.connect();
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();
}

#[test]
fn connections_beyond_the_limit_wait() {
    let files = Files::new();
    let echo = Plain::echo();
    let arguments = ["relay", "--listen", "127.0.0.1:0", "--target", &echo.address];
    let arguments =
        [&arguments[..], &["--max-connections", "1", "--status", "127.0.0.1:0"]].concat();
    let relay = Running::start(&arguments, &[], &files);
    let mut first = relay.connect();
    first.write_all(b"1").unwrap();
    first.read_exact(&mut [0]).unwrap();
    let mut second = relay.connect();
    second.write_all(b"2").unwrap();
    relay.wait_for_metric("alts_tunnel_connections_open", 1.0);
    assert_eq!(echo.accepted(), 1);
    drop(first);
    second.read_exact(&mut [0]).unwrap();
    assert_eq!(echo.accepted(), 2);
}

#[test]
fn a_status_address_that_is_taken_ends_the_start() {
    let files = Files::new();
    let echo = Plain::echo();
    let arguments = ["relay", "--listen", "127.0.0.1:0", "--target", &echo.address];
    let output = run(&[&arguments[..], &["--status", &echo.address]].concat(), &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains(&format!("cannot listen on {}", echo.address)), "{output:?}");
    drop(files);
}

/// As systemd does it: the socket is descriptor 3, and the process is told so by its own number.
const ACTIVATE: &str = "
import os, socket, sys
listener = socket.socket()
listener.bind(('127.0.0.1', 0))
listener.listen()
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS='1', LISTEN_FDNAMES='web', LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[1], sys.argv[1:])
";

fn activated(name: &str, target: &str) -> Command {
    let mut command = Command::new("python3");
    command.args(["-c", ACTIVATE, env!("CARGO_BIN_EXE_alts"), "relay"]);
    command.args(["--listen", &format!("systemd:{name}"), "--target", target]);
    command
}

#[test]
fn sockets_that_systemd_opened() {
    let files = Files::new();
    let echo = Plain::echo();
    let relay = Running::start_command(activated("web", &echo.address), &files);
    let mut stream = relay.connect();
    stream.write_all(b"x").unwrap();
    stream.read_exact(&mut [0]).unwrap();

    let output = activated("db", &echo.address).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("systemd:db: systemd passed no socket of this name, only web"),
        "{output:?}"
    );
    let output = run(&["relay", "--listen", "systemd:web", "--target", &echo.address], &[]);
    assert!(stderr(&output).contains("systemd passed no sockets"), "{output:?}");
}

#[test]
fn systemd_is_told_how_far_it_has_come() {
    let files = Files::new();
    let echo = Plain::echo();
    let path = files.path("notify");
    let notified = UnixDatagram::bind(&path).unwrap();
    notified.set_read_timeout(Some(PATIENCE)).unwrap();
    let next = || {
        let mut buf = [0; 256];
        let count = notified.recv(&mut buf).unwrap();
        String::from_utf8(buf[..count].to_vec()).unwrap()
    };
    let mut command = alts(&["relay", "--listen", "127.0.0.1:0", "--target", &echo.address], &[]);
    command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "200000");
    let mut relay = Running::start_command(command, &files);
    assert_eq!(next(), "READY=1");
    assert_eq!(next(), "WATCHDOG=1");
    relay.signal("HUP");
    let reloading = std::iter::repeat_with(next).find(|state| state != "WATCHDOG=1").unwrap();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    let ready = std::iter::repeat_with(next).find(|state| state != "WATCHDOG=1").unwrap();
    assert_eq!(ready, "READY=1");
    relay.signal("TERM");
    let stopping = std::iter::repeat_with(next).find(|state| state != "WATCHDOG=1").unwrap();
    assert_eq!(stopping, "STOPPING=1");
    assert!(relay.wait().success());
}

#[test]
fn log_lines_as_json_and_lines_left_out() {
    let files = Files::new();
    let echo = Plain::echo();
    let arguments = ["relay", "--listen", "127.0.0.1:0", "--target", &echo.address];
    for quiet in [false, true] {
        let mut arguments =
            [&arguments[..], &["--log-format", "json", "--status", "127.0.0.1:0"]].concat();
        if quiet {
            arguments.extend(["--quiet", "conns"]);
        }
        let mut relay = Running::start(&arguments, &[], &files);
        drop(relay.connect());
        relay.wait_for_metric("alts_tunnel_connections_ended_total{reason=\"clean\"}", 1.0);
        relay.signal("TERM");
        assert!(relay.wait().success());
        assert_eq!(
            relay.log().contains("\"message\":\"connection ended\""),
            !quiet,
            "{}",
            relay.log()
        );
    }
}

#[test]
fn each_kind_of_line_can_be_left_out() {
    let files = Files::new();
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (quiet, left_out) in [
        (None, ["", ""]),
        (Some("conn-errs"), ["cannot connect to", ""]),
        (Some("handshake-errs"), ["", "HTTP"]),
        (Some("all"), ["cannot connect to", "HTTP"]),
    ] {
        let mut more = vec!["--status", "127.0.0.1:0"];
        more.extend(quiet.map(|what| ["--quiet", what]).into_iter().flatten());
        let server = files.server(&gone.to_string(), &more);
        let mut foreign = server.connect();
        foreign.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let _ = foreign.read_to_end(&mut Vec::new());
        let arguments = ["connect", server.address(), "--server", "own-trust-domain", "--quiet"];
        run(&arguments, &files.identity("client"));
        server.wait_for_metric("alts_tunnel_connections_ended_total{reason=\"no_target\"}", 1.0);
        server.wait_for_metric("alts_tunnel_connections_ended_total{reason=\"no_handshake\"}", 1.0);
        let log = server.log();
        for (text, left_out) in ["cannot connect to", "HTTP"].into_iter().zip(left_out) {
            assert_eq!(log.contains(text), left_out != text, "{quiet:?}, {text:?}: {log}");
        }
    }
}
