//! How long calls may take.

use std::time::Duration;

use alts::http2::Reason;
use alts::http2::client::{CallError, Client};
use alts::http2::frame::Scope;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use tower_service::Service;

use crate::server::{CANCEL, DATA, RST_STREAM, client};
use crate::{call, spawn};

fn timeout_of(fields: &[(String, String)]) -> Option<&str> {
    fields.iter().find(|(name, _)| name == "grpc-timeout").map(|(_, value)| &**value)
}

fn with_timeout(client: &Client, value: &str) -> alts::http2::client::ResponseFuture {
    let request = http::Request::post("/").header("grpc-timeout", value);
    client.clone().call(request.body(Empty::<Bytes>::new()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_answered_in_time_is_reset() {
    let (client, _, mut listener) = client(|builder| builder.timeout(Duration::from_secs(7)));
    let begun = tokio::time::Instant::now();
    let answer = spawn(&client, b"");
    let mut server = listener.accept(&[]).await;
    let (stream, fields) = server.request().await;
    assert_eq!(timeout_of(&fields), Some("7000000u"));
    let reset = server.next(RST_STREAM).await;
    assert_eq!((reset.stream, reset.number(0)), (stream, CANCEL));
    assert_eq!(begun.elapsed().as_secs(), 7);
    let CallError::Http2(error) = answer.await.unwrap().unwrap_err() else { panic!() };
    assert!(matches!(error.reason(), Reason::Timeout(_)), "{error}");
    assert_eq!(error.scope(), Scope::Stream);
    assert_eq!(client.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_response_that_does_not_end_in_time_is_reset() {
    let (client, _, mut listener) = client(|builder| builder.timeout(Duration::from_secs(60)));
    let answer = tokio::spawn(with_timeout(&client, "3S"));
    let mut server = listener.accept(&[]).await;
    let begun = tokio::time::Instant::now();
    let (stream, fields) = server.request().await;
    // The shorter of the two.
    assert_eq!(timeout_of(&fields), Some("3S"));
    server.respond(stream, 0).await;
    server.write(DATA, 0, stream, b"part").await;
    let mut body = answer.await.unwrap().unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "part");
    let error = body.frame().await.unwrap().unwrap_err();
    assert!(matches!(error.reason(), Reason::Timeout(_)), "{error}");
    assert_eq!(begun.elapsed().as_secs(), 3);
    assert_eq!(server.next(RST_STREAM).await.stream, stream);
    assert!(body.frame().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn the_own_timeout_is_told_where_it_is_the_shorter() {
    let (client, _, mut listener) = client(|builder| builder.timeout(Duration::from_millis(1_500)));
    let _answer = tokio::spawn(with_timeout(&client, "1M"));
    let mut server = listener.accept(&[]).await;
    let (_, fields) = server.request().await;
    assert_eq!(timeout_of(&fields), Some("1500000u"));
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_stream_or_a_connection_counts() {
    let (client, _, mut listener) = client(|builder| builder.timeout(Duration::from_secs(5)));
    client.connected().await.unwrap();
    let mut server = listener.accept(&[(3, 0)]).await;
    server.write(6, 0, 0, b"settings").await;
    server.next(6).await;
    let error = call(&client, b"").await.unwrap_err();
    assert!(error.to_string().contains("deadline"), "{error}");
    // The server never hears of it.
    drop(client);
    while let Some(frame) = server.read().await {
        assert_ne!(frame.kind, 1, "a request that nobody waits for");
    }
}
