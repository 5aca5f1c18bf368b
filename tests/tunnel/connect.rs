//! `alts connect`.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Output, Stdio};

use crate::process::{Files, Plain, alts, stderr};

fn connect(files: &Files, name: &str, arguments: &[&str], input: &str) -> Output {
    let mut command = alts(&[&["connect"], arguments].concat(), &files.identity(name));
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A program that ends early does not read it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

#[test]
fn standard_input_and_output_over_a_secured_stream() {
    let files = Files::new();
    let echo = Plain::echo();
    let server = files.server(&echo.address, &[]);
    let arguments = [server.address(), "--server", "spiffe://dev.local/server"];
    let output = connect(&files, "client", &arguments, "hello\n");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "hello\n");
    assert!(output.status.success(), "{output:?}");
    let said = stderr(&output);
    for text in ["spiffe://dev.local/client", "spiffe://dev.local/server", "23 h", "ALTSRP_GCM"] {
        assert!(said.contains(text), "no {text:?} in {said}");
    }
}

#[test]
fn the_exit_status_says_whose_fault_it_is() {
    let files = Files::new();
    files.issue("stranger");
    let echo = Plain::echo();
    let server = files.server(&echo.address, &[]);
    let rule = ["--server", "spiffe://dev.local/server", "--probe", "--quiet"];
    let probe = |name: &str, address: &str, rule: &[&str]| {
        let output = connect(&files, name, &[&[address], rule].concat(), "");
        (output.status.code().unwrap(), stderr(&output))
    };
    assert_eq!(probe("client", server.address(), &rule), (0, String::new()));
    // A server that is not who it has to be.
    let other = ["--server", "spiffe://dev.local/other", "--probe"];
    assert_eq!(probe("client", server.address(), &other).0, 5);
    // A server that refuses this side.
    assert_eq!(probe("stranger", server.address(), &rule).0, 6);
    // Nobody there.
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (status, said) = probe("client", &gone, &rule);
    assert_eq!(status, 3);
    assert!(said.contains(&format!("cannot connect to {gone}")), "{said}");
    // A server that speaks another protocol, and answers only once it has been asked something.
    let web = Plain::serve(|mut stream| {
        let _ = stream.read(&mut [0; 64]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        let _ = stream.read(&mut [0; 64]);
    });
    let (status, said) = probe("client", &web.address, &rule);
    assert_eq!(status, 4, "{said}");
    assert!(said.contains("HTTP"), "{said}");
    // One that says nothing.
    let silent = Plain::serve(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    let hurry = [&rule[..], &["--connect-timeout", "200ms"]].concat();
    assert_eq!(probe("client", &silent.address, &hurry).0, 7);
    // Files of this side.
    assert_eq!(probe("nobody", server.address(), &rule).0, 1);
}
