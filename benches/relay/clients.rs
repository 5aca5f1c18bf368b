//! Both ends of what is relayed: plain servers, and clients that are plain or secured.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use alts::Connector;
use alts::connect::Settings;
use alts_benches::tls;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::peers::Lab;

/// What a connection's first byte asks of the server: to take everything, or to send it back.
pub(crate) const SINK: u8 = 0;
pub(crate) const ECHO: u8 = 1;

/// A server of the benchmark: one thread a connection.
pub(crate) fn server() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut serve = move || -> std::io::Result<()> {
                stream.set_nodelay(true)?;
                let mut asked = [0];
                stream.read_exact(&mut asked)?;
                let mut buf = vec![0; 256 << 10];
                loop {
                    let count = stream.read(&mut buf)?;
                    match (count, asked[0]) {
                        (0, SINK) => return stream.write_all(&[1]),
                        (0, _) => return Ok(()),
                        (_, SINK) => {}
                        (count, _) => stream.write_all(&buf[..count])?,
                    }
                }
            };
            // Small stacks: there may be a thousand. Clients may vanish.
            let thread = std::thread::Builder::new().stack_size(64 << 10);
            thread.spawn(move || drop(serve())).expect("a thread");
        }
    });
    address
}

/// A client of one security: what it does is the same for all.
pub(crate) trait Client {
    type Stream;
    fn connect(&self, to: SocketAddr) -> Self::Stream;
    fn write(&self, stream: &mut Self::Stream, bytes: &[u8]);
    fn read(&self, stream: &mut Self::Stream, bytes: &mut [u8]);
    /// Ends the sending direction.
    fn end(&self, stream: &mut Self::Stream);
}

pub(crate) struct Plain;

impl Client for Plain {
    type Stream = TcpStream;

    fn connect(&self, to: SocketAddr) -> TcpStream {
        let stream = TcpStream::connect(to).expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        stream
    }

    fn write(&self, stream: &mut TcpStream, bytes: &[u8]) {
        stream.write_all(bytes).expect("written");
    }

    fn read(&self, stream: &mut TcpStream, bytes: &mut [u8]) {
        stream.read_exact(bytes).expect("read");
    }

    fn end(&self, stream: &mut TcpStream) {
        stream.shutdown(std::net::Shutdown::Write).expect("ended");
    }
}

/// alts on tokio, driven step by step.
pub(crate) struct Alts {
    runtime: tokio::runtime::Runtime,
    connector: Connector,
}

impl Alts {
    pub(crate) fn new(lab: &Lab) -> Self {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("tokio");
        let connector = lab.pem("client").connector(Settings::default());
        Self { runtime, connector }
    }
}

impl Client for Alts {
    type Stream = alts::AltsStream<tokio::net::TcpStream>;

    fn connect(&self, to: SocketAddr) -> Self::Stream {
        self.runtime.block_on(async {
            let socket = tokio::net::TcpStream::connect(to).await.expect("a connection");
            self.connector.connect(socket).await.expect("a handshake")
        })
    }

    fn write(&self, stream: &mut Self::Stream, bytes: &[u8]) {
        self.runtime.block_on(async {
            stream.write_all(bytes).await.expect("written");
            stream.flush().await.expect("flushed");
        });
    }

    fn read(&self, stream: &mut Self::Stream, bytes: &mut [u8]) {
        self.runtime.block_on(async { stream.read_exact(bytes).await.expect("read") });
    }

    fn end(&self, stream: &mut Self::Stream) {
        self.runtime.block_on(async { stream.shutdown().await.expect("ended") });
    }
}

/// TLS 1.3 with certificates, without resumption.
pub(crate) struct Tls(Arc<ClientConfig>);

impl Tls {
    pub(crate) fn new(lab: &Lab) -> Self {
        Self(tls::Tls::new(&lab.pem("client"), ring::default_provider()).client)
    }
}

impl Client for Tls {
    type Stream = StreamOwned<ClientConnection, TcpStream>;

    fn connect(&self, to: SocketAddr) -> Self::Stream {
        let mut socket = Plain.connect(to);
        let name = ServerName::try_from(tls::NAME).expect("a name");
        let mut connection =
            ClientConnection::new(Arc::clone(&self.0), name).expect("a connection");
        while connection.is_handshaking() {
            connection.complete_io(&mut socket).expect("a handshake");
        }
        StreamOwned::new(connection, socket)
    }

    fn write(&self, stream: &mut Self::Stream, bytes: &[u8]) {
        stream.write_all(bytes).expect("written");
        stream.flush().expect("flushed");
    }

    fn read(&self, stream: &mut Self::Stream, bytes: &mut [u8]) {
        stream.read_exact(bytes).expect("read");
    }

    fn end(&self, stream: &mut Self::Stream) {
        stream.conn.send_close_notify();
        stream.flush().expect("ended");
    }
}
