//! Connections without HTTP/2: what a socket holds by itself, and with TLS.
//!
//! No task is counted: the server keeps each connection in a box once it has sent back what came.

use std::io::BufRead;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use alts::pool::BufferPool;
use alts::ready::{Probed, ReadyReader};
use alts_benches::identity::Pem;
use alts_benches::tls::{NAME, Tls};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::row::Transport;

/// As large as the message of the call in the other rows.
const ECHO: usize = 1024;

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// Accepts until the process ends.
pub(crate) async fn serve(transport: Transport, pem: Pem, listener: TcpListener, pool: BufferPool) {
    let acceptor = TlsAcceptor::from(Tls::new(&pem, ring::default_provider()).server);
    // With room for all, so that it does not grow while memory is counted.
    let kept = Arc::new(Mutex::new(Vec::<Box<dyn Stream>>::with_capacity(1 << 15)));
    loop {
        let (socket, _) = listener.accept().await.expect("a connection");
        socket.set_nodelay(true).expect("a socket");
        let (acceptor, pool, kept) = (acceptor.clone(), pool.clone(), Arc::clone(&kept));
        tokio::spawn(async move {
            let stream: Box<dyn Stream> = match transport {
                Transport::Tls => {
                    let stream = acceptor.accept(socket).await.expect("a handshake");
                    echo(Probed::new(stream), &pool).await
                }
                _ => echo(socket, &pool).await,
            };
            kept.lock().expect("no task has panicked").push(stream);
        });
    }
}

async fn echo<S>(mut stream: S, pool: &BufferPool) -> Box<dyn Stream>
where
    S: ReadyReader + Stream + 'static,
{
    let mut left = ECHO;
    while left > 0 {
        let received = stream.read_on_ready(pool).await.expect("bytes").expect("more bytes");
        stream.write_all(&received).await.expect("room");
        left -= received.len();
    }
    stream.flush().await.expect("room");
    // An idle connection waits for more: TLS frees memory when it finds nothing. It is not the task that waits, which would then be kept
    // as long as the socket.
    let mut cx = Context::from_waker(Waker::noop());
    assert!(stream.poll_readable(&mut cx).is_pending(), "the client sends no more");
    Box::new(stream)
}

/// As `clients::run`.
pub(crate) fn connect(transport: Transport, pem: &Pem, address: SocketAddr, runtime: &Runtime) {
    let connector = TlsConnector::from(Tls::new(pem, ring::default_provider()).client);
    let mut held = Vec::new();
    for line in std::io::stdin().lock().lines() {
        let count: usize = line.expect("an order").parse().expect("a number");
        runtime.block_on(async {
            for _ in 0..count {
                let socket = TcpStream::connect(address).await.expect("a connection");
                socket.set_nodelay(true).expect("a socket");
                let mut stream: Box<dyn Stream> = match transport {
                    Transport::Tls => {
                        let name = ServerName::try_from(NAME).expect("a name");
                        Box::new(connector.connect(name, socket).await.expect("a handshake"))
                    }
                    _ => Box::new(socket),
                };
                let (message, mut back) = ([0x5A; ECHO], [0; ECHO]);
                stream.write_all(&message).await.expect("room");
                stream.flush().await.expect("room");
                stream.read_exact(&mut back).await.expect("an echo");
                assert!(message == back, "the echo differs");
                held.push(stream);
            }
        });
        println!();
    }
}
