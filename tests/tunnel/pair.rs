//! A pair of tunnels between a plain client and a plain server.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::mpsc;

use crate::process::{Files, Plain, Running};

/// Bytes that differ from place to place.
fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i as u32).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}

#[test]
fn bytes_pass_both_ways_and_the_log_says_who_it_was() {
    let files = Files::new();
    let echo = Plain::echo();
    let server = files.server(&echo.address, &[]);
    let client = files.client(server.address(), &[]);
    let data = pattern(5 << 20);
    let mut stream = client.connect();
    let mut sending = stream.try_clone().unwrap();
    let sent = data.clone();
    let sender = std::thread::spawn(move || {
        sending.write_all(&sent).unwrap();
        sending.shutdown(Shutdown::Write).unwrap();
    });
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    sender.join().unwrap();
    assert!(received == data, "the echo differs");
    server.wait_for_log("identity=\"spiffe://dev.local/client\" forward=5242880 backward=5242880");
    client.wait_for_log("identity=\"spiffe://dev.local/server\" forward=5242880 backward=5242880");
}

#[test]
fn a_server_that_speaks_first_need_not_wait_for_the_client() {
    let files = Files::new();
    let greeting = Plain::serve(|mut stream| {
        let _ = stream.write_all(b"220 ready\r\n");
        let _ = stream.read(&mut [0]);
    });
    let server = files.server(&greeting.address, &[]);
    let client = files.client(server.address(), &[]);
    let mut greeted = [0; 11];
    client.connect().read_exact(&mut greeted).unwrap();
    assert_eq!(&greeted, b"220 ready\r\n");
}

#[test]
fn unix_sockets_on_either_side() {
    let files = Files::new();
    let echo = Plain::echo();
    let secure = files.socket("run/secure.sock");
    let listen = ["--listen", secure.as_str()];
    let server = files.server(&echo.address, &listen);
    assert_eq!(server.listen[1], secure);
    let plain = files.socket("run/plain.sock");
    let client = files.client(&secure, &["--listen", &plain, "--socket-mode", "0600"]);
    assert_eq!(client.listen[1], plain);
    let mut stream = UnixStream::connect(files.path("run/plain.sock")).unwrap();
    stream.write_all(b"hello").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut received = String::new();
    stream.read_to_string(&mut received).unwrap();
    assert_eq!(received, "hello");
    drop(client);
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &files.path("run/plain.sock").symlink_metadata().unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
}

/// What the target gets when a client of the tunnel sends nothing and ends.
fn introduction(version: &str) -> (Vec<u8>, TcpStream) {
    let files = Files::new();
    let (told, received) = mpsc::channel();
    let target = Plain::serve(move |mut stream| {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        told.send(bytes).unwrap();
    });
    let server = files.server(&target.address, &["--proxy-protocol", version]);
    let secured = TcpStream::connect(server.address()).unwrap();
    drop(secured.try_clone());
    let arguments = ["connect", server.address(), "--server", "own-trust-domain", "--quiet"];
    let output = crate::process::run(&arguments, &files.identity("client"));
    assert!(output.status.success(), "{}", crate::process::stderr(&output));
    (received.recv().unwrap(), secured)
}

#[test]
fn the_proxy_protocol_tells_the_target_who_it_is() {
    let (text, _) = introduction("v1");
    let text = String::from_utf8(text).unwrap();
    assert!(text.starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 "), "{text}");
    assert!(text.ends_with("\r\n"), "{text}");

    let (bytes, _) = introduction("v2");
    assert_eq!(&bytes[..12], b"\r\n\r\n\0\r\nQUIT\n");
    assert_eq!(bytes[12..14], [0x21, 0x11]);
    let identity = b"spiffe://dev.local/client";
    assert_eq!(bytes[28..31], [0xE0, 0, identity.len() as u8]);
    assert_eq!(&bytes[31..], identity);
}

#[test]
fn plain_to_plain_is_spliced() {
    let files = Files::new();
    let echo = Plain::echo();
    let relay = ["relay", "--listen", "127.0.0.1:0", "--target", &echo.address];
    let relay = Running::start(&relay, &[], &files);
    let mut stream = relay.connect();
    stream.write_all(b"hello").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut received = String::new();
    stream.read_to_string(&mut received).unwrap();
    assert_eq!(received, "hello");
    relay.wait_for_log("forward=5 backward=5");
    if cfg!(target_os = "linux") {
        relay.wait_for_log("path=splice");
    }
}
