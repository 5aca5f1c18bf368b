//! Requests and responses, and how calls end.

use alts::http2::Reason;
use alts::http2::client::CallError;
use bytes::Bytes;
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tower_service::Service;

use crate::server::{CANCEL, DATA, END_STREAM, HEADERS, REFUSED_STREAM, RST_STREAM, client};
use crate::{call, spawn};

#[tokio::test]
async fn a_request_is_complete_and_its_content_ends_it() {
    let (client, _, mut listener) = client(|builder| builder.user_agent("test/1").unwrap());
    let answer = spawn(&client, b"hello");
    let mut server = listener.accept(&[]).await;
    let (stream, fields) = server.request().await;
    assert_eq!(stream, 1);
    let version = env!("CARGO_PKG_VERSION");
    let expected = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "service.test:7000"),
        (":path", "/service/Method"),
        ("user-agent", &format!("test/1 tonic-compatible alts/{version}")),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(fields, expected);
    let content = server.next(DATA).await;
    assert_eq!((&content.payload[..], content.flags), (&b"hello"[..], END_STREAM));
    server.answer(stream, b"world").await;
    assert_eq!(answer.await.unwrap().unwrap(), "world");
    assert_eq!(client.in_flight(), 0);
}

#[tokio::test]
async fn trailers_come_after_the_content_and_interim_responses_are_skipped() {
    let (client, _, mut listener) = client(|builder| builder);
    let response = tokio::spawn(call(&client, b""));
    let mut server = listener.accept(&[]).await;
    let (stream, _) = server.request().await;
    server.write(HEADERS, 4, stream, b"\x08\x03103").await;
    server.respond(stream, 0).await;
    server.write(DATA, 0, stream, b"content").await;
    server.write(HEADERS, 5, stream, b"\x00\x0bgrpc-status\x010").await;
    let collected = response.await.unwrap().unwrap().into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(collected.to_bytes(), "content");
}

#[tokio::test]
async fn a_streaming_body_is_sent_as_it_comes() {
    let (client, _, mut listener) = client(|builder| builder);
    let (pieces, body) = mpsc::channel(1);
    let body =
        StreamBody::new(ReceiverStream::new(body).map(|piece: &'static [u8]| {
            Ok::<_, alts::http2::Error>(Frame::data(Bytes::from(piece)))
        }));
    let request = http::Request::post("/service/Method").body(body).unwrap();
    let response = tokio::spawn(client.clone().call(request));
    let mut server = listener.accept(&[]).await;
    let (stream, _) = server.request().await;
    for piece in [&b"one"[..], b"two", b"three"] {
        pieces.send(piece).await.unwrap();
        let frame = server.next(DATA).await;
        assert_eq!((&frame.payload[..], frame.flags), (piece, 0));
    }
    drop(pieces);
    let frame = server.next(DATA).await;
    assert_eq!((frame.payload.len(), frame.flags), (0, END_STREAM));
    server.answer(stream, b"").await;
    response.await.unwrap().unwrap();
}

#[tokio::test]
async fn who_drops_a_call_cancels_it() {
    let (client, _, mut listener) = client(|builder| builder);
    // Its future.
    let waiting = tokio::spawn(call(&client, b""));
    let mut server = listener.accept(&[]).await;
    let (first, _) = server.request().await;
    waiting.abort();
    let reset = server.next(RST_STREAM).await;
    assert_eq!((reset.stream, reset.number(0)), (first, CANCEL));

    // The body of its response; then the body of the request is dropped as well.
    let (pieces, body) = mpsc::channel::<Result<Frame<Bytes>, alts::http2::Error>>(1);
    let request =
        http::Request::post("/").body(StreamBody::new(ReceiverStream::new(body))).unwrap();
    let response = tokio::spawn(client.clone().call(request));
    let (second, _) = server.request().await;
    server.respond(second, 0).await;
    drop(response.await.unwrap().unwrap());
    let reset = server.next(RST_STREAM).await;
    assert_eq!((reset.stream, reset.number(0)), (second, CANCEL));
    pieces.closed().await;
    assert_eq!(client.in_flight(), 0);
}

#[tokio::test]
async fn an_error_of_a_requests_body_ends_the_call() {
    let (client, _, mut listener) = client(|builder| builder);
    let (pieces, body) = mpsc::channel::<Result<Frame<Bytes>, std::io::Error>>(1);
    let request =
        http::Request::post("/").body(StreamBody::new(ReceiverStream::new(body))).unwrap();
    let response = tokio::spawn(client.clone().call(request));
    let mut server = listener.accept(&[]).await;
    let (stream, _) = server.request().await;
    pieces.send(Err(std::io::Error::other("no more to say"))).await.unwrap();
    let error = response.await.unwrap().unwrap_err();
    assert!(
        matches!(error, CallError::RequestBody(_)) && error.to_string().contains("no more to say")
    );
    assert_eq!(server.next(RST_STREAM).await.stream, stream);
}

#[tokio::test]
async fn refused_calls_are_sent_again_three_times() {
    let (client, _, mut listener) = client(|builder| builder);
    let answer = spawn(&client, b"hello");
    let mut server = listener.accept(&[]).await;
    for expected in [1, 3, 5] {
        let (stream, _) = server.request().await;
        assert_eq!(stream, expected);
        assert_eq!(server.next(DATA).await.payload, b"hello");
        server.reset(stream, REFUSED_STREAM).await;
    }
    let (stream, _) = server.request().await;
    server.answer(stream, b"at last").await;
    assert_eq!(answer.await.unwrap().unwrap(), "at last");

    let answer = spawn(&client, b"hello");
    for _ in 0..4 {
        let (stream, _) = server.request().await;
        server.reset(stream, REFUSED_STREAM).await;
    }
    assert!(answer.await.unwrap().unwrap_err().is_unprocessed());
}

#[tokio::test]
async fn a_reset_of_a_call_that_was_processed_is_its_error() {
    let (client, _, mut listener) = client(|builder| builder);
    let answer = spawn(&client, b"");
    let mut server = listener.accept(&[]).await;
    let (stream, _) = server.request().await;
    server.reset(stream, CANCEL).await;
    let error = answer.await.unwrap().unwrap_err();
    let CallError::Http2(error) = error else { panic!("{error:?}") };
    assert_eq!((error.reason(), error.code().0), (&Reason::Reset, CANCEL));

    // And of one that was half answered.
    let answer = spawn(&client, b"");
    let (stream, _) = server.request().await;
    server.respond(stream, 0).await;
    server.write(DATA, 0, stream, b"half").await;
    server.reset(stream, CANCEL).await;
    assert!(answer.await.unwrap().is_err());
}

#[tokio::test]
async fn calls_wait_while_the_server_takes_no_more_streams() {
    const MAX_CONCURRENT_STREAMS: u16 = 3;
    let (client, _, mut listener) = client(|builder| builder);
    client.connected().await.unwrap();
    let mut server = listener.accept(&[(MAX_CONCURRENT_STREAMS, 1)]).await;
    // Its answer to a frame of ours shows that the client knows the settings.
    server.write(6, 0, 0, b"settings").await;
    server.next(6).await;
    let answers: Vec<_> = (0..5).map(|_| spawn(&client, b"")).collect();
    let canceled = tokio::spawn(call(&client, b""));
    tokio::task::yield_now().await;
    canceled.abort();
    for stream in [1, 3, 5, 7, 9] {
        let (opened, _) = server.request().await;
        assert_eq!(opened, stream);
        // Whatever else comes now, it is no other request.
        server.write(6, 0, 0, b"anything").await;
        loop {
            let frame = server.read().await.unwrap();
            assert_ne!(frame.kind, HEADERS, "a second stream at a time");
            if frame.kind == 6 {
                break;
            }
        }
        server.answer(stream, b"done").await;
    }
    for answer in answers {
        assert_eq!(answer.await.unwrap().unwrap(), "done");
    }
    assert_eq!(client.in_flight(), 0);
}

#[tokio::test]
async fn two_hundred_calls_at_a_time() {
    let (client, _, mut listener) = client(|builder| builder);
    let answers: Vec<_> = (0..200).map(|_| spawn(&client, b"x")).collect();
    let mut server = listener.accept(&[]).await;
    let mut streams = Vec::new();
    while streams.len() < 200 {
        streams.push(server.request().await.0);
    }
    for stream in streams.into_iter().rev() {
        server.answer(stream, &stream.to_be_bytes()).await;
    }
    let mut all = Vec::new();
    for answer in answers {
        let answer = answer.await.unwrap().unwrap();
        all.push(u32::from_be_bytes(answer[..].try_into().unwrap()));
    }
    all.sort_unstable();
    assert_eq!(all, (0..200).map(|at| 2 * at + 1).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_server_that_answers_early_may_refuse_the_rest_of_the_request() {
    let (client, _, mut listener) = client(|builder| builder);
    let (pieces, body) = mpsc::channel::<Result<Frame<Bytes>, alts::http2::Error>>(1);
    let request =
        http::Request::post("/").body(StreamBody::new(ReceiverStream::new(body))).unwrap();
    let response = tokio::spawn(client.clone().call(request));
    let mut server = listener.accept(&[]).await;
    let (stream, _) = server.request().await;
    server.answer(stream, b"enough").await;
    server.reset(stream, 0).await;
    let body = response.await.unwrap().unwrap().into_body();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "enough");
    pieces.closed().await;
}
