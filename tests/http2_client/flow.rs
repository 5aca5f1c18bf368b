//! Windows, in both directions.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use tower_service::Service;

use crate::call;
use crate::server::{DATA, END_STREAM, PING, WINDOW_UPDATE, client};

#[tokio::test]
async fn no_more_is_sent_than_the_windows_let() {
    let content: Vec<u8> = (0..200_000_u32).map(|at| (at / 3) as u8).collect();
    for (initial, connection, stream) in
        [(65_535, 65_535, 65_535), (10_000, 0, 30_000), (1 << 20, 65_535, 0)]
    {
        let (client, _, mut listener) = client(|builder| builder);
        client.connected().await.unwrap();
        let mut server = listener.accept(&[(4, initial)]).await;
        server.write(PING, 0, 0, b"settings").await;
        server.next(PING).await;
        let request =
            http::Request::post("/").body(Full::new(Bytes::from(content.clone()))).unwrap();
        let answer = tokio::spawn(client.clone().call(request));
        let (id, _) = server.request().await;
        let mut received = Vec::new();
        let mut allowed = (65_535_usize, initial as usize);
        loop {
            let frame = server.next(DATA).await;
            received.extend(frame.payload);
            assert!(received.len() <= allowed.0.min(allowed.1), "beyond the window");
            if frame.flags & END_STREAM != 0 {
                break;
            }
            if received.len() == allowed.0.min(allowed.1) {
                // Nothing more comes now: an answer to a PING would be behind it.
                server.write(PING, 0, 0, b"or else?").await;
                assert_eq!(server.read().await.unwrap().kind, PING);
                for (stream_id, increment, total) in
                    [(0, connection, &mut allowed.0), (id, stream, &mut allowed.1)]
                {
                    if increment > 0 {
                        server
                            .write(WINDOW_UPDATE, 0, stream_id, &(increment as u32).to_be_bytes())
                            .await;
                        *total += increment;
                    }
                }
                if connection == 0 && received.len() >= allowed.0 {
                    server.write(WINDOW_UPDATE, 0, 0, &200_000_u32.to_be_bytes()).await;
                    allowed.0 += 200_000;
                }
            }
        }
        assert!(received == content);
        server.answer(id, b"").await;
        answer.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn the_server_may_send_on_as_the_response_is_read() {
    const WINDOW: u32 = 100_000;
    let (client, _, mut listener) =
        client(|builder| builder.stream_window(WINDOW).connection_window(WINDOW));
    let response = tokio::spawn(call(&client, b""));
    let mut server = listener.accept(&[]).await;
    let (id, _) = server.request().await;
    server.respond(id, 0).await;
    let mut body = response.await.unwrap().unwrap().into_body();
    for round in 0..10_u8 {
        for _ in 0..10 {
            server.write(DATA, 0, id, &[round; 10_000]).await;
        }
        // Nothing is read yet, so nothing is given back.
        server.write(PING, 0, 0, b"anything").await;
        loop {
            let frame = server.read().await.unwrap();
            // The first one raises the connection's window above the default.
            assert!(frame.kind != WINDOW_UPDATE || round == 0 && frame.stream == 0, "unread");
            if frame.kind == PING {
                break;
            }
        }
        let mut read = 0;
        while read < WINDOW as usize {
            let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert!(piece.iter().all(|&byte| byte == round));
            read += piece.len();
        }
        let (mut stream, mut connection) = (0, 0);
        while stream < WINDOW || connection < WINDOW {
            let frame = server.next(WINDOW_UPDATE).await;
            let total = if frame.stream == 0 { &mut connection } else { &mut stream };
            *total += frame.number(0);
        }
        assert_eq!((stream, connection), (WINDOW, WINDOW));
    }
    server.write(DATA, END_STREAM, id, &[]).await;
    assert!(body.frame().await.is_none());
}

/// A server's credit for content may cross the content's end.
#[tokio::test]
async fn credit_after_the_end_of_a_request_does_not_end_it_again() {
    let (client, _, mut listener) = client(|builder| builder);
    let answer = tokio::spawn(call(&client, b"content"));
    let mut server = listener.accept(&[]).await;
    let (id, _) = server.request().await;
    assert_eq!(server.next(DATA).await.flags, END_STREAM);
    server.write(WINDOW_UPDATE, 0, id, &7_u32.to_be_bytes()).await;
    // What the client does after it has answered the first comes before its answer to the second.
    for _ in 0..2 {
        server.write(PING, 0, 0, b"anything").await;
        loop {
            let frame = server.read().await.unwrap();
            assert_ne!(frame.kind, DATA, "{frame:?}");
            if frame.kind == PING {
                break;
            }
        }
    }
    server.answer(id, b"").await;
    answer.await.unwrap().unwrap();
}

/// Responses that nobody reads are in buffers of the pool until others need them. That takes a second of real time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_response_that_is_not_read_does_not_keep_the_pool() {
    let pool = alts::pool::BufferPool::builder().cap(4 * (33 << 10)).build().unwrap();
    let (client, _, mut listener) = client(|builder| builder.pool(pool.clone()));
    let mut unread = Vec::new();
    let first = tokio::spawn(call(&client, b""));
    let mut server = listener.accept(&[]).await;
    let (id, _) = server.request().await;
    server.respond(id, 0).await;
    unread.push(first.await.unwrap().unwrap());
    // Each frame in a read of its own, until all buffers are out.
    while pool.stats().in_use_buffers < 4 {
        server.write(DATA, 0, id, &[7; 15_000]).await;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let answer = tokio::spawn(call(&client, b""));
    let (id, _) = server.request().await;
    server.answer(id, b"hello").await;
    answer.await.unwrap().unwrap();
    drop(unread);
}
