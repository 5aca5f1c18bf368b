//! The other ends.

use std::io::BufRead;
use std::net::SocketAddr;
use std::path::Path;

use alts::connect::Settings;
use alts_benches::descriptors;
use alts_benches::identity::Pem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

use crate::{MESSAGE, Stack};

/// Obeys until standard input ends: each line is a number of connections to make.
pub(crate) fn run(stack: Stack, directory: &Path, address: SocketAddr) {
    descriptors::raise();
    let runtime = Runtime::new().expect("a runtime");
    let connector = Pem::read(directory, "client").connector(Settings::default());
    let message = [0x5A; MESSAGE];
    let mut request = match stack {
        Stack::Loop | Stack::CopyBidirectional => Vec::new(),
        Stack::Framed | Stack::OwnFramed => (MESSAGE as u32).to_be_bytes().to_vec(),
        Stack::Http | Stack::OwnHttp => {
            format!("POST / HTTP/1.1\r\nhost: localhost\r\ncontent-length: {MESSAGE}\r\n\r\n")
                .into()
        }
    };
    request.extend_from_slice(&message);
    let mut held = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let count: usize = line.expect("an order").parse().expect("a number");
        runtime.block_on(async {
            for _ in 0..count {
                let socket = TcpStream::connect(address).await.expect("a connection");
                let mut stream = connector.connect(socket).await.expect("a handshake");
                stream.write_all(&request).await.expect("room");
                stream.flush().await.expect("room");
                // What is before the message depends on the stack.
                let mut answer = Vec::new();
                while !answer.ends_with(&message) {
                    let len = stream.read_buf(&mut answer).await.expect("an answer");
                    assert!(len > 0, "the server has closed the connection");
                }
                held.push(stream);
            }
        });
        println!();
    }
}

/// Where a relay connects to: says where it listens, and sends back what comes.
pub(crate) fn echo() {
    descriptors::raise();
    Runtime::new().expect("a runtime").block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        println!("{}", listener.local_addr().expect("an address"));
        loop {
            let (mut socket, _) = listener.accept().await.expect("a connection");
            tokio::spawn(async move {
                let (mut reader, mut writer) = socket.split();
                tokio::io::copy(&mut reader, &mut writer).await
            });
        }
    });
}
