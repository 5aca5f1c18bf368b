//! Where it listens and connects to.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};

use crate::process::{Files, Plain, Running, run, stderr};

fn echoes(mut stream: impl Read + Write) {
    stream.write_all(b"hello").unwrap();
    let mut received = [0; 5];
    stream.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"hello");
}

#[test]
fn a_socket_that_nobody_listens_at_is_replaced_and_another_is_not() {
    let files = Files::new();
    let echo = Plain::echo();
    let address = files.socket("app.sock");
    let relay = ["relay", "--listen", &address, "--target", &echo.address];
    // Left behind by a process that was killed.
    drop(UnixListener::bind(files.path("app.sock")).unwrap());
    let running = Running::start(&relay, &[], &files);
    echoes(UnixStream::connect(files.path("app.sock")).unwrap());
    let second = run(&relay, &[]);
    assert_eq!(second.status.code(), Some(1));
    assert!(stderr(&second).contains(&format!("cannot listen on {address}")), "{second:?}");
    echoes(UnixStream::connect(files.path("app.sock")).unwrap());
    drop(running);
    // A file that is no socket stays what it is.
    std::fs::remove_file(files.path("app.sock")).unwrap();
    std::fs::write(files.path("app.sock"), "precious").unwrap();
    let onto_file = run(&relay, &[]);
    assert_eq!(onto_file.status.code(), Some(1), "{onto_file:?}");
    assert_eq!(std::fs::read(files.path("app.sock")).unwrap(), b"precious");
}

#[test]
fn a_socket_is_removed_by_the_process_that_made_it() {
    let files = Files::new();
    let echo = Plain::echo();
    let address = files.socket("app.sock");
    let mut running =
        Running::start(&["relay", "--listen", &address, "--target", &echo.address], &[], &files);
    assert!(files.path("app.sock").exists());
    running.signal("TERM");
    assert!(running.wait().success());
    assert!(!files.path("app.sock").exists());
}

#[test]
fn several_addresses_and_both_of_localhost() {
    let files = Files::new();
    let echo = Plain::echo();
    let unix = files.socket("app.sock");
    let arguments = ["relay", "--listen", "localhost:0", "--listen", &unix, "--target"];
    let running = Running::start(&[&arguments[..], &[&echo.address]].concat(), &[], &files);
    let (tcp, last) = running.listen.split_at(running.listen.len() - 1);
    assert_eq!(last, [unix]);
    assert!(!tcp.is_empty());
    for address in tcp {
        echoes(std::net::TcpStream::connect(address).unwrap());
    }
    // One port for both families.
    let port = |address: &String| address.rsplit_once(':').unwrap().1.to_owned();
    assert!(tcp.iter().all(|address| port(address) == port(&tcp[0])), "{tcp:?}");
    echoes(UnixStream::connect(files.path("app.sock")).unwrap());
}

#[test]
fn two_processes_share_a_port_only_if_told_to() {
    let files = Files::new();
    let echo = Plain::echo();
    let shared = ["relay", "--reuse-port", "--target", &echo.address, "--listen"];
    let first = Running::start(&[&shared[..], &["127.0.0.1:0"]].concat(), &[], &files);
    let second = Running::start(&[&shared[..], &[first.address()]].concat(), &[], &files);
    assert_eq!(first.address(), second.address());
    // A new process listens at the same address.
    drop(first);
    echoes(second.connect());
    let output = run(&["relay", "--target", &echo.address, "--listen", second.address()], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains(&format!("cannot listen on {}", second.address())),
        "{output:?}"
    );
}

#[test]
fn what_is_unsafe_is_done_when_told_so() {
    let files = Files::new();
    let echo = Plain::echo();
    // No name is known to be this machine's but localhost.
    let far = ["--unsafe-target", "--unsafe-admin", "--admin", "0.0.0.0:0"];
    let server = files.server("host.invalid:1", &far);
    assert!(server.status.as_ref().unwrap().starts_with("0.0.0.0:"));
    let client = files.client(server.address(), &["--unsafe-listen", "--listen", "0.0.0.0:0"]);
    assert!(client.listen.iter().any(|address| address.starts_with("0.0.0.0:")));
    // A name that does not exist fails the connection, not the tunnel.
    assert!(matches!(client.connect().read(&mut [0]), Err(_) | Ok(0)));
    server.wait_for_log("cannot connect to host.invalid:1");
    drop(echo);
}

#[test]
fn status_on_a_unix_socket() {
    let files = Files::new();
    let echo = Plain::echo();
    let status = files.socket("status.sock");
    let arguments = ["relay", "--listen", "127.0.0.1:0", "--target", &echo.address];
    let running = Running::start(&[&arguments[..], &["--status", &status]].concat(), &[], &files);
    assert_eq!(running.status, Some(status));
    let mut stream = UnixStream::connect(files.path("status.sock")).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// Column `tr` of /proc/net/tcp for the connection that has this port at the tunnel's side: 2 is the keepalive timer.
#[cfg(target_os = "linux")]
fn timer_of(local_port: u16, remote_port: u16) -> String {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let (local, remote) = (format!(":{local_port:04X}"), format!(":{remote_port:04X}"));
    let row = table
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .find(|columns| columns[1].ends_with(&local) && columns[2].ends_with(&remote))
        .unwrap();
    row[5].split(':').next().unwrap().to_owned()
}

#[cfg(target_os = "linux")]
#[test]
fn keepalive_on_both_sides_unless_it_is_off() {
    let files = Files::new();
    for (interval, timer) in [("60s", "02"), ("0", "00")] {
        let target = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = target.local_addr().unwrap();
        let arguments = ["relay", "--listen", "127.0.0.1:0", "--tcp-keepalive", interval];
        let target_arguments = ["--target", &address.to_string()];
        let relay = Running::start(&[&arguments[..], &target_arguments].concat(), &[], &files);
        let stream = relay.connect();
        let (mut accepted, dialer) = target.accept().unwrap();
        // When a byte has passed and was acknowledged, no other timer runs.
        let mut stream = stream;
        accepted.write_all(b"x").unwrap();
        stream.read_exact(&mut [0]).unwrap();
        let listening = stream.peer_addr().unwrap().port();
        let client = stream.local_addr().unwrap().port();
        crate::process::wait_until(
            || {
                timer_of(listening, client) == timer
                    && timer_of(dialer.port(), address.port()) == timer
            },
            || format!("the timers are not {timer}"),
        );
    }
}
