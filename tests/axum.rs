//! axum's own server over secured connections.
#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod support;

use std::net::SocketAddr;

use alts::axum::Caller;
use alts::connect::Settings;
use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::get;
use support::{CLIENT, Parties};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::oneshot;

async fn who(ConnectInfo(caller): ConnectInfo<Caller>) -> String {
    let address = caller.remote_addr().map_or("a Unix socket".to_owned(), |at| at.to_string());
    format!("{} from {address}", caller.peer().name())
}

fn router() -> Router {
    Router::new().route("/who", get(who))
}

/// Requests `/who` over HTTP/1.1 by hand: the answer's content. The connection stays open if it is asked to.
async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> String {
    stream.write_all(b"GET /who HTTP/1.1\r\nhost: server\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    loop {
        assert!(stream.read_buf(&mut answer).await.unwrap() > 0, "the server ended the connection");
        let text = str::from_utf8(&answer).unwrap();
        let Some((head, content)) = text.split_once("\r\n\r\n") else { continue };
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        let (_, length) = head.split_once("content-length: ").expect("a length");
        let length: usize = length.lines().next().unwrap().parse().unwrap();
        if content.len() >= length {
            return content.to_owned();
        }
    }
}

#[tokio::test]
async fn handlers_know_who_calls_over_tcp() {
    let parties = Parties::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let incoming = parties.acceptor(Settings::default()).incoming(listener);
    let address: SocketAddr = axum::serve::Listener::local_addr(&incoming).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let service = router().into_make_service_with_connect_info::<Caller>();
    let serving = axum::serve(incoming, service).with_graceful_shutdown(async {
        let _ = stopped.await;
    });
    let serving = tokio::spawn(async move { serving.await });

    // Somebody who speaks plain HTTP gets nothing, and does not disturb the others.
    let mut stranger = TcpStream::connect(address).await.unwrap();
    stranger.write_all(b"GET /who HTTP/1.1\r\nhost: server\r\n\r\n").await.unwrap();

    let connector = parties.connector(Settings::default());
    let socket = TcpStream::connect(address).await.unwrap();
    let own = socket.local_addr().unwrap();
    let mut stream = connector.connect(socket).await.unwrap();
    // The connection is kept alive between two requests.
    for _ in 0..2 {
        assert_eq!(ask(&mut stream).await, format!("{CLIENT} from {own}"));
    }
    let mut said = Vec::new();
    let _ = stranger.read_to_end(&mut said).await;
    assert!(!said.starts_with(b"HTTP"), "{said:?}");

    // A server that stops ends idle connections in order: with an authenticated end.
    stop.send(()).unwrap();
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
    assert!(stream.peer_closed_authenticated());
    drop(stream);
    serving.await.unwrap().unwrap();
}

#[tokio::test]
async fn handlers_know_who_calls_over_unix_sockets() {
    let parties = Parties::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let incoming =
        parties.acceptor(Settings::default()).incoming(UnixListener::bind(&path).unwrap());
    let service = router().into_make_service_with_connect_info::<Caller>();
    tokio::spawn(async move { axum::serve(incoming, service).await });

    let connector = parties.connector(Settings::default());
    let mut stream = connector.connect(UnixStream::connect(&path).await.unwrap()).await.unwrap();
    assert_eq!(ask(&mut stream).await, format!("{CLIENT} from a Unix socket"));
}

#[cfg(feature = "http1")]
#[tokio::test]
async fn handlers_know_who_calls_over_connections_that_rest() {
    let parties = Parties::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut incoming = parties.acceptor(Settings::default()).incoming(listener);
    let server = alts::http1::Server::new();
    let serving = server.clone();
    tokio::spawn(async move {
        while let Some(stream) = incoming.next().await {
            let describe = |stream: &alts::AltsStream<TcpStream>,
                            extensions: &mut http::Extensions| {
                extensions.insert(ConnectInfo(Caller::from(stream)));
            };
            tokio::spawn(serving.connection(stream, router(), describe));
        }
    });
    let socket = TcpStream::connect(address).await.unwrap();
    let from = socket.local_addr().unwrap();
    let mut stream = parties.connector(Settings::default()).connect(socket).await.unwrap();
    for _ in 0..3 {
        assert_eq!(ask(&mut stream).await, format!("{CLIENT} from {from}"));
    }
    drop(stream);
    server.drained().await;
    assert_eq!(server.stats().requests, 3);
}
